"""From data to a network designed for it: ``python -m src.discover``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("discover")

if __name__ == "__main__":
    main()
