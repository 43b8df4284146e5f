"""Evaluate a checkpoint: ``python -m src.evaluate``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("evaluate")

if __name__ == "__main__":
    main()
