"""What the predictors of a search say of codes, in the search's units, and the way back to the codes.

Shape suffixes: N codes, D dimensions of the code, K objectives, F floors, C columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp.predictors.answers import Answer
from ncp.slopes import Slope

if TYPE_CHECKING:
    from ncp.search.objectives import Objectives


class Forward:
    """Standardised predictions of N codes, and the way back to them.

    Attributes:
        z_NK: metrics, in standard deviations of their tables, signed so that larger is better.
        u_NK: the model's own standard deviation in the same units (None unless asked for).
        floor_NF: floored metrics minus their floors, in standard deviations; ``floor_u_NF`` their doubt.
    """

    def __init__(self, objectives: Objectives, codes_ND: np.ndarray, std: bool) -> None:
        self._objectives, self._codes = objectives, codes_ND
        self._answers = {name: predictor.answer(codes_ND, std) for name, predictor in objectives.asked.items()}
        self.z_NK = (self._stack(objectives.columns) - objectives.mean_K) * (objectives.sign_K / objectives.std_K)
        self.u_NK = self._stack(objectives.columns, True) / objectives.std_K if std else None
        self.floor_NF: np.ndarray | None = None
        self.floor_u_NF: np.ndarray | None = None
        if where := objectives.floor_columns:
            self.floor_NF = (self._stack(where) - objectives.floor_F) / objectives.floor_std_F
            self.floor_u_NF = self._stack(where, True) / objectives.floor_std_F if std else None

    @cached_property
    def cost_NK(self) -> np.ndarray:
        """Cost in its units, smaller is better."""
        goals = self._objectives
        if goals.cost == "learned":
            return np.asarray((self._stack(goals.cost_columns) - goals.cost_mean_K) / goals.cost_std_K)
        return np.broadcast_to(self.charge.value[:, None] / goals.cost_scale, self.z_NK.shape)

    @cached_property
    def charge(self) -> Slope:
        """The cost that is counted, ``(N,)`` in its own unit."""
        return self._objectives.charge_slope(self._codes)

    def pull(
        self,
        z: np.ndarray,
        cost: np.ndarray | None = None,
        u: np.ndarray | None = None,
        floor: np.ndarray | None = None,
        floor_u: np.ndarray | None = None,
    ) -> np.ndarray:
        """``(N, D)`` derivatives by the codes, of those by the attributes of these names (None: 0)."""
        goals = self._objectives
        changes = _Changes(self._answers)
        changes.add(goals.columns, z, goals.sign_K / goals.std_K)
        changes.add(goals.columns, u, 1 / goals.std_K, True)
        changes.add(goals.floor_columns, floor, 1 / goals.floor_std_F)
        changes.add(goals.floor_columns, floor_u, 1 / goals.floor_std_F, True)
        if goals.cost == "learned":
            changes.add(goals.cost_columns, cost, 1 / goals.cost_std_K)
            return changes.pull(self._codes)
        out_ND = changes.pull(self._codes)
        return out_ND if cost is None else out_ND + self.charge.pull(cost.sum(1) / goals.cost_scale)

    def _stack(self, columns: Sequence[tuple[str, int]], std: bool = False) -> np.ndarray:
        found: list[np.ndarray] = []
        for setting, i in columns:
            part = self._answers[setting].std if std else self._answers[setting].mean
            assert part is not None
            found.append(part[:, i])
        return np.stack(found, 1)


class _Changes:
    """Derivatives by what predictors answered, gathered: each then goes its way back once."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = answers
        self.found: dict[str, list[np.ndarray | None]] = {}

    def add(self, columns: Sequence[tuple[str, int]], by: np.ndarray | None, factor: Any, std: bool = False) -> None:
        """Derivatives ``(N, C)`` by the standardised columns; ``factor`` is what standardised them."""
        if by is None:
            return
        scaled = by * factor
        for place, (setting, i) in enumerate(columns):
            parts = self.found.setdefault(setting, [np.zeros_like(self.answers[setting].mean), None])
            if std and parts[1] is None:
                parts[1] = np.zeros_like(self.answers[setting].mean)
            part = parts[int(std)]
            assert part is not None
            part[:, i] += scaled[:, place]

    def pull(self, codes_ND: np.ndarray) -> np.ndarray:
        """All of them, ``(N, D)``."""
        out_ND = np.zeros_like(codes_ND)
        for setting, (mean, std) in self.found.items():
            assert mean is not None
            out_ND += self.answers[setting].pull(mean, std)
        return out_ND
