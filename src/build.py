"""Build a benchmark: ``python -m src.build setting=seg count=8``; ``--help`` explains the options."""

from omegaconf import DictConfig

from ncp import cli, runs
from ncp.errors import UserError

ACTIONS = ("run", "status", "release", "merge", "analyse", "plan")


@cli.main("build")
def main(config: DictConfig) -> None:
    """Train many architectures, here or on a cluster, and merge their results into one table."""
    from ncp.campaign import analysis, merge, packing, release, status, work
    from ncp.campaign.store import Folder
    from ncp.report import campaign as report

    options = cli.plain(config)
    action, build = options["action"], options["build"]
    if action not in ACTIONS:
        raise UserError(f"unknown action '{action}'; actions: {', '.join(ACTIONS)}")
    plan, store = work.open_build(options) if action in ("run", "plan") else work.find_build(options)
    if action == "run":
        packing.run(options, plan, store)
    if action == "release":
        wanted = release.chosen(options["units"], plan)
        held = status.read_units(plan, store, build["attempts"], build["patience"], report.track)
        report.show_released(release.release(plan, Folder(store.root), held, wanted))
    units = status.read_units(plan, store, build["attempts"], build["patience"], report.track)
    summary, files = status.summarise(plan, units), []
    if action == "merge" or (action == "run" and summary.counts["done"]):
        merged = merge.merge(plan, units)
        files.append(merge.write(plan, store, merged, instead=cli.run_folder()))
        report.show_merged(merged, files[0])
    if action == "analyse":
        proxy = analysis.load(options["proxy"]) if options["proxy"] else None
        figures = analysis.figure5(analysis.load(store.root, plan.setting), proxy)
        files += report.write_figures(figures, plan.setting, cli.run_folder())
        report.show_figures(figures)
    report.show_status(plan, summary, store.root, status.blockers(units, build["patience"]))
    runs.write_result(cli.run_folder(), report.result(plan, status.as_json(summary), store.root, files))


if __name__ == "__main__":
    main()
