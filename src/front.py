"""What accuracy costs, as a front: ``python -m src.front``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("front")

if __name__ == "__main__":
    main()
