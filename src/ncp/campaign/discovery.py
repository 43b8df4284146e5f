"""What a discovery (:mod:`ncp.jobs.discover` runs it) trained, fitted, searched and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ncp import benchmark, spaces
from ncp.benchmark import settings
from ncp.benchmark.table import Table
from ncp.campaign import choosing
from ncp.errors import UserError

FOUND, DEFAULT, BEST = "found", "default", "best sampled"


@dataclass
class Discovery:
    """What was tried and found, in one setting or in several.

    Attributes:
        names: settings, in order.
        budget: limits of exact cost (``macs``, ``params``) that the found architecture keeps.
        tables: of the architectures that were trained, by setting.
        recorded: whether these "trainings" are rows of a recorded table; then nothing was trained, and what was never measured
            is predicted by the judges in ``scored_by``.
        candidates: name (``found``, ``default``, ``best sampled``, a baseline's) -> architecture, or a baseline's name.
        scores: candidate -> setting -> ``(R,)`` main metric of its repeated trainings.
        macs: candidate -> multiply-adds in the space's standard setting.
        scored_by: candidate -> how its scores are known, in words, where that is not by training it again.
        errors: setting -> the predictor's errors of its main metric on rows it did not see.
        predicted, std: setting -> predicted main metric of the found architecture, and how sure that is.
        fitted: setting -> what the fit says of itself: what was chosen, what more trainings would bring.
        notes: what else a reader must know.
        commands, seconds, cpu_seconds: of each step; processor time is what does not depend on what else the machine does.
        pictures: of the steps that draw one, relative to the page.
        exports: format -> file of the found network.
        estimate: ``hours`` and ``disk_mb`` as they were expected before it began.
        training_hours: step -> hours that its trainings took, those of earlier starts too.
        samples: a picture of the data, relative to the page; empty for none.
    """

    names: tuple[str, ...]
    budget: dict[str, float]
    tables: dict[str, Table] = field(default_factory=dict)
    recorded: bool = False
    candidates: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    macs: dict[str, int] = field(default_factory=dict)
    scored_by: dict[str, str] = field(default_factory=dict)
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    predicted: dict[str, float] = field(default_factory=dict)
    std: dict[str, float] = field(default_factory=dict)
    fitted: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    exports: dict[str, str] = field(default_factory=dict)
    estimate: dict[str, float] = field(default_factory=dict)
    training_hours: dict[str, float] = field(default_factory=dict)
    samples: str = ""

    def sign(self, name: str) -> float:
        """1 where more of a setting's main metric is better, -1 where less is."""
        setting = self.tables[name].setting if name in self.tables else settings.get(name)
        return setting.sign(setting.main)

    def keeps(self, table: Table) -> np.ndarray:
        """``(N,)`` bool: rows within the limits of cost."""
        out = np.ones(len(table), dtype=bool)
        for name, limit in self.budget.items():
            out &= table.column(name) <= limit
        return out


def best_sampled(discovery: Discovery) -> Any:
    """The trained architecture within the limits that has the best mean standard score over the settings.

    Raises:
        UserError: where none is within the limits.
    """
    first = discovery.tables[discovery.names[0]]
    columns = [(name, discovery.tables[name].main) for name in discovery.names]
    codes, values = benchmark.Benchmark(discovery.tables).aligned(columns)
    signs = np.array([discovery.sign(name) for name in discovery.names])
    score = (signs * (values - values.mean(0)) / np.maximum(values.std(0), 1e-9)).mean(1)
    cost = first.space.cost(codes)
    for name, limit in discovery.budget.items():
        score[getattr(cost, name) > limit] = -np.inf
    if not np.isfinite(score).any():
        raise UserError("no trained architecture is within the limits of cost: give more trainings, or a larger budget")
    return first.space.parse(codes[int(score.argmax())].tolist())


def cost_of(space: spaces.Space[Any], architecture: Any, name: str = "macs") -> int:
    """Exact cost of one architecture: ``macs`` or ``params``."""
    return int(getattr(space.cost(np.array([architecture.code])), name)[0])


def usual_cost(space: spaces.Space[Any], budget: Mapping[str, float], bounds: Mapping[str, Any], seed: int) -> float:
    """Mean multiply-adds of architectures that are drawn within bounds and limits; of the cheapest ones where hardly any are."""
    lower, upper = choosing.limits(space, bounds)
    drawn = space.encode(space.sample(1000, np.random.default_rng(seed)))
    share = (drawn - space.lower) / (space.upper - space.lower)
    cost = space.cost(space.round(lower + share * (upper - lower)))
    within = np.ones(len(drawn), dtype=bool)
    for name, limit in budget.items():
        within &= np.asarray(getattr(cost, name)) <= limit
    macs = np.sort(np.asarray(cost.macs, dtype=np.float64)[within] if within.sum() > 10 else np.asarray(cost.macs))
    return float(macs.mean() if within.sum() > 10 else macs[:10].mean())


def check_budget(
    space: spaces.Space[Any], budget: Mapping[str, Any], bounds: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """The limits that are given.

    Raises:
        UserError: for one that is no number, not of exact cost, or below the smallest architecture within the bounds.
    """
    out = choosing.exact_limits(budget)
    smallest = space.decode(choosing.limits(space, bounds or {})[0].astype(np.int64)[None])[0]
    where = "within the bounds" if bounds else "of the space"
    for name, limit in out.items():
        least = cost_of(space, smallest, name)
        if limit < least:
            raise UserError(
                f"budget.{name}={limit:g} is below the smallest network {where}, which has {least:,}; give more"
            )
    return out


def summary(discovery: Discovery) -> dict[str, Any]:
    """For ``result.json``; its keys are described in docs/result.md."""
    found = discovery.candidates[FOUND]
    return {
        "settings": list(discovery.names),
        "budget": discovery.budget,
        "architecture": {"code": list(found.code), "text": found.text},
        "predicted": {name: {_main(discovery, name): value} for name, value in discovery.predicted.items()},
        "std": {name: {_main(discovery, name): value} for name, value in discovery.std.items()},
        "trainings": {name: len(table) for name, table in discovery.tables.items()},
        "compared": {
            name: {
                "architecture": architecture if isinstance(architecture, str) else architecture.text,
                "macs": discovery.macs[name],
                "scores": {setting: _scores(values) for setting, values in discovery.scores.get(name, {}).items()},
                "scored_by": discovery.scored_by.get(name, "training it again"),
            }
            for name, architecture in discovery.candidates.items()
        },
        "predictor_errors": discovery.errors,
        "fitted": discovery.fitted,
        "notes": discovery.notes,
        "seconds": {**discovery.seconds, "total": sum(discovery.seconds.values())},
        "cpu_seconds": {**discovery.cpu_seconds, "total": sum(discovery.cpu_seconds.values())},
        "commands": discovery.commands,
        "exports": discovery.exports,
        "estimate": discovery.estimate,
        "training_hours": {**discovery.training_hours, "total": sum(discovery.training_hours.values())},
    }


def _main(discovery: Discovery, name: str) -> str:
    return discovery.tables[name].main


def _scores(values: np.ndarray) -> dict[str, Any]:
    array = np.asarray(values, dtype=float)
    return {
        "mean": float(array.mean()),
        "std": float(array.std(ddof=1)) if len(array) > 1 else None,
        "all": array.tolist(),
    }
