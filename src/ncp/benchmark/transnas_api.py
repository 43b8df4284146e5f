"""The calls of TransNAS-Bench-101's own API on the imported tables, for code that was written for it.

>>> from ncp.benchmark.transnas_api import TransNASBench
>>> api = TransNASBench()                                                         # doctest: +SKIP
>>> api.get_single_metric("64-41414-3_33_332", "normal", "valid_ssim", "final")   # doctest: +SKIP
>>> api.get_best_archs("segmentsemantic", "valid_mIoU", "micro", topk=3)          # doctest: +SKIP

What differs: ``mode="best"`` of a loss is its smallest value; the official figure, the largest, is ``mode="largest"``, or is
given for ``"best"`` too after ``TransNASBench(official=True)``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ncp import spaces
from ncp.benchmark import modes
from ncp.benchmark.loading import load
from ncp.benchmark.table import Table
from ncp.benchmark.transnas import SPACES, TASKS, setting_name
from ncp.errors import UserError
from ncp.numeric import shown, whole


class TransNASBench:
    """The fourteen tables behind the official names.

    Args:
        store: folder of imported tables; None for the default one.
        official: whether ``best`` is the largest value of losses too, as the official API computes it.
    """

    search_spaces = SPACES
    all_tasks = TASKS

    def __init__(self, store: str | Path | None = None, official: bool = False) -> None:
        self.store, self.official = store, official
        self._tables: dict[tuple[str, str], Table] = {}
        self._columns: dict[tuple[str, str, str, str | int], np.ndarray] = {}

    def table(self, space: str, task: str) -> Table:
        """The table of a space (``macro`` or ``micro``) and a task. Raises ``UserError`` for unknown ones."""
        for what, known, given in (("search spaces", SPACES, space), ("tasks", TASKS, task)):
            if not isinstance(given, str) or given not in known:
                raise UserError(f"the {what} are {', '.join(known)}, given was {shown(given)}")
        if (space, task) not in self._tables:
            self._tables[space, task] = load(setting_name(space, task), self.store)
        return self._tables[space, task]

    @cached_property
    def _rows(self) -> dict[str, tuple[str, int]]:
        """Text -> space and row of its tables; the tables of a space hold the same rows in the same order."""
        out: dict[str, tuple[str, int]] = {}
        for space in SPACES:
            texts = spaces.get(f"transnas-{space}").texts(self.table(space, TASKS[0]).codes)
            out.update((text, (space, row)) for row, text in enumerate(texts))
        return out

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    @cached_property
    def _order(self) -> list[str]:
        return list(self._rows)

    def index2arch(self, index: int) -> str:
        """The architecture at a place: the macro space first, in the order of the imported file.

        Raises:
            UserError: for what is no whole number, or none of a place.
        """
        place = whole("index", index, 0)
        if place >= len(self):
            raise UserError(f"index must be at most {len(self) - 1:,}, given was {place:,}")
        return self._order[place]

    def arch2index(self, arch: str) -> int:
        """The place of an architecture."""
        return self._order.index(self._at(arch)[2])

    def get_arch_list(self, search_space: str) -> list[str]:
        """All architectures of a space."""
        self.table(search_space, TASKS[0])
        return [text for text, (space, _) in self._rows.items() if space == search_space]

    def get_total_epochs(self, arch: str, task: str) -> int:
        """How many epochs a training had; 0 where the tables hold no curves."""
        return len(self.table(self._at(arch)[0], task).epochs)

    def get_model_info(self, arch: str, task: str, info: str) -> float:
        """``inference_time``, ``encoder_params``, ``model_params``, ``model_FLOPs``, ``encoder_FLOPs``, where they are known."""
        space, row, _ = self._at(arch)
        return float(self.table(space, task).column(str(info))[row])

    def get_single_metric(self, arch: str, task: str, metric: str, mode: str | int = "final") -> Any:
        """A metric of one training; see :mod:`ncp.benchmark.modes` for the modes."""
        space, row, _ = self._at(arch)
        found = self._values(space, task, metric, mode)[row]
        return found.tolist() if mode == "list" else float(found)

    def get_epoch_status(self, arch: str, task: str, epoch: int) -> dict[str, float]:
        """All metrics after an epoch, counted from 0; -1 is the last one."""
        space, row, _ = self._at(arch)
        table = self.table(space, task)
        names = dict.fromkeys(name.partition("@")[0] for name in table.columns if "@" in name)
        if isinstance(modes.checked(epoch), str):  # which has other values than an epoch's
            raise UserError(f"an epoch is a whole number, -1 the last one; given was {shown(epoch)}")
        if not names:
            raise UserError(f"the table of {table.name} holds no values by epoch; the benchmark's own file does")
        return {name: float(modes.values(table, name, epoch)[row]) for name in names}

    def get_best_epoch_status(self, arch: str, task: str, metric: str) -> dict[str, float]:
        """All metrics after the epoch with the best value of one, the first of equal ones."""
        space, row, _ = self._at(arch)
        table = self.table(space, task)
        curve = self._values(space, task, metric, "list")[row]
        if np.isnan(curve).all():
            raise UserError(f"the table of {table.name} has no value of {metric} for {arch}")
        sign = 1.0 if self.official else table.setting.sign(metric)
        return self.get_epoch_status(arch, task, table.epochs[int(np.nanargmax(sign * curve))])

    def get_best_archs(
        self, task: str, metric: str, search_space: str, topk: int = 1, mode: str | int = "best"
    ) -> list[tuple[float, str]]:
        """The ``topk`` best values and their architectures, best first; of equal ones the later text first, as officially.

        What has no such value is not among them.
        """
        table = self.table(search_space, task)
        if modes.checked(mode) == "list":
            raise UserError("architectures are ordered by one number each: mode is best, largest, final or an epoch")
        number = max(0, whole("topk", topk, -(2**63)))
        found = self._values(search_space, task, metric, mode)
        sign = 1.0 if self.official else table.setting.sign(metric)
        pairs = zip((sign * found).tolist(), self.get_arch_list(search_space), strict=True)
        ordered = sorted((pair for pair in pairs if not math.isnan(pair[0])), reverse=True)
        return [(sign * value, text) for value, text in ordered[:number]]

    def _values(self, space: str, task: str, metric: str, mode: str | int) -> np.ndarray:
        table = self.table(space, task)
        if not isinstance(metric, str):
            raise UserError(f"a metric is a text, such as {table.main}; given was {shown(metric)}")
        mode = "largest" if (mode := modes.checked(mode)) == "best" and self.official else mode
        key = (space, task, metric, mode)
        if key not in self._columns:
            self._columns[key] = modes.values(table, metric, mode)
        return self._columns[key]

    def _at(self, arch: str) -> tuple[str, int, str]:
        if not isinstance(arch, str):
            raise UserError(
                f"an architecture is its text, such as 64-41414-3_33_332 or 64-4111-basic; given was {shown(arch)}"
            )
        if arch not in self._rows:  # another spelling, or a mistake, which one of the spaces can name
            space = spaces.get("transnas-macro" if "_" not in arch else "transnas-micro")
            arch = space.parse(arch).text
            if arch not in self._rows:
                raise UserError(f"{arch} is not in the imported tables")
        return (*self._rows[arch], arch)
