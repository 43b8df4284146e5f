"""A front over two or three quantities: predicted metrics, multiply-adds, parameters, milliseconds, memory.

Many weightings of the quantities are searched in one batch, as the front over lambdas is, then the wide gaps that they leave,
within limits of cost (:mod:`ncp.search.gaps`); kept is what no other architecture
beats in all of them. One point of it is proposed: the knee, where what the last step brought and what the next one costs part.

Shape suffixes: N codes, Q quantities, L weightings, S starts of all of them together, P architectures of the front.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ncp import spaces
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.numeric import several, shown, whole
from ncp.search import gaps
from ncp.search.criterion import Criterion, Worth, gain, gained
from ncp.search.forward import Forward
from ncp.search.limits import COSTS, Budget
from ncp.search.objectives import Objectives, split_metric
from ncp.search.quantities import Inference, Quantity, counted, memory, tasks_of
from ncp.search.robust import Robust
from ncp.search.run import one_thread, prepare
from ncp.search.trajectory import predict

ROUNDS, WIDEST = 3, 100  # of looking beside the front, and at how many of its architectures


@dataclass(frozen=True)
class Axis:
    """One quantity of a front.

    Attributes:
        name: ``seg.mIoU``, ``macs``, ``latency_ms``, ...
        words, unit, scale: for tables and pictures; values are divided by the scale.
        sign: 1 where more is better, -1 where less is.
    """

    name: str
    words: str
    unit: str
    scale: float
    sign: float


@dataclass
class Trade:
    """Architectures of which none beats another in all quantities, by the first one.

    Attributes:
        axes: Q of them.
        architectures: P of them.
        values: ``(P, Q)`` in each axis' own unit.
        chosen: the place of the knee.
        reasons: why that one, in words.
        seconds: wall time.
    """

    axes: tuple[Axis, ...]
    architectures: list[Any]
    values: np.ndarray
    chosen: int
    reasons: list[str]
    seconds: float

    def __len__(self) -> int:
        return len(self.architectures)

    def to_table(self) -> dict[str, np.ndarray]:
        """Columns of length P: one a quantity, the architecture, and which one is the knee."""
        columns = {axis.name: self.values[:, i] for i, axis in enumerate(self.axes)}
        texts = np.array([a.text for a in self.architectures])
        return {**columns, "architecture": texts, "chosen": np.arange(len(self)) == self.chosen}


def unbeaten(values_NQ: np.ndarray, sign_Q: np.ndarray) -> np.ndarray:
    """Places of the rows that no other row equals or beats in every quantity and beats in one; of equal rows the first.

    >>> unbeaten(np.array([[1.0, 5], [2, 6], [2, 7], [1, 5]]), np.array([1.0, -1]))
    array([0, 1])
    """
    good = values_NQ * sign_Q
    order = np.lexsort(-good.T[::-1])  # a row is beaten by none that comes later
    kept: list[int] = []
    best = np.zeros((0, good.shape[1]))
    for i in order:
        if not (best >= good[i]).all(1).any():
            kept.append(int(i))
            best = np.concatenate([best, good[i][None]])
    return np.array(sorted(kept), dtype=np.int64)


def knee(values_PQ: np.ndarray, axes: Sequence[Axis]) -> tuple[int, list[str]]:
    """The point of a front nearest to having the best of all quantities, each seen from its worst to its best, and why."""
    sign = np.array([a.sign for a in axes])
    good = values_PQ * sign
    span = np.ptp(good, axis=0)
    if len(good) < 3 or not span.any():
        return 0, [f"the front has {several(len(good), 'architecture')}: the first one is taken"]
    share = (good - good.min(0)) / np.where(span > 0, span, 1)
    chosen = int(np.linalg.norm(1 - share, axis=1).argmin())
    reasons = []
    for i, axis in enumerate(axes):
        here, column = _said(values_PQ[chosen, i], axis), values_PQ[:, i]
        ends = f"{_said(column[good[:, i].argmin()], axis)} to {_said(column[good[:, i].argmax()], axis)}"
        way = f"{100 * share[chosen, i]:.0f} % of the way from the worst to the best of the front ({ends})"
        reasons.append(f"{axis.words}: {here}, {way}")
    lead = int(np.flatnonzero(sign > 0)[0]) if (sign > 0).any() else 0
    for other in range(len(axes)):
        if other != lead:
            reasons += _step(values_PQ, share, chosen, lead, other, axes)
    return chosen, reasons


def _step(values: np.ndarray, share: np.ndarray, chosen: int, lead: int, other: int, axes: Sequence[Axis]) -> list[str]:
    """What the way up to the knee brought for what it cost, and what the rest of the way would."""
    best, cheapest = int(share[:, lead].argmax()), int(share[:, other].argmax())
    if chosen in (best, cheapest):
        return []
    a, b = axes[lead], axes[other]

    def gain(i: int, j: int) -> str:
        more, cost = values[j, lead] - values[i, lead], values[j, other] - values[i, other]
        return f"{_said(more, a, True)} {a.words} for {_said(cost, b, True)} {b.words}"

    return [f"up to here {gain(cheapest, chosen)}; beyond it {gain(chosen, best)}"]


def _said(value: float, axis: Axis, signed: bool = False) -> str:
    return f"{value / axis.scale:{'+' if signed else ''}.4g} {axis.unit}".strip()


class _Weighted(Criterion):
    """The value of codes under weights of the quantities, which stand where lambda stands: ``(N, Q)``."""

    def __init__(
        self, objectives: Objectives, budget: Budget, columns: list[int | Quantity], signs: list[float], kappa: float
    ) -> None:
        super().__init__(objectives, budget, kappa=kappa)
        self.columns, self.signs = columns, signs
        sample = spaces.sampled(objectives.space, 512, np.random.default_rng(0))
        self.spreads = [
            1.0 if isinstance(c, int) else float(np.std(np.log(np.asarray(c.of(sample), dtype=np.float64)))) or 1.0
            for c in columns
        ]

    def worth(self, forward: Forward, codes_ND: np.ndarray, lam: Any) -> Worth:
        """Metrics in standard deviations, costs in those of their logarithms."""
        gain_NK = gain(forward, self.kappa)
        costs = [None if isinstance(column, int) else column.at(codes_ND) for column in self.columns]
        factors = [sign / spread for sign, spread in zip(self.signs, self.spreads, strict=True)]
        parts = []
        for column, cost, factor in zip(self.columns, costs, factors, strict=True):
            if cost is not None:
                parts.append(factor * np.log(cost.value))
            elif isinstance(column, int):
                parts.append(gain_NK[:, column])

        def back(d_N: np.ndarray) -> tuple[dict[str, np.ndarray], Any]:
            d_NK, out_ND = np.zeros_like(gain_NK), np.zeros_like(codes_ND)
            for i, (column, cost) in enumerate(zip(self.columns, costs, strict=True)):
                if cost is not None:
                    out_ND += cost.pull(d_N * lam[:, i] * factors[i] / cost.value)
                elif isinstance(column, int):
                    d_NK[:, column] += d_N * lam[:, i]
            return gained(d_NK, self.kappa), out_ND

        return Worth((np.stack(parts, 1) * lam).sum(1), back)


def trade(
    quantities: Sequence[str],
    points: int = 15,
    starts: int = 4,
    iterations: int = 70,
    kappa: float = 1.0,
    seed: int = 0,
    latency: Any = None,
    size: Any = None,
    batch: int = 1,
    dtype: str = "fp32",
    **arguments: Any,
) -> Trade:
    """The front over two or three quantities.

    Args:
        quantities: settings or their metrics (``seg``, ``cls.top5``) and ``macs``, ``params``, ``latency_ms``, ``memory_mb``; at
            least one metric.
        points: weightings of two quantities that are searched; of three about twice as many.
        starts: how many codes move for each.
        iterations, kappa, seed: as in :func:`ncp.search.search`.
        latency, size, batch, dtype: likewise.
        arguments: further ones of :func:`ncp.search.run.prepare`: ``budget``, ``fixed``, ``bounds``, ``multiple_of``,
            ``relations``, ``predictor``, ``force``, ``latency_trust``, ``latency_margin``, ``start``.

    Raises:
        UserError: for another number of quantities, one given twice, no metric among them, and as :func:`ncp.search.search`.
    """
    names = _names(quantities)
    metrics = [name for name in names if name not in COSTS]
    problem = prepare(
        metrics, "robust", cost="exact", seed=seed, latency=latency, size=size, batch=batch, dtype=dtype, **arguments
    )
    goals, budget = problem.objectives, problem.budget
    axes, columns = _axes(names, metrics, problem, Inference.read(size, batch, dtype))
    began = time.perf_counter()
    strategy = Robust(kappa=kappa, iterations=iterations)
    criterion = _Weighted(goals, budget, columns, [a.sign for a in axes], kappa)
    weights_LQ = weightings(len(axes), whole("points", points, 2))
    with one_thread():
        first_SD = problem.starts(starts).all()
        codes_SD = np.tile(first_SD, (len(weights_LQ), 1))
        lam_SQ = np.repeat(weights_LQ, len(first_SD), axis=0)
        codes_TSD, _ = strategy.ascend(criterion, codes_SD, lam_SQ)
        rounded_SD = budget.region.round(codes_TSD[-1])
        score_LS = criterion.scores(rounded_SD, lam_SQ).score.reshape(len(weights_LQ), -1)
        ends_LD = rounded_SD.reshape(len(weights_LQ), len(first_SD), -1)[np.arange(len(weights_LQ)), score_LS.argmax(1)]
        polished = strategy.finish(criterion, ends_LD, weights_LQ)
        codes = np.unique(np.concatenate([rounded_SD, *(p.path for p in polished)]).astype(np.int64), axis=0)
        codes = codes[budget.excess(codes) == 0] if budget.limits else codes
        if not len(codes):
            raise UserError("no architecture was found that keeps the limits of the front; loosen one")
        # weightings leave gaps: what lies beside the front fills the narrow ones, searches within limits the wide ones
        codes = _beside(problem, axes, columns, codes)
        costs = [column for column in columns if isinstance(column, Quantity)]
        for trust in dict.fromkeys((kappa, 0.0)):  # a front is of what is predicted: what doubt kept away from, too
            bold = replace(strategy, kappa=trust)
            further = [gaps.filled(goals, budget, bold, cost, codes, seed) for cost in costs]
            if any(map(len, further)):
                codes = _beside(problem, axes, columns, np.concatenate([codes, *further]))
        return _front(problem, axes, columns, codes, began)


def weightings(quantities: int, points: int) -> np.ndarray:
    """``(L, Q)`` positive weights that add up to 1: evenly spaced for two quantities, a triangular grid for three."""
    if quantities == 2:
        share = np.linspace(0.03, 0.97, points)
        return np.stack([share, 1 - share], axis=1)
    n = max(2, round(np.sqrt(4 * points)) - 2)  # about twice as many
    grid = [(i, j, n - i - j) for i in range(n + 1) for j in range(n + 1 - i)]
    return np.asarray((np.array(grid, dtype=np.float64) + 0.15) / (n + 0.45))


def _name(given: str) -> str:
    if given in COSTS:
        return given
    try:
        return ".".join(split_metric(given))
    except UserError as error:
        raise UserError(f"a quantity of a front is one of {', '.join(COSTS)}, or an objective: {error}") from None


def _names(given: Any) -> list[str]:
    if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence):
        raise UserError(f"quantities are a list, such as [seg,latency_ms], given was {shown(given)}")
    names = [_name(str(one)) for one in given]
    if not 2 <= len(names) <= 3:
        raise UserError(
            f"a front is over two or three quantities, given were {len(names)}: {', '.join(names) or 'none'}"
        )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"the quantity {twice[0]} is given twice")
    if all(name in COSTS for name in names):
        raise UserError(
            "a front needs a predicted metric beside its costs (all costs are least for the smallest network): add seg"
        )
    return names


def _axes(
    names: list[str], metrics: list[str], problem: Any, run: Inference
) -> tuple[tuple[Axis, ...], list[int | Quantity]]:
    goals: Objectives = problem.objectives
    known = dict(counted(goals.space))
    known |= {q.name: q for q in goals.quantities}
    if "latency_ms" in names and "latency_ms" not in known:
        raise UserError("a front over latency_ms needs a measured machine: latency=FILE, which `latency` writes")
    if "memory_mb" in names and "memory_mb" not in known:
        known["memory_mb"] = memory(goals.space, tasks_of(o.setting for o in goals.items), run.on(goals.quantities))
    axes: list[Axis] = []
    columns: list[int | Quantity] = []
    for name in names:
        if name in COSTS:
            q = known[name]
            axes.append(
                Axis(
                    name,
                    {"latency_ms": "latency", "memory_mb": "peak memory"}.get(name, q.words),
                    q.unit,
                    q.scale,
                    -1.0,
                )
            )
            columns.append(q)
        else:
            place = metrics.index(name)
            objective = goals.items[place]
            axes.append(Axis(name, f"predicted {name.replace('.', ' ')}", settings.unit(name), 1.0, objective.sign))
            columns.append(place)
    return tuple(axes), columns


def _values(problem: Any, columns: list[int | Quantity], codes: np.ndarray) -> np.ndarray:
    """``(N, Q)`` of codes, as they are told."""
    mean, _ = predict(problem.objectives, codes)
    told = [
        mean[problem.objectives.items[c].name] if isinstance(c, int) else c.told(codes)[0].astype(np.float64)
        for c in columns
    ]
    return np.stack(told, axis=1)


def _beside(problem: Any, axes: tuple[Axis, ...], columns: list[int | Quantity], codes: np.ndarray) -> np.ndarray:
    """What none beats among given codes and, round after round, the neighbours of the best (of many, an even part)."""
    sign, budget = np.array([a.sign for a in axes]), problem.budget
    codes = codes[unbeaten(_values(problem, columns, codes), sign)]
    for _ in range(ROUNDS):
        some = codes[:: -(-len(codes) // WIDEST)]
        near = (some[:, None] + budget.region.moves()).reshape(-1, codes.shape[1])
        near = near[budget.region.contains(near)].astype(np.int64)
        near = near[budget.excess(near) == 0] if budget.limits else near
        every = np.unique(np.concatenate([codes, near]), axis=0)
        codes = every[unbeaten(_values(problem, columns, every), sign)]
    return np.asarray(codes)


def _front(
    problem: Any, axes: tuple[Axis, ...], columns: list[int | Quantity], codes: np.ndarray, began: float
) -> Trade:
    values = _values(problem, columns, codes)
    keep = unbeaten(values, np.array([a.sign for a in axes]))
    keep = keep[np.argsort(values[keep, 0], kind="stable")]
    chosen, reasons = knee(values[keep], axes)
    architectures = problem.objectives.space.decode(codes[keep].astype(np.float64))
    return Trade(axes, architectures, values[keep], chosen, reasons, time.perf_counter() - began)
