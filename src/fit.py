"""Fit a predictor to a table: ``python -m src.fit setting=seg source=NCP/data``; ``--help`` explains the options."""

from omegaconf import DictConfig

from ncp import cli


@cli.main("fit")
def main(config: DictConfig) -> None:
    """Fit a predictor to the architectures of a benchmark table and measure its errors on rows it did not see."""
    from ncp.predictors import protocols
    from ncp.predictors.rows import from_table
    from ncp.report import predictor as report

    options = cli.plain(config)
    family, own = report.family_of(options["predictor"])
    how = {"protocol": options["protocol"], "seed": options["seed"], "folds": options["folds"], "options": own}
    outcomes = {}
    for table in report.tables(options["setting"], options["source"]):
        rows = from_table(table, costs=protocols.learns_costs(family))
        with report.progress(f"{table.name}, {len(rows):,} rows") as progress:
            outcomes[table.name] = protocols.run(rows, family, progress=progress, **how)
        if options["out"] is not None:
            report.bundle(outcomes[table.name], options["out"])
    files = report.write(outcomes, cli.run_folder(), options, cli.seconds())
    report.show(outcomes, files)


if __name__ == "__main__":
    main()
