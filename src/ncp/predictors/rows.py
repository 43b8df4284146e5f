"""What a predictor is fitted on: rows of one setting as arrays, and the rule by which a table's rows are chosen.

Shape suffixes: N rows, D dimensions of the code, M metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import spaces
from ncp.benchmark import settings
from ncp.benchmark.index import RowIndex
from ncp.errors import UserError

if TYPE_CHECKING:
    from ncp.benchmark.table import Table

COSTS = ("flops", "params")
RULES = ("good", "all")
RELEASE, RELEASE_ROWS = "github.com/dingmyu/NCP data/", 2507  # of each of its multi-resolution settings
RELEASE_LICENCE = "BSD-2-Clause, for academic use; commercial use: ask its authors"
_RELEASE_FILE = "trainval.pkl"


@dataclass(frozen=True)
class Rows:
    """Architectures and what was measured of them.

    Attributes:
        codes: ``(N, D)`` float64 raw codes.
        targets: ``(N, M)`` float64 in the tables' units (percent points; ``flops`` and ``params`` as recorded).
        metrics: M names, the main metric first and costs last.
        setting: the setting's name.
        space: name of the search space.
        good: ``(N,)`` bool, rows of which nothing is known to be wrong; all unless given.
        source: where the rows came from.
        licence: the terms of that source.
        left_out: reason -> number of rows of the source that are not here.
        min_overlap: of detection, see :class:`ncp.benchmark.settings.Setting`.
    """

    codes: np.ndarray
    targets: np.ndarray
    metrics: tuple[str, ...]
    setting: str
    space: str = "multires"
    good: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    source: str = ""
    licence: str = ""
    left_out: dict[str, int] = field(default_factory=dict)
    min_overlap: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        codes, targets = np.asarray(self.codes, dtype=np.float64), np.asarray(self.targets, dtype=np.float64)
        good = np.asarray(self.good, dtype=bool)
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "metrics", tuple(self.metrics))
        object.__setattr__(self, "good", good if good.size else np.ones(len(codes), dtype=bool))
        dim = spaces.get(self.space).dim
        if codes.ndim != 2 or codes.shape[1] != dim:
            raise UserError(f"rows of space '{self.space}' have codes of shape (N, {dim}), given was {codes.shape}")
        if targets.shape != (len(codes), len(self.metrics)) or self.good.shape != (len(codes),):
            raise UserError(
                f"{len(codes)} codes need targets of shape ({len(codes)}, {len(self.metrics)}) for "
                f"{', '.join(self.metrics)}, given was {targets.shape}"
            )
        if not (np.isfinite(codes).all() and np.isfinite(targets).all()):
            raise UserError(f"the rows of {self.setting} hold numbers that are not finite; leave those rows out")

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def first(self) -> np.ndarray:
        """``(N,)`` of each row the first one with its architecture."""
        codes = self.codes.astype(np.int64)
        return RowIndex(codes).find(codes)

    def subset(self, index: Any) -> Rows:
        """Some rows, by row numbers or a mask ``(N,)``."""
        return replace(self, codes=self.codes[index], targets=self.targets[index], good=self.good[index])

    def only_metrics(self, names: Sequence[str]) -> Rows:
        """The same rows with some of their metrics."""
        keep = [self.metrics.index(name) for name in names]
        return replace(self, targets=self.targets[:, keep], metrics=tuple(names))

    def varying(self) -> tuple[Rows, tuple[str, ...]]:
        """The rows without the metrics that are the same in all of them, and these metrics' names.

        Raises:
            UserError: where the main metric is one of them: then there is nothing to learn.
        """
        if not len(self):
            return self, ()
        same = tuple(name for i, name in enumerate(self.metrics) if is_constant(self.targets[:, i]))
        if self.metrics and self.metrics[0] in same:
            raise UserError(
                f"{self.metrics[0]} is {self.targets[0, 0]:g} in all {len(self):,} rows of {self.setting}: there is nothing "
                "to learn from them; train longer, or architectures that differ more"
            )
        return self.only_metrics([name for name in self.metrics if name not in same]), same

    def only_good(self) -> Rows:
        """The rows of which nothing is known to be wrong."""
        return self.subset(self.good)

    def as_fractions(self) -> bool:
        """Whether the main metric is one in percent points and the best row has some, but no more than one of them."""
        known = settings.SETTINGS.get(self.setting)
        if known is None or not len(self):
            return False
        return known.as_fractions(self.metrics[0], float(self.targets[:, 0].max()))

    @property
    def lost(self) -> str:
        """In words, which rows of the source are not here and why; empty where all are."""
        rows = [f"{number:,} {'rows' if number > 1 else 'row'} {reason}" for reason, number in self.left_out.items()]
        return "; ".join(rows)

    def rule(self) -> str:
        """In words, by which rule rows count as good; empty where all do."""
        if self.good.all():
            return ""
        rest = f"{int(self.good.sum())} of {len(self)} rows"
        if self.setting == "3ddet" and not self.source.startswith("build "):  # the release's table
            return f"{rest}: the one run whose flops were recorded at 112 pixels, without trainings below 60 AP"
        return f"{rest}: without failed trainings and suspect batches"


def is_constant(values_N: np.ndarray) -> bool:
    """Whether ``(N,)`` values differ by no more than rounding.

    >>> is_constant(np.array([70.0, 70.0])), is_constant(np.array([70.0, 70.01]))
    (True, False)
    """
    return bool(np.ptp(values_N) <= 1e-9 * max(1.0, float(np.abs(values_N).max()))) if len(values_N) else True


def from_table(table: Table, costs: bool = True) -> Rows:
    """The rows of a benchmark table, those flagged included but marked in ``good``.

    A row that lacks one of the metrics is left out and counted. A repeated architecture stays: it is one more measurement.

    Args:
        table: a table of one setting.
        costs: whether the recorded ``flops`` and ``params`` are outputs too (the paper's predictor learns them).

    The rule for 3ddet: its table is seven concatenated runs that differ by points, so the good rows are those of the one
    large run (told by the input size at which its flops were recorded, the rows on which the paper computed its figures)
    without failed trainings (below 60 AP).
    """
    names = [*table.metrics, *(name for name in COSTS if costs and name in table.columns)]
    # what the table does not hold at all is no output; what some rows lack leaves those rows out
    names = [n for n in names if np.isfinite(table.columns[n]).any()]
    targets = np.stack([table.columns[name] for name in names], axis=1)
    complete = np.isfinite(targets).all(axis=1)
    if not complete.any():
        raise UserError(f"the table of {table.name} has no row with all of {', '.join(names)}")
    left_out = {f"without one of {', '.join(names)}": int((~complete).sum())} if not complete.all() else {}
    if table.provenance.refused:
        first = table.provenance.refused[0].reason
        left_out[f"cannot be used (the first: {first})"] = len(table.provenance.refused)
    return Rows(
        # made floats there: of a million rows a copy less
        codes=table.codes if complete.all() else table.codes[complete],
        targets=targets[complete],
        metrics=tuple(names),
        setting=table.name,
        space=table.setting.space,
        good=(table.rows("clean") & table.rows("paper"))[complete],
        source=_source(table),
        licence=RELEASE_LICENCE if _released(table) else "",
        left_out=left_out,
        min_overlap=table.setting.min_overlap,
    )


def _released(table: Table) -> bool:
    return table.provenance.source.endswith(_RELEASE_FILE)


def _source(table: Table) -> str:
    if not _released(table):
        return table.provenance.source
    text = f"{RELEASE} {table.provenance.source}"
    read = table.provenance.rows_read
    if table.setting.space == "multires" and read < RELEASE_ROWS:
        text += f", {read:,} of its {RELEASE_ROWS:,} rows (about {read / RELEASE_ROWS:.0%})"
    if table.name == "3ddet":
        text += "; the table itself is missing from public copies and was rebuilt from a public predictor run on it"
    return text
