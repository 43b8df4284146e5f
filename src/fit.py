"""Fit a predictor to a table: ``python -m src.fit setting=seg source=NCP/data``; ``--help`` explains the options."""

from pathlib import Path

from omegaconf import DictConfig

from ncp import cli, runs


@cli.main("fit")
def main(config: DictConfig) -> None:
    """Fit a predictor to the architectures of a benchmark table and measure its errors on rows it did not see."""
    from ncp.predictors import protocols
    from ncp.predictors.rows import from_table
    from ncp.report import predictor as report

    options = cli.plain(config)
    family, own = report.family_of(options["predictor"])
    how = {"protocol": options["protocol"], "seed": options["seed"], "folds": options["folds"], "options": own}
    outcomes: dict[str, protocols.Outcome] = {}
    files: dict[str, Path] = {}
    tables = report.tables(options["setting"], options["source"])
    for table in tables:
        rows = from_table(table, costs=protocols.learns_costs(family))
        with report.progress(f"{table.name}, {len(rows):,} rows") as progress:
            outcome = outcomes[table.name] = protocols.run(rows, family, progress=progress, **how)
        folder = cli.run_folder() if len(tables) == 1 else cli.run_folder() / table.name
        written = report.write_fit(outcome, folder, options["out"])
        files |= written if len(tables) == 1 else {table.name: written["predictor"]}
    result = report.summary(outcomes, options, cli.seconds())
    files["result"] = runs.write_result(cli.run_folder(), result)
    report.show(outcomes, files)


if __name__ == "__main__":
    main()
