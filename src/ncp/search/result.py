"""What a search found, beside where it began and the space's default, in the eyes of its predictors and of the judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ncp.predictors.trust import knows
from ncp.search.judges import PredictorPanel
from ncp.search.limits import Budget
from ncp.search.objectives import Objective, Objectives
from ncp.search.ranges import Range, ranges
from ncp.search.trajectory import Trajectory

Figures = dict[str, dict[str, float]]
"""Setting -> metric -> number, in the metric's unit."""


@dataclass(frozen=True)
class Opinion:
    """What predictors say of one architecture.

    Attributes:
        value: predicted metrics.
        doubt: one standard deviation of the predictor's own doubt about the value, which floors take off (times kappa).
        noise: one standard deviation of a training's result around its expectation.
        std: of a training's result around the prediction, which is both together.
        min_overlap: setting -> class -> the overlap from which boxes count as found, of detection.
    """

    value: Figures
    doubt: Figures
    noise: Figures
    std: Figures
    min_overlap: Figures = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """One architecture: exact cost in the space's standard setting, and opinions of its metrics.

    Attributes:
        architecture, macs, params: what it is and costs.
        predicted: by the predictors of the search.
        judged: by the judge.
        known: whether it lies within what all these predictors were fitted on; elsewhere they extrapolate.
        others: what else it takes, by the quantity's name: ``latency_ms`` with ``latency_ms_std``, ``memory_mb``.
    """

    architecture: Any
    macs: int
    params: int
    predicted: Opinion
    judged: Opinion
    known: bool = True
    others: dict[str, float] = field(default_factory=dict)


@dataclass
class Result:
    """What a search found.

    Attributes:
        found: the architecture that the strategy returns: the best by its own criterion, or what its ``keep`` says.
        before: the start that was given, else the space's default.
        default: the space's default.
        last: the last step of the walk that holds ``found``.
        best: the step of least loss.
        trajectory: every step.
        reason: why the search stopped, and which limits it could not keep.
        kept: whether all limits are kept.
        notes: what else a reader must know, in words.
        seconds: wall time of the search, without loading predictors.
        strategy, objectives: what was run.
        kappa: how many times its doubt the strategy takes off a prediction; None where it does not weigh doubt.
        predictor, judge: setting -> who predicted and who judged: a family of bundled predictors, or a file.
        budget: the limits, and where the search could move.
        panels: the predictors that were asked, and the judge.
        measured: what was measured on this machine in the end.
    """

    found: Candidate
    before: Candidate
    default: Candidate
    last: Candidate
    best: Candidate
    trajectory: Trajectory = field(repr=False)
    reason: str = ""
    kept: bool = True
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    strategy: str = ""
    objectives: tuple[Objective, ...] = ()
    kappa: float | None = None
    predictor: dict[str, str] = field(default_factory=dict)
    judge: dict[str, str] = field(default_factory=dict)
    budget: Budget | None = field(default=None, repr=False)
    panels: tuple[PredictorPanel, PredictorPanel] | None = field(default=None, repr=False)
    measured: list[Any] = field(default_factory=list)

    @cached_property
    def ranges(self) -> dict[str, Range]:
        """Dimension -> how freely it may change around what was found; empty in spaces of choices."""
        if self.budget is None:
            return {}
        code = self.trajectory.objectives.space.encode([self.found.architecture])[0]
        return ranges(self.trajectory.objectives, self.budget, code)

    @property
    def architecture(self) -> Any:
        """The architecture that was found."""
        return self.found.architecture

    @property
    def macs(self) -> int:
        """Its multiply-adds, exact."""
        return self.found.macs

    @property
    def params(self) -> int:
        """Its parameters, exact."""
        return self.found.params

    @property
    def predicted(self) -> Figures:
        """Its predicted metrics, of all settings asked for."""
        return self.found.predicted.value

    @property
    def std(self) -> Figures:
        """One standard deviation of a training's result around the prediction."""
        return self.found.predicted.std

    @property
    def doubt(self) -> Figures:
        """The predictors' own part of it, which floors take off."""
        return self.found.predicted.doubt

    @property
    def noise(self) -> Figures:
        """A training's part of it."""
        return self.found.predicted.noise

    @property
    def judged(self) -> Figures:
        """Its metrics as the judge predicts them: what comparisons show."""
        return self.found.judged.value

    @property
    def start(self) -> Any:
        """The start that was given, else the space's default."""
        return self.before.architecture


def candidates(goals: Objectives, asked: PredictorPanel, judge: PredictorPanel, codes: np.ndarray) -> list[Candidate]:
    """``(N, D)`` valid codes, described; equal ones alike to the last bit, which their place among others could change."""
    different, places = np.unique(codes.astype(np.int64), axis=0, return_inverse=True)
    described = _described(goals, asked, judge, different)
    return [described[int(i)] for i in places.ravel()]


def _described(goals: Objectives, asked: PredictorPanel, judge: PredictorPanel, codes: np.ndarray) -> list[Candidate]:
    space = goals.space
    cost = space.cost(codes)
    predicted = opinions(asked, codes)
    judged = predicted if judge is asked else opinions(judge, codes)
    all_of_them = (*asked.predictors.values(), *judge.predictors.values())
    known = np.all([knows(predictor, codes) for predictor in all_of_them], axis=0)
    others: list[dict[str, float]] = [{} for _ in codes]
    for quantity in goals.quantities:
        value, std = quantity.told(codes)
        for i, told in enumerate(others):
            told[quantity.name] = float(value[i])
            if std is not None:
                told[f"{quantity.name}_std"] = float(std[i])
    return [
        Candidate(a, int(cost.macs[i]), int(cost.params[i]), predicted[i], judged[i], bool(known[i]), others[i])
        for i, a in enumerate(space.decode(codes))
    ]


def opinions(panel: PredictorPanel, codes: np.ndarray) -> list[Opinion]:
    """What the predictors say of ``(N, D)`` codes."""
    out = [Opinion({}, {}, {}, {}, panel.min_overlap) for _ in codes]
    for setting, predictor in panel.predictors.items():
        value, own, both = (
            predictor.predict(codes),
            predictor.predict_std(codes, noise=False),
            predictor.predict_std(codes),
        )
        for i, opinion in enumerate(out):
            opinion.value[setting] = {m: float(value[m][i]) for m in predictor.metrics}
            opinion.doubt[setting] = {m: float(own[m][i]) for m in predictor.metrics}
            opinion.std[setting] = {m: float(both[m][i]) for m in predictor.metrics}
            opinion.noise[setting] = {
                m: float(np.sqrt(max(both[m][i] ** 2 - own[m][i] ** 2, 0.0))) for m in predictor.metrics
            }
    return out
