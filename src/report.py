"""Compare found architectures: ``python -m src.report runs=[outputs/search/DATE/RUN,...]``; ``--help`` explains the options."""

from omegaconf import DictConfig

from ncp import cli


@cli.main("report")
def main(config: DictConfig) -> None:
    """Compare architectures, found, trained or given: a table, their dimensions as bars (Figure 8), their searches (Figure 9)."""
    from ncp.report import compare

    options = cli.plain(config)
    entries = compare.read(options["runs"], options["names"], options["space"])
    judged = compare.judge(entries.items, options["predictors"])
    files = compare.write_comparison(entries, judged, cli.run_folder(), options["title"])
    compare.show(entries, judged, files)


if __name__ == "__main__":
    main()
