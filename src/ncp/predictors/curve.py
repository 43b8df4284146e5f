"""The learning curve of a setting: what an error, and a search's result, would be with fewer and with more trainings.

Errors at fewer rows are measured: fits on parts of the rows, held against the rest. What a search would lose, and what more
rows would bring, is asked of the process itself: functions drawn from it are what the truth may be, rows that could still be
trained are drawn from the same space, and a search takes the architecture that it then believes to be the best.

Shape suffixes: N new rows, R rows, C candidates, D dimensions of the code, S draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncp.benchmark import settings
from ncp.predictors import evaluation, few, transfer_fit
from ncp.predictors.known import predictors
from ncp.predictors.rows import Rows
from ncp.predictors.transfer import MAX_ROWS, Inputs, Transfer, covariance, factor, variance, warped

STEP = 20
"""Trainings by which the last line of a fit asks whether more are worth it."""
DRAWS, REPEATS, CANDIDATES, POOL = 200, 3, 150, 2000
LEVELS = (0.25, 0.5, 0.75)
"""Searches are simulated under these quantiles of the rows' multiply-adds as limits."""


@dataclass(frozen=True)
class Point:
    """One number of trainings.

    Attributes:
        rows: how many.
        error: mean absolute error on architectures not trained: measured where ``measured``, else expected.
        measured: whether the error was measured by cross-validation inside the rows.
        loss: by how much the architecture that a search takes is expected to lie below the best one of its cost, in the
            metric's unit.
    """

    rows: int
    error: float
    measured: bool
    loss: float


@dataclass(frozen=True)
class Curve:
    """The points by number of trainings, of the main metric.

    Attributes:
        metric: its name.
        points: ascending in ``rows``.
        now: the number of trainings there are.
    """

    metric: str
    points: tuple[Point, ...]
    now: int

    def at(self, rows: int) -> Point:
        """The point of a number of trainings."""
        return next(point for point in self.points if point.rows == rows)

    @property
    def gain(self) -> float:
        """What :data:`STEP` more trainings would likely bring to a search, in the metric's unit."""
        return max(0.0, self.at(self.now).loss - self.at(self.now + STEP).loss)

    @property
    def sentence(self) -> str:
        """One line for people."""
        now = self.at(self.now).loss
        return (
            f"{STEP} more trainings would likely gain {self.gain:.2g} points of {self.metric} (expected loss of the search "
            f"{now:.2g} with {self.now:,}, {max(0.0, now - self.gain):.2g} with {self.now + STEP:,})"
        )

    def to_dict(self) -> dict[str, Any]:
        """For ``result.json``."""
        points = [{"rows": p.rows, "error": p.error, "measured": p.measured, "loss": p.loss} for p in self.points]
        return {"metric": self.metric, "rows": self.now, "points": points, "gain": self.gain, "sentence": self.sentence}


