"""The tables of trained architectures: ``python -m src.benchmark action=stats``; ``--help`` explains the options."""

from omegaconf import DictConfig

from ncp import cli


@cli.main("benchmark")
def main(config: DictConfig) -> None:
    """Import the released tables, look up architectures in them, and compute the paper's statistics."""
    from ncp.report import benchmark_actions as actions

    answer = actions.run(cli.plain(config))
    files = actions.write(answer, cli.run_folder())
    actions.show(answer, files)


if __name__ == "__main__":
    main()
