"""What a search did: the walks of its codes, and tables of them.

Shape suffixes: T steps of one walk, D dimensions of the code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ncp.search.objectives import Objectives

_Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Walk:
    """One start's codes, in order.

    Attributes:
        codes: ``(T, D)`` float64 raw codes; the first is the start, the last comes after the last update.
        rounded: ``(T, D)`` int64, the valid codes nearest to them.
        loss: ``(T,)`` float64: what the strategy minimises, at ``codes``.
        reason: why it stopped.
        phase: ``(T,)`` names of the part of the strategy that made each code.
        number: of its start.
    """

    codes: np.ndarray
    rounded: np.ndarray
    loss: np.ndarray
    reason: str
    phase: tuple[str, ...] = ()
    number: int = 0

    def __len__(self) -> int:
        return len(self.codes)


@dataclass
class Trajectory:
    """The walks of the starts, and which step was best by the strategy's own criterion.

    Of many starts only some walks are kept: the first, a spread of the others, and the best.

    Predictions and exact costs are computed when they are asked for; a search need not wait for them.

    Attributes:
        objectives: what was searched for; answers the predictions.
        walks: one per start, or some of them.
        best: ``(walk, step)`` of the architecture that is returned, by its place in ``walks``.
        queries: number of codes about which predictors were asked.
        starts: how many codes moved.
        broken: in words, which limits the best architecture does not keep; empty where it keeps all.
        least: ``(walk, step)`` of the architecture of least loss, where that need not be the one that is returned.
    """

    objectives: Objectives = field(repr=False)
    walks: list[Walk]
    best: tuple[int, int]
    queries: int = 0
    starts: int = 0
    broken: str = ""
    least: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.starts = self.starts or len(self.walks)

    @property
    def walk(self) -> Walk:
        """The walk that holds the best step."""
        return self.walks[self.best[0]]

    @property
    def best_code(self) -> np.ndarray:
        """``(D,)`` int64 code of the architecture that is returned."""
        out: np.ndarray = self.walk.rounded[self.best[1]]
        return out

    @property
    def last_code(self) -> np.ndarray:
        """``(D,)`` int64 code of the last architecture of the best walk."""
        out: np.ndarray = self.walk.rounded[-1]
        return out

    @property
    def least_code(self) -> np.ndarray:
        """``(D,)`` int64 code of the architecture of least loss."""
        walk, step = self.least or self.best
        out: np.ndarray = self.walks[walk].rounded[step]
        return out

    @property
    def reason(self) -> str:
        """Why the best walk stopped, and what it could not keep."""
        return "; ".join(filter(None, (self.walk.reason, self.broken)))

    def __len__(self) -> int:
        return len(self.walk)

    @cached_property
    def predicted(self) -> dict[str, np.ndarray]:
        """``setting.metric`` -> ``(T,)`` predictions at the continuous codes of the best walk, in the metric's unit."""
        return predict(self.objectives, self.walk.codes)[0]

    @cached_property
    def predicted_rounded(self) -> dict[str, np.ndarray]:
        """The same at the rounded codes."""
        return predict(self.objectives, self.walk.rounded)[0]

    def to_table(self, starts: str = "best") -> dict[str, np.ndarray]:
        """Columns of equal length, one row a step: ready for Parquet or CSV.

        Columns: ``start``, ``step``, ``phase``, ``loss``, ``code.<dimension>`` and ``rounded.<dimension>``;
        ``macs`` and ``params`` (exact, of the rounded architecture), ``latency_ms`` and ``memory_mb`` of it where they were
        asked for, and ``continuous.macs``; for each metric
        ``continuous.<setting>.<metric>`` and ``continuous.std.<setting>.<metric>`` at the continuous code and
        ``rounded.<setting>.<metric>``, ``rounded.std.<setting>.<metric>`` at the rounded one (std: the model's own part).

        Args:
            starts: ``best`` (the walk of the best architecture) or ``all`` (that were kept).
        """
        walks = [self.walk] if starts == "best" else self.walks
        space = self.objectives.space
        codes = np.concatenate([w.codes for w in walks])
        rounded = np.concatenate([w.rounded for w in walks])
        table: dict[str, np.ndarray] = {
            "start": np.repeat([w.number for w in walks], [len(w) for w in walks]),
            "step": np.concatenate([np.arange(len(w)) for w in walks]),
            "phase": np.array([p for w in walks for p in (w.phase or ("propagation",) * len(w))]),
            "loss": np.concatenate([w.loss for w in walks]),
        }
        cost = space.cost(rounded)
        table |= {"macs": np.asarray(cost.macs), "params": np.asarray(cost.params)}
        for quantity in self.objectives.quantities:
            table[quantity.name] = quantity.told(rounded)[0]
        table["continuous.macs"] = np.asarray(space.cost(codes).macs, dtype=np.float64)
        for prefix, points in (("continuous", codes), ("rounded", rounded)):
            mean, std = predict(self.objectives, points)
            for name in mean:
                table[f"{prefix}.{name}"] = mean[name]
                table[f"{prefix}.std.{name}"] = std[name]
        for i, label in enumerate(space.labels):
            table[f"code.{label}"] = codes[:, i]
            table[f"rounded.{label}"] = rounded[:, i]
        return table


def predict(objectives: Objectives, codes: Any, noise: bool = False) -> tuple[_Columns, _Columns]:
    """``setting.metric`` -> ``(N,)`` float64 predictions of all metrics at ``(N, D)`` raw codes, and standard deviations.

    The latter are the model's own, or with ``noise`` those of a training's result.
    """
    x = np.asarray(codes, dtype=np.float64)
    mean: dict[str, np.ndarray] = {}
    std: dict[str, np.ndarray] = {}
    for setting, predictor in objectives.predictors.items():
        mean |= {f"{setting}.{k}": v for k, v in predictor.predict(x).items()}
        std |= {f"{setting}.{k}": v for k, v in predictor.predict_std(x, noise=noise).items()}
    return mean, std
