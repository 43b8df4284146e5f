"""Build a benchmark: ``ncp build setting=seg count=8``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncp import runs
from ncp.campaign.options import BuildOptions as Options
from ncp.errors import UserError

if TYPE_CHECKING:
    from ncp.campaign.merge import Merged
    from ncp.campaign.plan import Plan

__all__ = ["ACTIONS", "Options", "Outcome", "run", "show"]
ACTIONS = ("run", "status", "merge", "analyse", "plan")


@dataclass
class Outcome:
    """Where a build stands.

    Attributes:
        plan: of the build.
        summary: what is done, running, failed, left.
        root: the build's folder.
        files: the merged table and pictures.
        merged, figures: what those hold, where they were made.
    """

    plan: Plan
    summary: Any
    root: Path
    files: list[Path] = field(default_factory=list)
    merged: Merged | None = None
    figures: Any = None


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Train many architectures, here or on a cluster, and merge their results into one table.

    Args:
        options: of the build; ``options.action`` says what to do.
        folder: of ``result.json`` and pictures (the build has its own); None for a new run folder.

    Raises:
        UserError: for an unknown action, a plan that differs from the one in the build's folder, data that cannot be read.
    """
    from ncp.campaign import analysis, merge, packing, status, work
    from ncp.report import campaign as report

    if options.action not in ACTIONS:
        raise UserError(f"unknown action '{options.action}'; actions: {', '.join(ACTIONS)}")
    folder = folder or runs.new_folder("build")
    plan, store = work.open_build(options) if options.action in ("run", "plan") else work.find_build(options)
    if options.action == "run":
        packing.run(options, plan, store)
    units = status.read_units(plan, store, options.build.attempts, options.build.patience)
    outcome = Outcome(plan, status.summarise(plan, units), store.root)
    if options.action == "merge" or (options.action == "run" and outcome.summary.counts["done"]):
        outcome.merged = merge.merge(plan, units)
        outcome.files.append(merge.write(plan, store, outcome.merged))
    if options.action == "analyse":
        proxy = analysis.load(options.proxy) if options.proxy else None
        outcome.figures = analysis.figure5(analysis.load(store.root, plan.setting), proxy)
        outcome.files += report.write_figures(outcome.figures, plan.setting, folder)
    result = report.result(plan, status.as_json(outcome.summary), store.root, outcome.files)
    runs.write_result(folder, result)
    return outcome


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print what was merged or analysed, and where the build stands."""
    from ncp.report import campaign as report

    if outcome.merged is not None:
        report.show_merged(outcome.merged, outcome.files[0])
    if outcome.figures is not None:
        report.show_figures(outcome.figures)
    report.show_status(outcome.plan, outcome.summary, outcome.root)
