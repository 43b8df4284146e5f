"""The tables of trained architectures: ``python -m src.benchmark``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("benchmark")

if __name__ == "__main__":
    main()
