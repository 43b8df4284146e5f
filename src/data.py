"""Look a data set of your own over: ``python -m src.data``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("data")

if __name__ == "__main__":
    main()
