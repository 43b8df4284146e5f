"""The whole loop of the paper on this machine: ``python -m src.loop``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("loop")

if __name__ == "__main__":
    main()
