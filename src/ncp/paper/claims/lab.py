"""What claims are measured with: many walks at once, judged, each worked out once.

Shape suffixes: S starts, D dimensions, N architectures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ncp import spaces
from ncp.benchmark import settings
from ncp.paper.judging import Judges
from ncp.paper.searches import SearchResults
from ncp.predictors.base import load

LAMBDA = 0.5  # of all searches of the paper that name none
MANY = 50  # walks for statistics of architectures
SAMPLE = 2000  # architectures that stand for the space where no table is imported


@dataclass
class Lab:
    """Walks, judges and tables.

    Attributes:
        found: the paper's named searches.
        judges: an exact process on all rows of a setting's table, or the default predictor where there is none.
        seeds: how many starts (the paper's first, then random ones) or seeds a claim is measured with.
        seed: the first.
    """

    found: SearchResults
    judges: Judges
    seeds: int = 10
    seed: int = 0
    _ends: dict[tuple[Any, ...], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    _rows: dict[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def space(self) -> spaces.Space[Any]:
        """The multi-resolution space."""
        return spaces.get("multires")

    def walks(self, objectives: tuple[str, ...], starts: int, lam: float = LAMBDA) -> tuple[np.ndarray, np.ndarray]:
        """``(S, D)`` codes where the paper's strategy starts (its default code, then random ones) and where it ends."""
        key = (objectives, lam)
        if key not in self._ends or len(self._ends[key][0]) < starts:
            problem = self._problem(objectives)
            begin = problem.budget.region.round(problem.starts(starts).all())
            self._ends[key] = (begin, self._walk(problem, begin, lam))
        begin, ends = self._ends[key]
        return begin[:starts], ends[:starts]

    def ends(self, *objectives: str, starts: int | None = None, lam: float = LAMBDA) -> np.ndarray:
        """``(S, D)`` where walks end."""
        return self.walks(objectives, starts or self.seeds, lam)[1]

    def transfers(self, source: str, target: str) -> np.ndarray:
        """``(S, D)`` where walks for one setting end that start where those for another one ended (section 4.4)."""
        begin = self.ends(source)
        key = (source, target)
        if key not in self._ends:
            self._ends[key] = (begin, self._walk(self._problem((target,)), begin, LAMBDA))
        return self._ends[key][1]

    def _problem(self, objectives: tuple[str, ...]) -> Any:
        from ncp.search.run import prepare

        return prepare(list(objectives), "paper", seed=self.seed, predictor="paper", judge="paper")

    def _walk(self, problem: Any, begin: np.ndarray, lam: float) -> np.ndarray:
        """``(S, D)`` last codes of the paper's strategy."""
        from ncp.search.loss import Loss
        from ncp.search.propagation import Propagation

        ends: np.ndarray = Propagation(Loss(lam=lam)).ends(problem.objectives, begin.astype(float), problem.budget)
        return ends

    def judge(self, codes: Any, setting: str) -> np.ndarray:
        """``(N,)`` the main metric of codes in percent points, expected by the judge."""
        codes = np.asarray(codes, dtype=np.float64)
        return self.judges.independent(setting).predict(codes)[settings.SETTINGS[setting].main]

    def doubt(self, codes: Any, setting: str) -> np.ndarray:
        """``(N,)`` one standard deviation of the judge's own doubt about it."""
        codes = np.asarray(codes, dtype=np.float64)
        return self.judges.independent(setting).predict_std(codes, noise=False)[settings.SETTINGS[setting].main]

    def macs(self, codes: Any) -> np.ndarray:
        """``(N,)`` exact multiply-adds in billions."""
        return np.asarray(self.space.cost(np.asarray(codes, dtype=np.int64)).macs) / 1e9

    def rows(self, setting: str) -> np.ndarray:
        """The main metric over the setting's table, or where it is not imported as expected over a sample of the space."""
        if setting not in self._rows:
            self._rows[setting] = self._measured(setting)
        return self._rows[setting]

    def costs_and_rows(self, setting: str) -> tuple[np.ndarray, np.ndarray]:
        """``(N,)`` multiply-adds in billions and ``(N,)`` the main metric, of the same networks as :meth:`rows`."""
        table = self.judges.table(setting)
        if table is None:
            codes = self.space.encode(self.space.sample(SAMPLE, np.random.default_rng(self.seed)))
        else:
            from ncp.predictors.rows import from_table

            codes = np.asarray(from_table(table, costs=False).only_good().codes)
        return self.macs(np.rint(codes)), self.rows(setting)

    def _measured(self, setting: str) -> np.ndarray:
        table = self.judges.table(setting)
        if table is not None:
            from ncp.predictors.rows import from_table

            return from_table(table, costs=False).only_good().targets[:, 0]
        sample = self.space.sample(SAMPLE, np.random.default_rng(self.seed))
        return self.judge(self.space.encode(sample), setting)

    def spread(self, setting: str) -> float:
        """The standard deviation of the main metric over the benchmark."""
        return float(np.std(self.rows(setting)))

    def percentile(self, codes: Any, setting: str) -> np.ndarray:
        """``(N,)`` the share of the benchmark, in percent, that is worse than what the judge expects of codes."""
        rows = np.sort(self.rows(setting))
        return 100 * np.searchsorted(rows, self.judge(codes, setting)) / len(rows)

    def columns(self, codes: np.ndarray, *labels: str) -> np.ndarray:
        """``(N,)`` sums of named dimensions."""
        labels_all = list(self.space.labels)
        return np.asarray(codes[:, [labels_all.index(label) for label in labels]].sum(1), dtype=float)


def stated_error(setting: str, family: str) -> float:
    """The mean absolute error of a bundled predictor's main metric, as its card says."""
    predictor = load(setting, family=family)
    return predictor.card.errors[predictor.metrics[0]]["mae"]


def pm(values: Any, digits: int = 2) -> str:
    """Mean and standard deviation, in words.

    >>> pm([1.0, 2.0, 3.0])
    '2.00 ± 0.82'
    """
    values = np.asarray(values, dtype=float)
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f}"


def share(mask: Any) -> float:
    """Of 1."""
    return float(np.mean(np.asarray(mask, dtype=bool)))
