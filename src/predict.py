"""Predict with a network: ``python -m src.predict``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("predict")

if __name__ == "__main__":
    main()
