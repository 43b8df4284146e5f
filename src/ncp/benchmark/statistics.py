"""The paper's own analysis of the benchmark: Table 6, Figure 4 and Figure 5, on the released tables or on anyone's.

Which rows: ``rows="paper"`` (the default) takes those on which the paper computed its figures. That is one training run
of 3ddet, told apart by the input size of its recorded flops: Figure 4 uses the architectures of that run for all nine
settings, Table 6 uses the run for 3ddet alone and all rows of the other settings. ``all`` and ``clean`` (without failed
trainings and suspect batches) are the alternatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ncp.benchmark import ranking
from ncp.benchmark.collection import Benchmark
from ncp.benchmark.table import Table
from ncp.errors import UserError

MIN_ROWS = 3
KITTI_FIGURE_5C = ("car/3d/moderate", "car/bev/moderate", "pedestrian/3d/moderate", "pedestrian/bev/moderate")


@dataclass(frozen=True)
class MetricSummary:
    """One column of the paper's Table 6.

    Attributes:
        setting, paper_name, dataset, metric: what was measured.
        rows: how many.
        mean, std: of the main metric in percent points (std with N - 1).
        prediction_loss: a predictor's mean absolute error in percent points, where the caller has one.
    """

    setting: str
    paper_name: str
    dataset: str
    metric: str
    rows: int
    mean: float
    std: float
    prediction_loss: float | None = None


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of several columns over the same rows.

    Attributes:
        labels: M names.
        matrix: ``(M, M)``.
        rows: how many rows.
        rule: how they were chosen.
    """

    labels: tuple[str, ...]
    matrix: np.ndarray
    rows: int
    rule: str


@dataclass(frozen=True)
class Rankings:
    """Figure 5 (b) or (c): where each architecture stands under each of several metrics.

    Attributes:
        ranks: ``(N, M)``, 1 for the best; architectures ordered by the first metric, best first.
        correlation: of the M metrics.
    """

    ranks: np.ndarray
    correlation: Correlation


def spearman(values: np.ndarray) -> np.ndarray:
    """``(M, M)`` Spearman's rank correlation of the columns of ``(N, M)``; NaN for a constant column.

    Raises:
        UserError: for fewer than three rows.
    """
    if len(values) < MIN_ROWS:
        raise UserError(f"a rank correlation needs at least {MIN_ROWS} rows, given were {len(values)}")
    return ranking.spearman_matrix(values)


def table6(
    benchmark: Benchmark, rows: str = "paper", losses: Mapping[str, float] | None = None, names: Sequence[str] = ()
) -> list[MetricSummary]:
    """Mean and standard deviation of each setting's main metric (paper, Table 6), in the paper's order.

    Args:
        benchmark: the tables; those that are missing are left out.
        rows: rule for choosing rows in each table (see the module).
        losses: setting -> mean absolute error of a predictor in points, for the last row of Table 6.
        names: settings to summarise, the paper's or others; default: those of the paper.
    """
    out = []
    for name in names or benchmark.paper:
        table = benchmark[name]
        values = table.column(table.main)[table.rows(rows)]
        if len(values) < MIN_ROWS:
            raise UserError(
                f"the rule '{rows}' leaves {len(values)} rows of {name}; statistics need at least {MIN_ROWS}"
            )
        setting = table.setting
        mean, std = float(values.mean()), float(values.std(ddof=1))
        loss = (losses or {}).get(table.name)
        out.append(
            MetricSummary(table.name, setting.paper_name, setting.dataset, table.main, len(values), mean, std, loss)
        )
    if not out:
        raise UserError(
            "none of the paper's nine settings is among the tables, and Table 6 needs one; of another setting give its name"
            + (f" (setting={next(iter(benchmark))})" if benchmark else "")
        )
    return out


def figure4(benchmark: Benchmark, rows: str = "paper") -> Correlation:
    """Spearman's correlation of the settings' main metrics over shared architectures (paper, Figure 4)."""
    _, values = benchmark.aligned(rows=rows)
    labels = tuple(benchmark[name].setting.paper_name for name in benchmark.paper)
    return Correlation(labels, spearman(values), len(values), rows)


def figure5a(table: Table, metric: str | None = None) -> Correlation:
    """Spearman's correlation of a metric after different epochs, the final one last (paper, Figure 5 a).

    Raises:
        UserError: for a table without epochs, such as the released ones.
    """
    metric = metric or table.main
    columns = [f"{metric}@{epoch}" for epoch in table.epochs if f"{metric}@{epoch}" in table.columns]
    if not columns:
        raise UserError(
            f"the table of {table.name} holds final values only, as all released tables do: Figure 5 (a) needs columns such "
            f"as '{metric}@10' (a build that evaluates every few epochs writes them)"
        )
    return _correlation(table, [*columns, metric], "all")


def figure5b(table: Table, metrics: Sequence[str] | None = None, rows: str = "all") -> Rankings:
    """Rankings of the architectures under several metrics (paper, Figure 5 b: mIoU, mAcc and aAcc of seg).

    Args:
        table: any table with more than one metric.
        metrics: columns; default the setting's own.
        rows: rule for choosing rows (the paper's picture shows all).
    """
    names = list(metrics or table.metrics)
    if len(names) < 2:
        raise UserError(f"rankings compare at least two metrics; {table.name} has {', '.join(names)}")
    values = _values(table, names, rows)
    scores = values * np.array([table.setting.sign(name) for name in names])
    order = np.argsort(-scores[:, 0], kind="stable")
    descending = np.stack([ranking.ranks(-column) for column in scores[order].T], axis=1)
    return Rankings(descending, Correlation(tuple(names), spearman(values), len(values), rows))


def figure5c(table: Table, metrics: Sequence[str] = KITTI_FIGURE_5C, rows: str = "all") -> Rankings:
    """Rankings under the 3D and bird's-eye-view precision of cars and pedestrians (paper, Figure 5 c).

    A name such as ``car/3d/moderate`` takes the column of that name, or the one with ``/AP11`` or ``/AP40`` at its end.

    Raises:
        UserError: for a table without metrics by class, such as the released 3ddet.
    """
    columns = []
    for name in metrics:
        found = next((c for c in (name, f"{name}/AP11", f"{name}/AP40") if c in table.columns), None)
        if found is None:
            raise UserError(
                f"the table of {table.name} has no column '{name}' (nor '{name}/AP11'): Figure 5 (c) needs metrics by class, "
                "which the released tables do not hold; a build of 3ddet writes them"
            )
        columns.append(found)
    return figure5b(table, columns, rows)


def _correlation(table: Table, names: Sequence[str], rows: str) -> Correlation:
    values = _values(table, names, rows)
    return Correlation(tuple(names), spearman(values), len(values), rows)


def _values(table: Table, names: Sequence[str], rows: str) -> np.ndarray:
    """``(N, M)`` of the chosen rows that have all of the columns."""
    values = np.stack([table.column(name) for name in names], axis=1)[table.rows(rows)]
    chosen: np.ndarray = values[np.isfinite(values).all(1)]
    return chosen
