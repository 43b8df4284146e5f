"""A benchmark as a plain function, from architectures to what they reach and cost, for optimisers of other libraries.

>>> from ncp.benchmark import oracle
>>> ask = oracle("transnas-micro/jigsaw")                                # doctest: +SKIP
>>> ask("64-41414-3_30_132")["valid_top1"], ask.queries                  # doctest: +SKIP
(95.37, 1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncp import spaces
from ncp.benchmark import settings
from ncp.benchmark.loading import load
from ncp.benchmark.store import file_of
from ncp.benchmark.table import Predicts, Table
from ncp.errors import UserError
from ncp.numeric import finite

COSTS = ("macs", "params")


class Oracle:
    """Answers for single architectures and for lists of them, and counts.

    Attributes:
        table: the table behind it; None where a predictor alone answers.
        space: of its architectures, with ``sample``, ``neighbours``, ``parse``, ``labels``, bounds.
        metric: the main metric; ``sign`` is 1 where more of it is better, -1 where less is.
        budget: ``macs`` and ``params`` at most; answers then say ``excess``, 0 for architectures that keep them.
        queries: architectures that were asked about so far.
    """

    def __init__(
        self,
        table: Table | None,
        predictor: Predicts | None = None,
        queries: int | None = None,
        budget: Mapping[str, float] | None = None,
        setting: str | None = None,
    ) -> None:
        self.table, self.predictor, self.most = table, predictor, queries
        known = table.setting if table is not None else settings.get(str(setting))
        self.space = table.space if table is not None else spaces.get(known.space)
        self.metric = table.main if table is not None else known.main
        self.sign = known.sign(self.metric)
        self.budget = _limits(budget)
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
        out: dict[str, Any]
        if self.table is not None:
            record = self.table.query(one, self.predictor)
            out = {**record.metrics, "macs": record.macs, "params": record.params}
        else:
            assert self.predictor is not None
            codes = self.space.encode([spaces.parsed(self.space, one)])
            cost = self.space.cost(codes.astype(np.int64))
            told = {name: float(value[0]) for name, value in self.predictor.predict(codes).items() if name not in COSTS}
            out = {**told, "macs": int(cost.macs[0]), "params": int(cost.params[0])}
        if self.budget:
            out["excess"] = sum(max(0.0, out[name] / limit - 1) for name, limit in self.budget.items())
        return out


def _limits(budget: Mapping[str, float] | None) -> dict[str, float]:
    given = {name: value for name, value in (budget or {}).items() if value is not None}
    if unknown := set(given) - set(COSTS):
        raise UserError(
            f"an oracle's budget limits {' and '.join(COSTS)}, given was {', '.join(sorted(map(str, unknown)))}"
        )
    return {name: finite(f"budget.{name}", value, above=0) for name, value in given.items()}


def _is_many(given: Any) -> bool:
    if isinstance(given, np.ndarray):
        return given.ndim == 2
    if isinstance(given, str) or not isinstance(given, Sequence):
        return False
    return not given or not isinstance(given[0], (int, float, np.number))


def oracle(
    setting: str,
    predictor: Predicts | None = None,
    queries: int | None = None,
    store: str | Path | None = None,
    budget: Mapping[str, float] | None = None,
) -> Oracle:
    """The imported table of a setting as a function; where a predictor is given, for any architecture.

    Args:
        setting: its name, or the path of a table.
        predictor: asked about architectures that were never trained; without one they are refused. It answers alone where the
            setting's table is not imported.
        queries: how many it answers; None for any number.
        store: folder of imported tables; None for the default one.
        budget: ``{"macs": ..., "params": ...}`` at most; answers then hold ``excess``, by how much these are exceeded.

    Raises:
        UserError: where there is no such table, with the command that imports it.
    """
    if predictor is not None and settings.full_name(str(setting)) in settings.SETTINGS:
        name = settings.full_name(str(setting))
        if file_of(name, store) is None:
            return Oracle(None, predictor, queries, budget, name)
    table = load(setting, store)
    if not isinstance(table, Table):
        raise UserError(f"an oracle is of one setting, '{setting}' holds several tables: {', '.join(table)}")
    return Oracle(table, predictor, queries, budget)
