"""Measure how long networks take on a machine: ``python -m src.latency``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("latency")

if __name__ == "__main__":
    main()
