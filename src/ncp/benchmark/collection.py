"""Several settings' tables side by side: one architecture over all of them, and columns aligned by architecture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ncp import spaces
from ncp.benchmark import settings as known
from ncp.benchmark.index import RowIndex
from ncp.benchmark.table import RULES, Predicts, Record, Table
from ncp.errors import UserError


class Benchmark(Mapping[str, Table]):
    """Tables by setting name, in the paper's order. ``benchmark["cls"]`` understands the short names too."""

    def __init__(self, tables: Mapping[str, Table], source: str = "") -> None:
        order = list(known.SETTINGS)
        names = sorted(tables, key=lambda n: (order.index(n) if n in order else len(order), n))
        self._tables = {name: tables[name] for name in names}
        self.source = source

    def __getitem__(self, name: str) -> Table:
        table = self._tables.get(known.full_name(name))
        if table is None:
            known.get(name)  # an unknown name is a mistake of another kind
            raise UserError(
                f"no table of '{name}' in {self.source or 'this benchmark'}; it has {', '.join(self) or 'none'}"
            )
        return table

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and known.full_name(name) in self._tables

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __repr__(self) -> str:
        return f"Benchmark({', '.join(f'{name}: {len(table):,}' for name, table in self.items())})"

    @cached_property
    def paper(self) -> tuple[str, ...]:
        """Those of the paper's nine settings that are here, in its order."""
        return tuple(name for name in known.PAPER if name in self._tables)

    def query(
        self, architecture: Any, predictors: Mapping[str, Predicts] | None = None, epoch: int | None = None
    ) -> dict[str, Record]:
        """All that is known about an architecture: setting -> record, over the settings of its space.

        Args:
            architecture: in any form that one of the spaces parses.
            predictors: setting -> predictor, asked where the architecture was never trained.
            epoch: see :meth:`Table.query`; settings without that epoch are left out.

        Raises:
            UserError: when no table's space can read the architecture, or nothing is known about it.
        """
        if not self._tables:
            raise UserError(f"there are no tables in {self.source or 'this benchmark'}")
        space, parsed = self._read(architecture)
        out: dict[str, Record] = {}
        for name, table in self.items():
            if table.setting.space != space or (epoch is not None and epoch not in table.epochs):
                continue
            predictor = (predictors or {}).get(name)
            if parsed in table or (predictor is not None and epoch is None):
                out[name] = table.query(parsed, predictor, epoch)
        if not out:
            raise UserError(
                f"{parsed.text} is in none of the tables ({', '.join(self)})"
                + (
                    f" with metrics after epoch {epoch}"
                    if epoch is not None
                    else "; give predictors to have it predicted"
                )
            )
        return out

    def _read(self, architecture: Any) -> tuple[str, Any]:
        """Name of the first space that understands the architecture, and the architecture."""
        first: UserError | None = None
        for table in {table.setting.space: table for table in self.values()}.values():
            try:
                return table.setting.space, spaces.parsed(table.space, architecture)
            except UserError as error:
                first = first or error
        assert first is not None
        raise first

    def aligned(
        self,
        columns: Sequence[tuple[str, str]] | None = None,
        rows: str = "all",
    ) -> tuple[np.ndarray, np.ndarray]:
        """Columns of several tables over the architectures that all of them hold.

        Args:
            columns: (setting, column) pairs; default: the main metric of each of the paper's settings that are here.
            rows: ``all``; ``clean`` (no failed training or suspect batch in any of these tables); ``paper`` (architectures
                of the 3ddet run on which the paper computed Figure 4; needs 3ddet's table here).

        Returns:
            codes ``(N, D)`` in the order of the first table, values ``(N, len(columns))`` float64.
        """
        pairs = [(n, self[n].main) for n in self.paper] if columns is None else list(columns)
        if not pairs:
            raise UserError(f"no table to align in {self.source or 'this benchmark'}")
        if rows not in RULES:
            raise UserError(f"unknown rule '{rows}' for choosing rows; rules are {', '.join(RULES)}")
        masks = {name: self[name].rows("clean" if rows == "clean" else "all") for name, _ in pairs}
        if rows == "paper":
            masks["3ddet"] = self["3ddet"].rows("paper")
        first = self[pairs[0][0]]
        where = {name: _positions(self[name], mask, first.codes) for name, mask in masks.items()}
        common = np.logical_and.reduce([position >= 0 for position in where.values()])
        values = np.stack([self[name].column(column)[where[name][common]] for name, column in pairs], axis=1)
        finite = np.isfinite(values).all(1)
        return first.codes[common][finite], values[finite]


def _positions(table: Table, mask: np.ndarray, codes_ND: np.ndarray) -> np.ndarray:
    """``(N,)`` the row of ``table`` within ``mask`` that holds each code; -1 where there is none."""
    chosen = np.flatnonzero(mask)
    found = RowIndex(table.codes[chosen]).find(codes_ND)
    rows: np.ndarray = np.where(found >= 0, chosen[found], -1) if len(chosen) else found
    return rows
