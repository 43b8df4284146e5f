"""Search an architecture: ``python -m src.search objectives=[cls,seg]``; ``--help`` explains the options."""

from omegaconf import DictConfig

from ncp import cli

# keys of conf/search.yaml and conf/strategy/*.yaml that are arguments of ncp.search.search under the same name
ARGUMENTS = (
    *("objectives", "lam", "budget", "floor", "fixed", "bounds", "combine", "cost", "seed"),
    *("strategy", "iterations", "starts", "kappa", "queries", "start", "judge", "force"),
)


@cli.main("search")
def main(config: DictConfig) -> None:
    """Search one architecture for one or several tasks, with predictors fitted on the NAS-Bench-MR benchmark."""
    from ncp.report import search as report
    from ncp.search import search

    options = cli.plain(config)
    with report.search_progress() as progress:
        result = search(
            **{name: options[name] for name in ARGUMENTS if name in options},
            predictor=options["predictors"],
            options=options["propagation"],
            progress=progress,
        )
    files = report.write_search(result, cli.run_folder(), options, cli.seconds)
    report.show(result, files, brief=cli.sweeping())


if __name__ == "__main__":
    main()
