"""A benchmark as a plain function, from architectures to what they reach and cost, for optimisers of other libraries.

>>> from ncp.benchmark import oracle
>>> ask = oracle("transnas-micro/jigsaw")                                # doctest: +SKIP
>>> ask("64-41414-3_30_132")["valid_top1"], ask.queries                  # doctest: +SKIP
(95.37, 1)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncp.benchmark.loading import load
from ncp.benchmark.table import Predicts, Table
from ncp.errors import UserError


class Oracle:
    """Answers for single architectures and for lists of them, and counts.

    Attributes:
        table: the table behind it.
        space: of its architectures, with ``sample``, ``neighbours``, ``parse``, ``labels``, bounds.
        metric: the main metric; ``sign`` is 1 where more of it is better, -1 where less is.
        queries: architectures that were asked about so far.
    """

    def __init__(self, table: Table, predictor: Predicts | None = None, queries: int | None = None) -> None:
        self.table, self.predictor, self.most = table, predictor, queries
        self.space, self.metric, self.sign = table.space, table.main, table.setting.sign(table.main)
        self.queries = 0

    def __call__(self, architectures: Any) -> dict[str, Any]:
        """Metrics and costs: ``{metric: value, "macs": ..., "params": ...}``, of a list ``{metric: (N,) array, ...}``.

        Args:
            architectures: one, or a list or ``(N, D)`` array of them: text, code, dimension -> value, or parsed.

        Raises:
            UserError: for one that is malformed or was never trained (where there is no predictor), and once the queries are
                spent.
        """
        many = _is_many(architectures)
        listed = list(architectures) if many else [architectures]
        if self.most is not None and self.queries + len(listed) > self.most:
            raise UserError(
                f"{len(listed)} more would be {self.queries + len(listed)} queries of at most {self.most}; give more queries"
            )
        answers = [self._answer(one) for one in listed]
        self.queries += len(listed)
        if not many:
            return answers[0]
        return {name: np.array([answer[name] for answer in answers]) for name in (answers[0] if answers else ())}

    def _answer(self, one: Any) -> dict[str, Any]:
        if isinstance(one, dict) and set(self.space.labels) <= set(one):
            one = [one[label] for label in self.space.labels]
        record = self.table.query(one, self.predictor)
        return {**record.metrics, "macs": record.macs, "params": record.params}


def _is_many(given: Any) -> bool:
    if isinstance(given, np.ndarray):
        return given.ndim == 2
    if isinstance(given, str) or not isinstance(given, Sequence):
        return False
    return not given or not isinstance(given[0], (int, float, np.number))


def oracle(
    setting: str, predictor: Predicts | None = None, queries: int | None = None, store: str | Path | None = None
) -> Oracle:
    """The imported table of a setting as a function.

    Args:
        setting: its name, or the path of a table.
        predictor: asked about architectures that were never trained; without one they are refused.
        queries: how many it answers; None for any number.
        store: folder of imported tables; None for the default one.

    Raises:
        UserError: where there is no such table, with the command that imports it.
    """
    table = load(setting, store)
    if not isinstance(table, Table):
        raise UserError(f"an oracle is of one setting, '{setting}' holds several tables: {', '.join(table)}")
    return Oracle(table, predictor, queries)
