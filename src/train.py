"""Train an architecture: ``python -m src.train``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("train")

if __name__ == "__main__":
    main()
