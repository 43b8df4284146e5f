"""One setting's table: architectures, what was measured, and how to ask for it.

Columns of a table, in memory and in its files:

======================  ============================================================================================
``architecture``        the text form; in memory ``codes`` ``(N, D)``; in Parquet also one column per dimension
the setting's metrics   final values in percent points (``top1``, ``mIoU``, ``moderate``, ...)
``<metric>@<epoch>``    the same after an epoch of the training, where a table has it (``top1@50``)
``<metric>:final``      of metrics that are the best over the epochs: the last epoch's, and, of those of which less is better,
``<metric>:largest``    the largest, where a source holds these alone (see :mod:`ncp.benchmark.modes`)
``<class>/<kind>/...``  a metric by class, kind and difficulty (``car/3d/moderate/AP40``), also with ``@<epoch>``
``flops``, ``params``   as recorded by whoever made the table, in their convention (the release: 1e9 and 1e6; nas-bench-201:
                        1e6 and 1e6)
``flops_input``         3ddet alone: the input size in whose convention the row's flops were recorded; it tells runs apart
``exact_macs`` ...      our own exact count in the space's standard setting; in memory ``macs`` and ``params``
``flags``               what is wrong with a row that is kept, from ``FLAGS``
======================  ============================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ncp import files, spaces
from ncp.benchmark.index import RowIndex
from ncp.benchmark.settings import Setting
from ncp.errors import UserError

FLAGS = {
    "failed": "the training failed (main metric under the setting's threshold)",
    "suspect": "the row belongs to a batch that lies points below what the other rows predict",
    "cost": "the recorded flops or params differ from the exact count",
    "metric": "a metric other than the main one was unusable and is missing",
    "repeat": "an earlier row has the same architecture (look-ups answer with the first)",
}
RULES = ("all", "paper", "clean")
PAPER_INPUT = 112  # recorded flops of 3ddet's run 5, on whose rows the paper computed its figures
_AT_EPOCH = re.compile(r"^(?P<metric>.+)@(?P<epoch>\d+)$")


class Predicts(Protocol):
    """What a table needs of a predictor: codes ``(N, D)`` to ``{metric: (N,)}``, in the metrics' units."""

    @property
    def metrics(self) -> Sequence[str]:
        """The names it answers with."""
        ...

    def predict(self, codes: Any) -> dict[str, np.ndarray]:
        """Expected values."""
        ...

    def predict_std(self, codes: Any) -> dict[str, np.ndarray]:
        """Standard deviations."""
        ...


@dataclass(frozen=True)
class Refusal:
    """A row of the source that could not be used. ``row`` counts from 0."""

    row: int
    reason: str


