"""The project's own search for a number of evaluations: rounds of asking where a Gaussian process hopes for most.

As in an adaptive build: some random architectures first, then rounds of a few; after each a process is fitted to all that was
asked, and those with the largest mean plus doubt are asked next. Values enter by their ranks (as normal scores), since a table's
worst trainings lie far from all others. The process sees the space's features and the logarithms of exact costs.

Shape suffixes: R runs, Q evaluations, C candidates, F features, K known columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from msgspec import Meta
from scipy.special import ndtri
from scipy.stats import rankdata

from ncp.search.querying.ground import Ground, TableGround
from ncp.search.querying.process import Processes


@dataclass(frozen=True)
class Rounds:
    """``strategy=rounds``.

    Attributes:
        first: architectures drawn before the first round.
        size: architectures a round.
        kappa: how many of its standard deviations are added to the process' mean.
        known: whether columns that are known without asking (other tasks' results) are looked at: ``rounds_known``.
    """

    first: Annotated[int, Meta(ge=1, le=10**9)] = 10
    size: Annotated[int, Meta(ge=1, le=10**9)] = 5
    kappa: Annotated[float, Meta(ge=0)] = 1.0
    known: bool = False

    def run(self, ground: Ground, queries: int, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """``(R, Q)`` handles in the order in which they are asked about."""
        pool = _Pool(ground, generators, self.known)
        asked = pool.first(min(self.first, queries))
        while asked.shape[1] < queries:
            scores = normal_scores(ground.fitness(asked))
            spread = scores.std(1, keepdims=True)
            targets = torch.from_numpy((scores - scores.mean(1, keepdims=True)) / np.where(spread > 0, spread, 1.0))
            process = Processes(*pool.of(asked, targets))
            some, seen = pool.candidates(asked)
            mean, std = process.posterior(*seen)
            hope = mean + self.kappa * std
            hope[(some[..., None] == asked[:, None]).any(-1)] = -np.inf
            n = min(self.size, queries - asked.shape[1])
            best = np.argsort(-hope, axis=1, kind="stable")[:, :n]
            asked = np.concatenate([asked, np.take_along_axis(some, best, 1)], axis=1)
        return asked


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Values by their ranks along the last axis: the quantiles of a normal distribution; ties share theirs."""
    out: np.ndarray = ndtri((rankdata(values, axis=-1) - 0.5) / values.shape[-1])
    return out


class _Pool:
    """What may be asked, as a process sees it: standardised features and known columns.

    Of a table all rows; of an open ground a sample a round and run, and what is one mutation from the best so far.
    """

    def __init__(self, ground: Ground, generators: Sequence[np.random.Generator], known: bool) -> None:
        self.ground, self.generators = ground, generators
        self.whole = isinstance(ground, TableGround)
        sample = ground.candidates(generators[0] if self.whole else np.random.default_rng(0))
        raw = self._raw(sample)
        self.offset, self.spread = raw.mean(0), raw.std(0)
        self.varying = self.spread > 1e-9
        if not self.varying.any():  # a limit may leave architectures that all look alike: one column, the same in all
            self.varying[0], self.spread[0] = True, 1.0
        columns = list(getattr(ground, "known", {}).values()) if known else []
        scores = [normal_scores(column) for column in columns]
        self.columns = torch.from_numpy(np.stack(scores, axis=1) if scores else np.zeros((len(sample), 0)))
        self.features = torch.from_numpy(self._standard(raw)) if self.whole else None

    def first(self, n: int) -> np.ndarray:
        """``(R, n)`` handles: at random, or where columns are known, the best by their mean and others at random."""
        drawn = np.stack([self.ground.draw(n, generator) for generator in self.generators])
        if self.columns.shape[1]:
            best = np.argsort(-self.columns.mean(1).numpy(), kind="stable")[: n // 2]
            for row in drawn:
                rest = [handle for handle in row.tolist() if handle not in set(best.tolist())]
                row[:] = [*best.tolist(), *rest, *row.tolist()][:n]  # where too few are left, some are asked again
        return drawn

    def of(self, asked_RQ: np.ndarray, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features, targets and known columns of what was asked."""
        z, k = self._seen(asked_RQ)
        return z, targets, k

    def candidates(self, asked_RQ: np.ndarray) -> tuple[np.ndarray, tuple[torch.Tensor, torch.Tensor]]:
        """``(R, C)`` handles, and their features and known columns."""
        if self.features is not None:
            runs = len(asked_RQ)
            some = np.broadcast_to(np.arange(len(self.features)), (runs, len(self.features)))
            return some, (self.features.expand(runs, -1, -1), self.columns.expand(runs, -1, -1))
        rows = []
        best = self.ground.fitness(asked_RQ).argmax(1)
        for row, top, generator in zip(asked_RQ, best.tolist(), self.generators, strict=True):
            near = self.ground.mutate(np.repeat(row[top], 200), generator.random((200, 2)))
            far = self.ground.mutate(near, generator.random((200, 2)))
            rows.append(np.concatenate([self.ground.candidates(generator), near, far]))
        some = np.stack(rows)
        return some, self._seen(some)

    def _seen(self, handles: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        if self.features is not None:
            return self.features[handles], self.columns[handles]
        flat = self._standard(self._raw(handles.ravel())).reshape(*handles.shape, -1)
        return torch.from_numpy(flat), torch.zeros(*handles.shape, 0, dtype=torch.float64)

    def _raw(self, handles: np.ndarray) -> np.ndarray:
        codes, space = self.ground.codes(handles), self.ground.space
        cost = space.cost(codes)
        logs = [np.log2(np.asarray(part, dtype=np.float64))[:, None] for part in (cost.params, cost.macs)]
        return np.concatenate([space.features(codes.astype(np.float64)), *logs], axis=1)

    def _standard(self, raw: np.ndarray) -> np.ndarray:
        out: np.ndarray = (raw[:, self.varying] - self.offset[self.varying]) / self.spread[self.varying]
        return out
