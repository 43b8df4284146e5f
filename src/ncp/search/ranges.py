"""How freely each number of a found architecture may change: which values lose next to nothing, and which cost next to nothing.

Shape suffixes: N codes, D dimensions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ncp.benchmark.settings import figure_text, unit
from ncp.search.limits import Budget, Region
from ncp.search.objectives import Objectives
from ncp.search.trajectory import predict

POINTS = 0.1
"""Percent points that a predicted metric may lose; of one that is no percentage instead:"""
DEVIATIONS = 0.02
"""Standard deviations of what its predictor was fitted on (.1 points is about as much of a percentage)."""
SHARE = 0.01
"""Share by which cost may change."""


class Range(NamedTuple):
    """Lowest and highest value of one dimension, all others staying.

    Attributes:
        metric: within which no objective's prediction gets worse by more than .1 points (of one that is no percentage by
            .02 standard deviations).
        cost: within which no cost changes by more than 1 %.
        free: within which neither gets worse by more than that, and all limits hold: what may be chosen freely.
    """

    metric: tuple[int, int]
    cost: tuple[int, int]
    free: tuple[int, int]


def ranges(objectives: Objectives, budget: Budget, code_D: np.ndarray) -> dict[str, Range]:
    """Dimension -> its ranges around a valid code, for spaces of numbers; empty for spaces of choices (one-hot)."""
    space, region = objectives.space, budget.region
    if (space.upper - space.lower <= 1).all():
        return {}
    code = np.asarray(code_D, dtype=np.int64)
    grids = [_grid(region, i, code) for i in range(space.dim)]
    codes = np.concatenate([np.repeat(code[None], len(grid), 0) for grid in grids])
    owner = np.repeat(np.arange(space.dim), [len(grid) for grid in grids])
    codes[np.arange(len(codes)), owner] = np.concatenate(grids)
    mean, _ = predict(objectives, np.concatenate([code[None], codes]))
    allowed = _allowed(objectives)
    lost = np.max([o.sign * (mean[o.name][0] - mean[o.name][1:]) / allowed[o.name] for o in objectives.items], axis=0)
    grown = np.stack([_growth(of(np.concatenate([code[None], codes]))) for of in _costs(objectives)])
    kept = budget.excess(codes) == 0
    good = (lost <= 1, (np.abs(grown) <= SHARE).all(0), (lost <= 1) & (grown <= SHARE).all(0) & kept)
    out = {}
    for i, grid in enumerate(grids):
        if len(grid) > 1:
            out[space.labels[i]] = Range(*(_around(grid, ok[owner == i], int(code[i])) for ok in good))
    return out


def price_in_words(objectives: Objectives) -> str:
    """What a change within ``free`` may lose and cost: ``.1 points`` of percentages, of others a figure in their own unit."""
    parts = [".1 points"] if any(unit(o.name) for o in objectives.items) else []
    parts += [f"{figure_text(name, value)} of {name}" for name, value in _allowed(objectives).items() if not unit(name)]
    return f"loses at most {' or '.join(parts)} and costs at most {100 * SHARE:g} % more"


def _allowed(objectives: Objectives) -> dict[str, float]:
    """What each objective may lose, in its own unit."""
    deviations = zip(objectives.items, objectives.std_K, strict=True)
    return {o.name: POINTS if unit(o.name) else DEVIATIONS * float(std) for o, std in deviations}


def _grid(region: Region, i: int, code: np.ndarray) -> np.ndarray:
    values = np.arange(region.lower[i], region.upper[i] + 1, region.step[i]).astype(np.int64)
    tried = np.repeat(code[None], len(values), 0)
    tried[:, i] = values
    return np.asarray(values[region.contains(tried) | (values == code[i])])


def _costs(objectives: Objectives) -> list[Any]:
    out: list[Any] = [lambda codes: objectives.space.cost(codes).macs]
    return out + [lambda codes, q=q: q.told(codes)[0] for q in objectives.quantities]


def _growth(values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    return np.asarray(array[1:] / array[0] - 1)


def _around(grid: np.ndarray, ok: np.ndarray, here: int) -> tuple[int, int]:
    """The ends of the unbroken run of good values around ``here``."""
    place = int(np.flatnonzero(grid == here)[0])
    low = high = place
    while low > 0 and ok[low - 1]:
        low -= 1
    while high + 1 < len(grid) and ok[high + 1]:
        high += 1
    return int(grid[low]), int(grid[high])


def in_words(found: dict[str, Range], most: int = 3) -> str:
    """How many dimensions may change freely, and the ``most`` that may change furthest, in a line; empty where none may."""
    free = {name: r.free for name, r in found.items() if r.free[0] != r.free[1]}
    if not free:
        return ""
    # channels are 8 to 128 and depths 1 to 4: how far is told by the ratio
    widest = sorted(free, key=lambda name: free[name][1] / max(1, free[name][0]), reverse=True)[:most]
    told = ", ".join(f"{name} {free[name][0]} to {free[name][1]}" for name in free if name in widest)
    return f"{len(free)} of {len(found)} numbers, {'such as ' if len(free) > most else ''}{told}"
