"""What a loop of sampling, fitting, searching and training anew found (:mod:`ncp.jobs.loop` runs it)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ncp import benchmark, spaces
from ncp.benchmark.table import Table
from ncp.errors import UserError


@dataclass
class Loop:
    """What the loop did and found.

    Attributes:
        names: settings, in order.
        tables: of the sampled architectures, by setting.
        candidates: name (``found``, ``default``, ``best sampled``) -> architecture.
        scores: candidate -> setting -> ``(R,)`` main metric of its repeated trainings.
        macs: candidate -> exact cost.
        limit: of cost, for all candidates.
        errors: setting -> the predictor's errors of its main metric on rows it did not see.
        predicted: setting -> predicted main metric of the found architecture.
        commands, seconds, cpu_seconds: of each step; processor time is what does not depend on what else the machine does.
        pictures: of the steps that draw one, relative to the loop's folder.
    """

    names: tuple[str, ...]
    limit: int
    tables: dict[str, Table] = field(default_factory=dict)
    candidates: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    macs: dict[str, int] = field(default_factory=dict)
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    predicted: dict[str, float] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)


def best_sampled(loop: Loop) -> Any:
    """The sampled architecture within the limit that has the best mean standard score over the settings."""
    first = loop.tables[loop.names[0]]
    columns = [(name, loop.tables[name].main) for name in loop.names]
    codes, values = benchmark.Benchmark(loop.tables).aligned(columns)
    score = ((values - values.mean(0)) / np.maximum(values.std(0), 1e-9)).mean(1)
    score[first.space.cost(codes).macs > loop.limit] = -np.inf
    if not np.isfinite(score).any():
        raise UserError("no sampled architecture is within the limit of cost; raise count, or default")
    return first.space.parse(codes[int(score.argmax())].tolist())


def cost_of(space: spaces.Space[Any], architecture: Any) -> int:
    """Exact multiply-adds of one architecture."""
    return int(space.cost(np.array([architecture.code])).macs[0])


def summary(loop: Loop) -> dict[str, Any]:
    """For ``result.json``."""
    return {
        "settings": list(loop.names),
        "limit_macs": loop.limit,
        "candidates": {
            name: {
                "architecture": architecture.text,
                "macs": loop.macs[name],
                "scores": {setting: _scores(values) for setting, values in loop.scores[name].items()},
            }
            for name, architecture in loop.candidates.items()
        },
        "predicted": loop.predicted,
        "predictor_errors": loop.errors,
        "sampled": {name: len(table) for name, table in loop.tables.items()},
        "seconds": {**loop.seconds, "total": sum(loop.seconds.values())},
        "cpu_seconds": {**loop.cpu_seconds, "total": sum(loop.cpu_seconds.values())},
        "commands": loop.commands,
    }


def _scores(values: np.ndarray) -> dict[str, Any]:
    array = np.asarray(values, dtype=float)
    return {
        "mean": float(array.mean()),
        "std": float(array.std(ddof=1)) if len(array) > 1 else None,
        "all": array.tolist(),
    }
