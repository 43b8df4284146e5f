"""Build a benchmark: ``python -m src.build``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("build")

if __name__ == "__main__":
    main()
