"""Export a network: ``python -m src.export``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("export")

if __name__ == "__main__":
    main()
