"""From your data to a network designed for it: ``ncp discover task=seg data=folder data.root=... trainings=40``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from ncp import runs, spaces
from ncp.benchmark import settings
from ncp.campaign import choosing
from ncp.campaign.discovery import check_budget, cost_of
from ncp.errors import UserError
from ncp.jobs.discovering import Outcome, Plan, carry_out
from ncp.overrides import key_of
from ncp.tasks.options import TrainOptions

__all__ = ["Options", "Outcome", "run", "show"]
Count = Annotated[int, Meta(ge=1)]


@dataclass(kw_only=True)
class Options(TrainOptions):
    """``conf/discover.yaml``, where each is explained; what a training is told is forwarded to every training."""

    trainings: Count = 40
    budget: dict[str, Any] = field(default_factory=dict)
    sampler: Literal["random", "adaptive"] = "adaptive"
    rounds: Count | None = None
    known: Any = "all"
    bounds: dict[str, Any] = field(default_factory=dict)
    source: str | None = None
    repeats: Count = 2
    baseline: str | None = "auto"
    full: list[str] = field(default_factory=list)
    hours: Annotated[float, Meta(gt=0)] | None = None
    per_device: Count | Literal["auto"] = "auto"
    dir: str | None = None
    outputs: str = "outputs"
    words: list[str] = field(default_factory=list)


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Train a few dozen architectures on a setting's data, learn from them which one to build, train that one and compare it.

    Args:
        options: the setting or the data, how many trainings, the limits.
        folder: of the page, ``result.json`` and the exported network; None for a new run folder.

    Raises:
        UserError: for data that cannot be trained on, limits that cannot be met, or a step that fails, with its command.
    """
    folder = runs.made(folder, "discover").resolve()
    setting = settings.get(_setting(options))
    space = spaces.get(setting.space)
    lower, upper = choosing.limits(space, options.bounds)
    reference = space.decode(np.clip(space.encode([space.default()]), lower, upper))[0]
    budget = check_budget(space, options.budget) or {"macs": float(cost_of(space, reference))}
    kept = [word for word in options.words if key_of(word).split(".")[0] not in OWN]
    plan = Plan(
        names=(setting.name,),
        words={setting.name: kept},
        trainings=options.trainings,
        budget=budget,
        reference=reference,
        place=_place(options, setting.name),
        bounds=options.bounds,
        sampler=options.sampler,
        rounds=options.rounds,
        known=options.known,
        source=options.source,
        repeats=options.repeats,
        baseline=options.baseline,
        full=options.full,
        seed=options.seed,
        per_device=options.per_device,
        exports=True,
        hours=options.hours,
        tried=options.source is None,
    )
    return carry_out(plan, folder)


# keys of the command itself; all others are the trainings'
OWN = (
    "trainings", "budget", "sampler", "rounds", "known", "bounds", "source", "repeats", "baseline", "full", "hours", "per_device",
    "dir", "seed", "paths", "hydra",
)  # fmt: skip


def _setting(options: Options) -> str:
    if options.setting is None:
        raise UserError("what is measured on this data? give setting=NAME, or task=cls, seg, det3d or video")
    return options.setting


def _place(options: Options, name: str) -> Path:
    """Where the builds lie: the same for the same words, whatever decides about time alone."""
    if options.dir is not None:
        return Path(options.dir).expanduser().resolve()
    words = sorted(word for word in options.words if key_of(word) not in ("hours", "per_device", "dir"))
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:8]
    return (Path(options.outputs) / "discover" / f"{name}-{digest}").resolve()


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print what came of it, and where the page is."""
    from ncp.report import discovery as report

    report.show(outcome.discovery, outcome.files)