def of(rows: Rows, options: few.Options = few.STANDARD) -> Curve:
    """The curve of the main metric of at least 8 rows (a random part of 2,000 where there are more)."""
    total = len(rows)
    rows = rows.only_metrics(rows.metrics[:1])
    if settings.sign(f"{rows.setting}.{rows.metrics[0]}") < 0:  # a search goes down
        rows = replace(rows, targets=-rows.targets)
    if total > MAX_ROWS:
        rows = rows.subset(np.sort(np.random.default_rng(options.seed).permutation(total)[:MAX_ROWS]))
    world = _World(rows, options)
    n, points = len(rows), []
    for m in sorted({m for m in (n // 4, n // 2, 3 * n // 4) if few.LEAST <= m <= transfer_fit.PART}):
        points.append(Point(m, world.measured(m), True, world.loss(m)))
    points.append(Point(total, world.left_out(), True, world.loss(n)))
    ratio = points[-1].error / max(world.expected(0), 1e-12)
    for more in sorted({STEP, 2 * STEP, n}):
        points.append(Point(total + more, world.expected(more) * ratio, False, world.loss(n, more)))
    return Curve(rows.metrics[0], _falling(points), total)


def _falling(points: list[Point]) -> tuple[Point, ...]:
    """The loss never rises with more trainings; where it seems to, that is the noise of the draws."""
    loss = np.minimum.accumulate([p.loss for p in points])
    return tuple(Point(p.rows, p.error, p.measured, float(x)) for p, x in zip(points, loss, strict=True))


class _World:
    """A process with the hyper-parameters of all rows, in which trainings and searches are simulated."""

    def __init__(self, rows: Rows, options: few.Options) -> None:
        self.rows, self.options = rows, options
        brought = predictors(options.known, rows.setting, rows.space)
        self.known = len(brought)
        self.predictor: Transfer = few.empty(rows, brought)
        self.scale = float(self.predictor.output_std[0])
        with torch.no_grad():
            self.inputs = self.predictor.inputs(self.predictor.codes)
        self.values = self.predictor.values[:, 0]
        self.structure = transfer_fit.MIXTURES[options.remainder].structures[0] if brought else transfer_fit.ROWS
        fitted = transfer_fit.fit(self.inputs, self.values, self.structure, self.known, 1, options.seed)
        self.fitted, self.hyper = fitted, fitted.hyper[0]
        self.inputs = self._scaled(self.inputs)
        self.whole: Tensor | None = None
        self.rng = np.random.default_rng(options.seed)
        self.generator = torch.Generator().manual_seed(options.seed)
        space = self.predictor.space
        self.lower, self.upper = rows.codes.min(axis=0), rows.codes.max(axis=0)
        self.macs = np.asarray(space.cost(rows.codes.astype(np.int64)).macs, dtype=np.float64)
        self.candidates = list(self._candidates())

    def measured(self, m: int) -> float:
        """Mean absolute error of fits on ``m`` of the rows on the others."""
        errors = []
        for _ in range(REPEATS):
            order = torch.as_tensor(self.rng.permutation(len(self.values)))
            some, rest = (Inputs(*(i[part] for i in self.inputs)) for part in (order[:m], order[m:]))
            fitted = transfer_fit.fit(some, self.values[order[:m]], self.structure, self.known, 1, 0, lengths=False)
            mean, _ = transfer_fit.answers(some, self.values[order[:m]], rest, fitted, self.known)
            errors.append(evaluation.mae(self.values[order[m:]].numpy(), mean))
        return float(np.mean(errors)) * self.scale

    def left_out(self) -> float:
        """Mean absolute error on rows from fits without them."""
        mean, _ = few.crossed(self.inputs, self.values, self.structure, self.known, self.options)
        return evaluation.mae(self.values.numpy(), mean) * self.scale

    def expected(self, more: int) -> float:
        """What the process expects the error to be with ``more`` rows, on architectures like those of the rows."""
        new, test = self._random(more), self._random(200)
        mean, joint, _ = self._posterior(torch.arange(len(self.values)), _joined(new, test))
        t = slice(more, None)
        left = joint[t, t].diagonal()
        if more:
            noisy = joint[:more, :more] + self.hyper[5].square() * torch.eye(more, dtype=joint.dtype)
            left = left - (joint[t, :more] * torch.linalg.solve(noisy, joint[:more, t]).mT).sum(1)
        gap = self._gap(mean[t])
        deviation = (left.clamp_min(0) + self.hyper[5].square()).sqrt() * self._width() * gap
        return float(deviation.mean()) * few.NORMAL * self.scale

    def loss(self, m: int, more: int = 0) -> float:
        """Expected loss of a search that knows ``m`` of the rows and ``more`` new ones."""
        found = []
        for candidates in self.candidates:
            for _ in range(REPEATS if m < len(self.values) or more else 1):
                part = torch.as_tensor(self.rng.permutation(len(self.values))[:m])
                new = self._random(more)
                mean, joint, level = self._posterior(part, _joined(new, candidates))
                found.append(self._one_loss(mean, joint, level, more))
        return float(np.mean(found)) * self.scale

    def _one_loss(self, mean: Tensor, joint: Tensor, level: Tensor, more: int) -> float:
        eye = torch.eye(len(mean), dtype=joint.dtype)
        lower = torch.linalg.cholesky(joint + 1e-6 * eye)
        noise = torch.randn(DRAWS, len(mean), generator=self.generator, dtype=joint.dtype)
        truth_SC = mean + noise @ lower.mT
        believed_SC = mean[more:].expand(DRAWS, -1)
        if more:
            result_SN = truth_SC[:, :more] + self.hyper[5] * torch.randn(
                DRAWS, more, generator=self.generator, dtype=joint.dtype
            )
            noisy = joint[:more, :more] + self.hyper[5].square() * eye[:more, :more]
            gain_NC = torch.linalg.solve(noisy, joint[:more, more:])
            believed_SC = believed_SC + (result_SN - mean[:more]) @ gain_NC
        value_SC = -self._gap(truth_SC[:, more:])
        taken_S = value_SC.gather(1, believed_SC.argmax(1, keepdim=True))[:, 0]
        return float((value_SC.max(1).values - taken_S).mean())

    def _posterior(self, part: Tensor, new: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and covariance of the warped, standardised metric at new inputs, from a part of the rows."""
        rows, lower = self._factor(part)
        t_R, level, _ = self._warped()
        half = torch.linalg.solve_triangular(lower, covariance(rows, new, self.hyper, self.known), upper=False)
        solved = torch.linalg.solve_triangular(lower, t_R[part][:, None], upper=False)
        joint = covariance(new, new, self.hyper, self.known) - half.mT @ half
        return (half.mT @ solved)[:, 0], (joint + joint.mT) / 2, level

    def _factor(self, part: Tensor) -> tuple[Inputs, Tensor]:
        """Some of the rows, or all of them in their own order, and the factor of their covariance."""
        if len(part) < len(self.values):
            rows = Inputs(*(i[part] for i in self.inputs))
            return rows, factor(rows, self.hyper, self.known)
        if self.whole is None:
            self.whole = factor(self.inputs, self.hyper, self.known)
        part.copy_(torch.arange(len(part)))
        return self.inputs, self.whole

    def _warped(self) -> tuple[Tensor, Tensor, Tensor]:
        return warped(self.values, self.hyper[-1])

    def _width(self) -> Tensor:
        return self._warped()[2]

    def _gap(self, t: Tensor) -> Tensor:
        """Distance to the top, in standardised values, at warped ones."""
        _, level, width = self._warped()
        return torch.exp(-(level + width * t))

    def _scaled(self, inputs: Inputs) -> Inputs:
        return Inputs(inputs.smooth * self.fitted.length, inputs.linear)

    def _at(self, codes: np.ndarray) -> Inputs:
        with torch.no_grad():
            return self._scaled(self.predictor.inputs(torch.as_tensor(codes, dtype=torch.float64)))

    def _codes(self, n: int) -> np.ndarray:
        space = self.predictor.space
        drawn = self.lower + (self.upper - self.lower) * self.rng.random((n, space.dim))
        return space.round(drawn).astype(np.float64)

    def _random(self, n: int) -> Inputs:
        return self._at(self._codes(n))

    def _candidates(self) -> Iterator[Inputs]:
        """For each cost limit, what a search may take: the most promising of many, and of changes of those."""
        space, codes = self.predictor.space, self._codes(POOL)
        everything = torch.arange(len(self.values))
        for limit in np.quantile(self.macs, LEVELS):
            pool = np.concatenate([codes, self.rows.codes])
            for generation in range(3):
                pool = pool[np.asarray(space.cost(pool.astype(np.int64)).macs) <= limit]
                pool = np.unique(pool, axis=0)
                inputs = self._at(pool)
                mean, deviation = self._marginal(everything, inputs)
                best = torch.argsort(-(mean + deviation))[:CANDIDATES]
                if generation == 2:
                    yield Inputs(*(i[best] for i in inputs))
                    break
                parents = pool[best.numpy()]
                children = np.repeat(parents, 4, axis=0)
                change = self.rng.random(children.shape) < 3 / space.dim
                pool = np.concatenate([parents, np.where(change, self._codes(len(children)), children)])
                pool = space.round(pool).astype(np.float64)

    def _marginal(self, part: Tensor, new: Inputs) -> tuple[Tensor, Tensor]:
        rows, lower = self._factor(part)
        half = torch.linalg.solve_triangular(lower, covariance(rows, new, self.hyper, self.known), upper=False)
        solved = torch.linalg.solve_triangular(lower, self._warped()[0][part][:, None], upper=False)
        left = variance(new, self.hyper, self.known) - half.square().sum(0)
        return (half.mT @ solved)[:, 0], left.clamp_min(1e-9).sqrt()


def _joined(first: Inputs, second: Inputs) -> Inputs:
    return Inputs(*(torch.cat(both) for both in zip(first, second, strict=True)))
