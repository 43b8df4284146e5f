"""Equation 3: the distance of predicted metrics and cost to their targets.

Shape suffixes: S codes, K objectives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ncp.errors import UserError
from ncp.numeric import finite
from ncp.search.objectives import LEARNED_COST, Objectives, split_metric

LOSSES = ("smooth_l1", "l1")
TARGETS = ("relative", "fixed", "absolute")
REACHED = 0.01  # a target is met within this share of a metric's standard deviation


class Outputs(NamedTuple):
    """Standardised metrics (larger is better) and costs (smaller is better), ``(..., S, K)`` float64 each."""

    z: np.ndarray
    cost: np.ndarray


@dataclass(frozen=True)
class Loss:
    """The loss of a propagation, in standardised outputs; ``sum_k weight_k * (l(z, target) + lam * l(cost, target))``.

    Attributes:
        kind: ``smooth_l1`` (beta 1) or ``l1``. With targets set anew one unit away the two have the same gradient, -1 for
            a metric and +lambda for its cost; with ``l1`` the size of ``step`` has no effect at all.
        targets: ``relative`` (``step`` better than now, set anew every iteration), ``fixed`` (``step`` better than the
            start, set once) or ``absolute`` (``values``).
        step: how much better, in standard deviations.
        values: for ``absolute``: ``seg.mIoU`` (or ``seg``) -> value, and ``macs`` (exact cost) or ``flops`` (learned, in
            billions) for the cost; without the latter there is no cost term.
        lam: lambda, the weight of cost.

    Raises:
        UserError: for a kind that does not exist, a step that is not positive or a negative lambda.
    """

    kind: str = "smooth_l1"
    targets: str = "relative"
    step: float = 1.0
    values: Mapping[str, float] | None = None
    lam: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in LOSSES:
            raise UserError(f"the loss is {' or '.join(LOSSES)}, given was '{self.kind}'")
        if self.targets not in TARGETS:
            raise UserError(f"targets is one of {', '.join(TARGETS)}, given was '{self.targets}'")
        object.__setattr__(self, "step", finite("the step of the targets", self.step, above=0))
        object.__setattr__(self, "lam", finite("lam", self.lam, least=0))

    @classmethod
    def pop(cls, lam: float, options: dict[str, Any]) -> Loss:
        """From flat options, which it takes out: ``loss``, ``targets`` (a kind, or a mapping of values), ``step``."""
        targets = options.pop("targets", "relative")
        values = dict(targets) if isinstance(targets, Mapping) else None
        kind = "absolute" if values is not None else str(targets)
        return cls(str(options.pop("loss", "smooth_l1")), kind, options.pop("step", 1.0), values, lam)

    def goals(self, objectives: Objectives, start: Outputs) -> Outputs | None:
        """Targets for walks from ``start``; None where they are set anew every iteration."""
        if self.targets == "relative":
            return None
        if self.targets == "fixed":
            return Outputs(start.z + self.step, start.cost - self.step)
        z_K, cost_K = self._absolute(objectives)
        return Outputs(np.broadcast_to(z_K, start.z.shape), np.broadcast_to(cost_K, start.cost.shape))

    def _absolute(self, objectives: Objectives) -> tuple[np.ndarray, np.ndarray]:
        given = dict(self.values or {})
        costs = {name: given.pop(name) for name in ("macs", LEARNED_COST, "latency_ms") if name in given}
        costs = {name: v if v is None else finite(f"the target of {name}", v) for name, v in costs.items()}
        wanted: dict[str, float] = {}
        for key, value in given.items():
            name = ".".join(split_metric(str(key), objectives.predictors))
            wanted[name] = finite(f"the target of {name}", value)
        names = [o.name for o in objectives.items]
        if set(wanted) != set(names):
            raise UserError(
                f"absolute targets need a value for each objective ({', '.join(names)}); given were "
                f"{', '.join(wanted) or 'none'}"
            )
        unit = {"learned": LEARNED_COST, "latency": "latency_ms"}.get(objectives.cost, "macs")
        if set(costs) - {unit}:
            raise UserError(f"with cost={objectives.cost} the cost's target is '{unit}', given was {', '.join(costs)}")
        return objectives.standardise(wanted, costs.get(unit))

    def value(self, at: Outputs, goals: Outputs | None, weights_K: np.ndarray) -> np.ndarray:
        """``(..., S)`` losses.

        Targets that are set anew make the loss constant; what it descends then, ``-(z - lam * cost)``, stands for it.
        """
        if goals is None:
            ascent: np.ndarray = -(at.z - self.lam * at.cost) @ weights_K
            return ascent
        out: np.ndarray = (self._distance(goals.z - at.z) + self.lam * self._distance(at.cost - goals.cost)) @ weights_K
        return out

    def slopes(self, at: Outputs, goals: Outputs | None, weights_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of the loss by z and by cost, ``(S, K)`` each."""
        if goals is None:
            slope = 1.0 if self.kind == "l1" else min(self.step, 1.0)
            ones = np.ones_like(at.z) * (slope * weights_K)
            return -ones, self.lam * ones
        z, cost = self._slope(at.z - goals.z), self._slope(at.cost - goals.cost)
        return z * weights_K, self.lam * cost * weights_K

    def _distance(self, far: np.ndarray) -> np.ndarray:
        size = np.where(np.isfinite(far), np.abs(far), 0.0)
        return size if self.kind == "l1" else np.where(size < 1, size * size / 2, size - 0.5)

    def _slope(self, far: np.ndarray) -> np.ndarray:
        far = np.where(np.isfinite(far), far, 0.0)
        out: np.ndarray = np.sign(far) if self.kind == "l1" else np.clip(far, -1, 1)
        return out

    def reached(self, at: Outputs, goals: Outputs | None) -> np.ndarray:
        """``(S,)`` bool: all targets are met within ``REACHED``."""
        if goals is None:
            return np.zeros(len(at.z), dtype=bool)
        met = (at.z >= goals.z - REACHED) & (at.cost <= goals.cost + REACHED)
        return np.asarray(met.all(1))
