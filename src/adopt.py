"""Take over weights of another framework: ``python -m src.adopt``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("adopt")

if __name__ == "__main__":
    main()
