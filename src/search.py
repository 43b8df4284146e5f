"""Search an architecture: ``python -m src.search``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("search")

if __name__ == "__main__":
    main()
