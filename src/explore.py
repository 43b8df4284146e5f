"""The page on which a network is redrawn while one drags: ``python -m src.explore``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("explore")

if __name__ == "__main__":
    main()
