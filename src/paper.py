"""The paper, table by table: ``python -m src.paper table=3``; ``--help`` explains the options."""

from ncp import cli

main = cli.command("paper")

if __name__ == "__main__":
    main()
