"""Compare found architectures: ``python -m src.report``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("report")

if __name__ == "__main__":
    main()
