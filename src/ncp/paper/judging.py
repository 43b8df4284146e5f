"""Who judges what was found: the default predictors, and exact processes on all rows of the tables, which no search has seen.

Shape suffixes: N architectures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ncp import benchmark
from ncp.benchmark import settings
from ncp.benchmark.store import file_of
from ncp.paper import printed
from ncp.predictors.answers import AnyPredictor
from ncp.predictors.storage import load

if TYPE_CHECKING:
    from ncp.benchmark.collection import Benchmark
    from ncp.benchmark.table import Table


class Figure(NamedTuple):
    """A predicted metric in percent points and one standard deviation of the judge's own doubt about it."""

    value: float
    doubt: float


@dataclass
class Judges:
    """Judges of settings, made when they are first asked.

    Attributes:
        store: folder of imported tables; None for the default one.
        use_exact: whether exact processes are asked at all.
        missing: settings without an imported table, of which there is no exact process.
    """

    store: str | Path | None = None
    use_exact: bool = True
    missing: list[str] = field(default_factory=list)
    _tables: dict[str, Table | None] = field(default_factory=dict)
    _default: dict[str, AnyPredictor] = field(default_factory=dict)
    _exact: dict[str, AnyPredictor | None] = field(default_factory=dict)

    def default(self, setting: str) -> AnyPredictor:
        """The bundled default predictor, which the default search asks too."""
        if setting not in self._default:
            self._default[setting] = load(setting)
        return self._default[setting]

    def exact(self, setting: str) -> AnyPredictor | None:
        """The exact process on all rows of a setting's table; None where the table is not imported."""
        if setting not in self._exact:
            table = self.table(setting) if self.use_exact else None
            self._exact[setting] = None
            if table is not None:
                from ncp.predictors import exact

                self._exact[setting] = exact.of_table(table)
        return self._exact[setting]

    def table(self, setting: str) -> Table | None:
        """The imported table of a setting; None where there is none."""
        if setting not in self._tables:
            there = file_of(setting, self.store) is not None
            if not there:
                self.missing.append(setting)
            self._tables[setting] = benchmark.load(setting, self.store) if there else None
        return self._tables[setting]

    def benchmark(self) -> Benchmark | None:
        """The tables of the paper's statistics together; None where one of them is not imported."""
        from ncp.benchmark.collection import Benchmark

        tables = {name: self.table(name) for name in printed.statistics().settings}
        there = {name: table for name, table in tables.items() if table is not None}
        return Benchmark(there) if len(there) == len(tables) else None

    def independent(self, setting: str) -> AnyPredictor:
        """The exact process where there is one, else the default predictor."""
        return self.exact(setting) or self.default(setting)

    def say(self, architectures: Sequence[Any], names: Sequence[str]) -> list[dict[str, Figure]]:
        """What the default predictors say: per architecture ``setting.metric`` -> figure, of those names that they know."""
        return self._say(architectures, names, self.default)

    def say_exact(self, architectures: Sequence[Any], names: Sequence[str]) -> list[dict[str, Figure]]:
        """What the exact processes say, of main metrics alone."""
        return self._say(architectures, names, self.exact)

    def _say(
        self, architectures: Sequence[Any], names: Sequence[str], who: Callable[[str], AnyPredictor | None]
    ) -> list[dict[str, Figure]]:
        out: list[dict[str, Figure]] = [{} for _ in architectures]
        for name in names:
            setting, _, metric = name.rpartition(".")
            judge = who(setting) if setting in settings.PAPER else None
            if judge is None or metric not in judge.metrics or not len(architectures):
                continue
            codes = np.array([architecture.code for architecture in architectures], dtype=np.float64)
            value, doubt = judge.predict(codes)[metric], judge.predict_std(codes, noise=False)[metric]
            for i, told in enumerate(out):
                told[name] = Figure(float(value[i]), float(doubt[i]))
        return out
