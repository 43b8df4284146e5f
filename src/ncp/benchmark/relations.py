"""How tasks go together over the same architectures, and how early a training's rank is settled.

Source: the supplement of TransNAS-Bench-101, sections 3 and 4 (its Figures 1 and 2). Any tables of one space will do; the second
needs tables with values by epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ncp.benchmark import modes, ranking
from ncp.benchmark.collection import Benchmark
from ncp.benchmark.table import Table
from ncp.errors import UserError


@dataclass(frozen=True)
class Relations:
    """Main metrics of M settings over the N architectures that all tables hold.

    Attributes:
        settings, labels: M names, the settings' and those for people.
        codes: ``(N, D)``.
        values: ``(N, M)``, each in the unit in which papers print it and so that larger is better.
        spearman, kendall: ``(M, M)`` rank correlations.
    """

    settings: tuple[str, ...]
    labels: tuple[str, ...]
    codes: np.ndarray
    values: np.ndarray
    spearman: np.ndarray
    kendall: np.ndarray

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The M (M - 1) / 2 pairs."""
        return list(combinations(range(len(self.labels)), 2))


@dataclass(frozen=True)
class Convergence:
    """Rank correlation between the values after each epoch and after the one before.

    Attributes:
        setting, metric: of what.
        epochs: ``(T,)`` the later epoch of each pair.
        spearman, kendall: ``(T,)``.
    """

    setting: str
    metric: str
    epochs: np.ndarray
    spearman: np.ndarray
    kendall: np.ndarray


def relations(tables: Benchmark, names: Sequence[str]) -> Relations:
    """Of the main metrics of the settings called ``names``.

    Raises:
        UserError: for fewer than two tables, of several spaces, or without three architectures in common.
    """
    found = [tables[name] for name in names]
    if len(found) < 2:
        raise UserError(f"relations are between two settings or more, given were {', '.join(names) or 'none'}")
    if len({table.setting.space for table in found}) > 1:
        raise UserError(f"relations are over the same architectures; {', '.join(names)} are of several spaces")
    codes, values = tables.aligned([(table.name, table.main) for table in found], "all")
    if len(values) < 3:
        raise UserError(
            f"relations need three architectures that all tables hold; {', '.join(names)} share {len(values)}"
        )
    factors = np.array([published(table, table.main) for table in found])
    m = len(found)
    kendall = np.eye(m)
    for i, j in combinations(range(m), 2):
        kendall[i, j] = kendall[j, i] = ranking.kendall(values[:, i], values[:, j])
    labels = tuple(table.setting.paper_name for table in found)
    return Relations(tuple(names), labels, codes, values * factors, ranking.spearman_matrix(values), kendall)


def published(table: Table, metric: str) -> float:
    """By how much papers multiply a metric, with the sign that keeps larger values the better ones."""
    return table.setting.sign(metric) * abs(table.setting.published.get(metric, 1.0))


def convergence(table: Table, metric: str) -> Convergence:
    """Of one metric of a table.

    Raises:
        UserError: where the table holds no values by epoch.
    """
    curves = modes.values(table, metric, "list")
    whole = curves[np.isfinite(curves).all(1)]
    epochs = [epoch for epoch in table.epochs if f"{metric}@{epoch}" in table.columns]
    pairs = [(whole[:, t - 1], whole[:, t]) for t in range(1, whole.shape[1])]
    spearman = np.array([ranking.spearman(a, b) for a, b in pairs])
    kendall = np.array([ranking.kendall(a, b) for a, b in pairs])
    return Convergence(table.name, metric, np.array(epochs[1:]), spearman, kendall)


def converging(table: Table) -> list[str]:
    """The metrics of a table whose convergence can be told: its main one, and the same on test data; none without epochs."""
    wanted = dict.fromkeys((table.main, table.main.replace("valid_", "test_", 1)))
    return [name for name in wanted if sum(f"{name}@{epoch}" in table.columns for epoch in table.epochs) > 1]