@dataclass(frozen=True)
class Provenance:
    """Where a table comes from and what happened on the way.

    Attributes:
        source: name of the file as given.
        sha256: its checksum.
        date: when it was imported (UTC, ISO 8601).
        rows_read: rows in the source; those of the table plus those refused.
        refused: rows that are not in the table, and why.
        rules: flag -> the rule by which rows carry it, with what it found.
        ignored: columns of the source that were not kept.
    """

    source: str = ""
    sha256: str = ""
    date: str = ""
    rows_read: int = 0
    refused: tuple[Refusal, ...] = ()
    rules: dict[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """The answer to a query.

    Attributes:
        setting: the setting's name.
        architecture: what was asked for.
        metrics: name -> value in percent points.
        macs, params: exact cost in the space's standard setting.
        predicted: whether the metrics come from a predictor; then ``std`` holds their standard deviations.
        epoch: the epoch of the metrics, None for the final ones.
        row: the table's row, None when predicted.
        flags: what is known to be wrong with the row.
        min_overlap: of detection, by class the overlap from which boxes count as found in ``metrics``; empty where unknown.
    """

    setting: str
    architecture: Any
    metrics: dict[str, float]
    macs: int
    params: int
    predicted: bool = False
    std: dict[str, float] | None = None
    epoch: int | None = None
    row: int | None = None
    flags: tuple[str, ...] = ()
    min_overlap: Mapping[str, float] = field(default_factory=dict)


class Table:
    """An immutable table of one setting; ``len(table)`` is N."""

    def __init__(
        self,
        setting: Setting,
        codes: Any,
        columns: Mapping[str, Any],
        flags: Mapping[str, Any] | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        """Args:
        setting: what was trained and measured.
        codes: ``(N, D)`` valid codes of the setting's space.
        columns: name -> ``(N,)`` numbers; NaN where there is none. The setting's own metrics must be among them.
        flags: names from ``FLAGS`` -> ``(N,)`` bool.
        provenance: where the rows come from.
        """
        self.setting = setting
        self.space: spaces.Space[Any] = spaces.get(setting.space)
        self.codes = _frozen(np.array(codes, dtype=np.int64).reshape(-1, self.space.dim))
        self.columns = {name: _frozen(np.array(values, dtype=np.float64)) for name, values in columns.items()}
        self.flags = {name: _frozen(np.array(mask, dtype=bool)) for name, mask in (flags or {}).items()}
        self.provenance = provenance or Provenance(rows_read=len(self.codes))
        wrong = [n for n, v in (*self.columns.items(), *self.flags.items()) if v.shape != (len(self.codes),)]
        assert not wrong, f"columns of another length: {wrong}"
        assert set(setting.metrics) <= set(self.columns), "a table has all metrics of its setting"
        assert set(self.flags) <= set(FLAGS), "unknown flag"

    def __len__(self) -> int:
        return len(self.codes)

    def __repr__(self) -> str:
        return f"Table({self.setting.name}: {len(self):,} rows, {', '.join(self.metrics)})"

    def __iter__(self) -> Iterator[Record]:
        return (self.at(row) for row in range(len(self)))

    def __contains__(self, architecture: Any) -> bool:
        return self._find(spaces.parsed(self.space, architecture)) is not None

    @property
    def name(self) -> str:
        """The setting's name."""
        return self.setting.name

    @property
    def main(self) -> str:
        """The setting's main metric."""
        return self.setting.main

    @property
    def metrics(self) -> tuple[str, ...]:
        """The setting's own metrics, the main one first."""
        return self.setting.metrics

    @cached_property
    def epochs(self) -> tuple[int, ...]:
        """Epochs for which the table holds metrics, ascending; empty for the release's tables."""
        return tuple(sorted({int(m["epoch"]) for name in self.columns if (m := _AT_EPOCH.match(name))}))

    @property
    def _after_epochs(self) -> str:
        """One of the columns that hold a metric after an epoch; empty where there are none."""
        return next((name for name in self.columns if _AT_EPOCH.match(name)), "")

    @cached_property
    def _cost(self) -> Any:
        return self.space.cost(self.codes)

    @cached_property
    def macs(self) -> np.ndarray:
        """``(N,)`` int64 exact multiply-adds in the space's standard setting."""
        return _frozen(np.asarray(self._cost.macs, dtype=np.int64))

    @cached_property
    def params(self) -> np.ndarray:
        """``(N,)`` int64 exact parameters in the space's standard setting."""
        return _frozen(np.asarray(self._cost.params, dtype=np.int64))

    @cached_property
    def index(self) -> RowIndex:
        """Finds rows by their codes."""
        return RowIndex(self.codes)

    def _find(self, architecture: Any) -> int | None:
        row = int(self.index.find(np.array([architecture.code], dtype=np.int64))[0])
        return row if row >= 0 else None

    def column(self, name: str) -> np.ndarray:
        """``(N,)`` float64, read-only; ``macs`` and ``params`` are the exact ones, ``recorded_flops`` as released.

        Raises:
            UserError: if there is no such column, listing those that exist.
        """
        if name in ("macs", "params"):
            exact: np.ndarray = getattr(self, name).astype(np.float64)
            return exact
        values = self.columns.get(name.removeprefix("recorded_"))
        if values is None or name == "flops":
            whole = [n for n in self.columns if not _AT_EPOCH.match(n)]
            known = ", ".join([f"recorded_{n}" if n in ("flops", "params") else n for n in whole] + ["macs", "params"])
            more = f", and values after epochs, such as {after}" if (after := self._after_epochs) else ""
            raise UserError(
                f"the table of {self.name} has no column '{files.shown(name)}'; its columns are {known}{more}"
            )
        return values

    def flagged(self, *names: str) -> np.ndarray:
        """``(N,)`` bool: rows that carry any of the flags (all flags when none is named)."""
        out = np.zeros(len(self), dtype=bool)
        for name in names or FLAGS:
            if name not in FLAGS:
                raise UserError(f"unknown flag '{name}'; flags are {', '.join(FLAGS)}")
            out |= self.flags.get(name, False)
        return out

    def rows(self, rule: str = "all") -> np.ndarray:
        """``(N,)`` bool: the rows of a rule.

        ``all``; ``clean`` (without failed trainings and suspect batches); ``paper`` (those on which the paper's Table 6 was
        computed: of 3ddet the one run whose flops were recorded at 112 x 112, of the other settings all).
        """
        if rule not in RULES:
            raise UserError(f"unknown rule '{rule}' for choosing rows; rules are {', '.join(RULES)}")
        if rule == "clean":
            return ~self.flagged("failed", "suspect")
        if rule == "paper" and "flops_input" in self.columns:
            chosen: np.ndarray = self.columns["flops_input"] == PAPER_INPUT
            return chosen
        return np.ones(len(self), dtype=bool)

    def select(self, rows: Any) -> Table:
        """A table of some rows: a rule's name, a mask ``(N,)`` or row numbers."""
        if isinstance(rows, str):
            rows = self.rows(rows)
        rows = np.asarray(rows)
        columns = {name: values[rows] for name, values in self.columns.items()}
        flags = {name: mask[rows] for name, mask in self.flags.items()}
        return Table(self.setting, self.codes[rows], columns, flags, self.provenance)

    def at(self, row: int, epoch: int | None = None) -> Record:
        """The record of a row."""
        return self._record(row, self.space.parse(self.codes[row].tolist()), epoch)

    def query(self, architecture: Any, predictor: Predicts | None = None, epoch: int | None = None) -> Record:
        """What is known about an architecture.

        Args:
            architecture: in any form that the space parses.
            predictor: asked when the architecture was never trained; its answer is marked as predicted.
            epoch: metrics after this epoch instead of the final ones, where the table holds them.

        Raises:
            UserError: when the architecture is malformed, or not in the table and there is no predictor; when the table has
                no metrics of that epoch.
        """
        parsed = spaces.parsed(self.space, architecture)
        row = self._find(parsed)
        if row is not None:
            return self._record(row, parsed, epoch)
        if predictor is None:
            raise UserError(
                f"{parsed.text} is not among the {len(self):,} trained architectures of {self.name}; "
                "give a predictor to have its metrics predicted"
            )
        if epoch is not None:
            raise UserError(
                f"{parsed.text} is not in the table of {self.name}, and predictors answer for final metrics only"
            )
        return self._prediction(parsed, predictor)

    def best(
        self,
        metric: str | None = None,
        k: int = 10,
        max_macs: float | None = None,
        max_params: float | None = None,
        rows: Any = "all",
    ) -> list[Record]:
        """The ``k`` best rows by a metric (default: the main one), best first; fewer if fewer are within the limits.

        Args:
            metric: a column; larger values are the better ones, unless the setting says that smaller ones are.
            k: how many.
            max_macs, max_params: limits on the exact cost, inclusive.
            rows: a rule's name or a mask ``(N,)``.

        Raises:
            UserError: for an unknown metric, or limits that no row satisfies (the smallest cost is stated).
        """
        values = self.column(metric or self.main)
        allowed = self.rows(rows) if isinstance(rows, str) else np.array(rows, dtype=bool)
        for limit, cost, unit in ((max_macs, "macs", "multiply-adds"), (max_params, "params", "parameters")):
            if limit is not None:
                within = getattr(self, cost) <= limit
                if not within.any():
                    smallest = int(getattr(self, cost).min())
                    raise UserError(
                        f"no row of {self.name} has at most {limit:,.0f} {unit}; the smallest has {smallest:,}: "
                        f"raise max_{cost}"
                    )
                allowed &= within
        if not allowed.any():
            raise UserError(f"no row of {self.name} keeps all of these limits at once: raise one, or choose other rows")
        order = np.argsort(-values * self.setting.sign(metric or self.main), kind="stable")
        order = order[allowed[order] & np.isfinite(values[order])]
        return [self.at(int(row)) for row in order[: max(int(k), 0)]]

    def _record(self, row: int, architecture: Any, epoch: int | None) -> Record:
        return Record(
            setting=self.name,
            architecture=architecture,
            metrics=self._metrics(row, epoch),
            macs=int(self.macs[row]),
            params=int(self.params[row]),
            epoch=epoch,
            row=row,
            flags=tuple(name for name, mask in self.flags.items() if mask[row]),
            min_overlap=self.setting.min_overlap,
        )

    @cached_property
    def _final(self) -> tuple[str, ...]:
        """Columns that are final metrics: the setting's own and those by class, kind and difficulty."""
        return (*self.metrics, *(n for n in self.columns if "/" in n and not _AT_EPOCH.match(n)))

    def _metrics(self, row: int, epoch: int | None) -> dict[str, float]:
        if epoch is None:
            return {name: float(self.columns[name][row]) for name in self._final}
        if epoch not in self.epochs:
            held = ", ".join(map(str, self.epochs))
            raise UserError(
                f"the table of {self.name} has no metrics after epoch {epoch}; "
                + (f"it has epochs {held}" if held else "it holds final values only, as all released tables do")
            )
        suffix = f"@{epoch}"
        return {n.removesuffix(suffix): float(v[row]) for n, v in self.columns.items() if n.endswith(suffix)}

    def _prediction(self, architecture: Any, predictor: Predicts) -> Record:
        codes = np.array([architecture.code], dtype=np.float64)
        mean, std = predictor.predict(codes), predictor.predict_std(codes)
        cost = self.space.cost(np.array([architecture.code], dtype=np.int64))
        names = [name for name in predictor.metrics if name not in ("flops", "params")]
        return Record(
            setting=self.name,
            architecture=architecture,
            metrics={name: float(mean[name][0]) for name in names},
            macs=int(cost.macs[0]),
            params=int(cost.params[0]),
            predicted=True,
            std={name: float(std[name][0]) for name in names if name in std},
            min_overlap=getattr(predictor, "min_overlap", {}),
        )

    def to_csv(self, path: Any) -> None:
        """Write the table as CSV; :func:`ncp.benchmark.load` reads it back."""
        from ncp.benchmark import writing  # with pyarrow and csv: what does not write does not need them

        writing.write_csv(self, path)

    def to_parquet(self, path: Any) -> None:
        """Write the table as Parquet with its provenance; :func:`ncp.benchmark.load` reads it back."""
        from ncp.benchmark import writing

        writing.write(self, path)

    def to_safetensors(self, path: Any) -> None:
        """Write the table as ``NAME.table.safetensors``, which is read without pyarrow too."""
        from ncp.benchmark import writing

        writing.write_safetensors(self, path)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
