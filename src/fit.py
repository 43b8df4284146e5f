"""Fit a predictor to a table: ``python -m src.fit``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("fit")

if __name__ == "__main__":
    main()
