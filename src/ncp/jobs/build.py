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
    from ncp.campaign.plan import BuildPlan

__all__ = ["ACTIONS", "Options", "Outcome", "run", "show"]
ACTIONS = ("run", "status", "release", "merge", "analyse", "plan")


@dataclass
class Outcome:
    """Where a build stands.

    Attributes:
        plan: of the build.
        summary: what is done, running, failed, left.
        root: the build's folder.
        blocks: what keeps units from being trained.
        files: the merged table and pictures.
        merged, figures: what those hold, where they were made.
        freed: units that were released, where that was asked for.
        rounds: what each round came to, of a build that grows.
        at_a_time: how many trainings there were at a time.
    """

    plan: BuildPlan
    summary: Any
    root: Path
    blocks: Any
    files: list[Path] = field(default_factory=list)
    merged: Merged | None = None
    figures: Any = None
    freed: Any = None
    rounds: Any = ()
    at_a_time: int = 1


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Train many architectures, here or on a cluster, and merge their results into one table.

    Args:
        options: of the build; ``options.action`` says what to do.
        folder: of ``result.json`` and pictures (the build has its own); None for a new run folder.

    Raises:
        UserError: for an unknown action, a plan that differs from the one in the build's folder, data that cannot be read.
    """
    from ncp.campaign import analysis, merge, packing, release, status, work
    from ncp.campaign import plan as plans
    from ncp.campaign.store import Folder
    from ncp.report import campaign as report

    if options.action not in ACTIONS:
        raise UserError(f"unknown action '{options.action}'; actions: {', '.join(ACTIONS)}")
    folder = runs.made(folder, "build")
    plan, store = work.open_build(options) if options.action in ("run", "plan") else work.find_build(options)
    at_a_time = 1
    if options.action == "run":
        at_a_time = packing.run(options, plan, store)
        plan = plans.follow(plan, store)
    rules = (options.build.attempts, options.build.patience, report.track)
    freed = None
    if options.action == "release":
        held = status.read_units(plan, store, *rules)
        freed = release.release(plan, Folder(store.root), held, release.chosen(options.units, plan))
    units = status.read_units(plan, store, *rules)
    blocks = status.blockers(units, options.build.patience)
    outcome = Outcome(plan, status.summarise(plan, units), store.root, blocks, freed=freed, at_a_time=at_a_time)
    outcome.rounds = status.rounds(plan, units)
    if options.action == "merge" or (options.action == "run" and outcome.summary.counts["done"]):
        outcome.merged = merge.merge(plan, units)
        outcome.files.append(merge.write_table(plan, store, outcome.merged, instead=folder))
    if options.action == "analyse":
        proxy = analysis.load(options.proxy) if options.proxy else None
        outcome.figures = analysis.figure5(analysis.load(store.root, plan.setting), proxy)
        outcome.files += report.write_figures(outcome.figures, plan.setting, folder)
    result = report.result(plan, status.as_json(outcome.summary), store.root, outcome.files, outcome.rounds)
    runs.write_result(folder, result)
    return outcome


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print what was merged or analysed, and where the build stands."""
    from ncp.report import campaign as report

    if outcome.freed is not None:
        report.show_released(outcome.freed)
    if outcome.merged is not None:
        report.show_merged(outcome.merged, outcome.files[0])
    if outcome.figures is not None:
        report.show_figures(outcome.figures)
    if outcome.rounds:
        report.show_rounds(outcome.rounds, outcome.plan)
    report.show_status(outcome.plan, outcome.summary, outcome.root, outcome.blocks)
