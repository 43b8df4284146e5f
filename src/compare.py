"""Compare strategies: ``python -m src.compare``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("compare")

if __name__ == "__main__":
    main()
