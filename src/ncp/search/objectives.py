"""What a search is for: metrics of settings, predicted in one code coordinate, each with its own cost term.

Shape suffixes: N codes, D dimensions of the code, M metrics of one predictor, K objectives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ncp import spaces
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.numeric import finite, shown
from ncp.predictors.base import Predictor
from ncp.search.quantities import Quantity

DIRECTIONS = ("max", "min")
LEARNED_COST = "flops"  # the predictors' own output that stands for cost in the paper
_NARROWED: WeakKeyDictionary[Predictor, dict[tuple[str, ...], Predictor]] = WeakKeyDictionary()
_SMALLER_IS_BETTER = (LEARNED_COST, "params")


@dataclass(frozen=True)
class Objective:
    """One metric of one setting, to be raised or lowered.

    Attributes:
        setting: the setting's name, such as ``cls-50-1000``.
        metric: the metric's name in the tables, such as ``top1``.
        direction: ``max`` or ``min``.
        weight: factor of its gradient (of the metric's and of its cost term's), positive.
    """

    setting: str
    metric: str
    direction: str = "max"
    weight: float = 1.0

    @property
    def name(self) -> str:
        """``setting.metric``."""
        return f"{self.setting}.{self.metric}"

    @property
    def sign(self) -> float:
        """1 where larger is better, -1 where smaller is."""
        return 1.0 if self.direction == "max" else -1.0

    @classmethod
    def parse(cls, value: Any, predictors: Mapping[str, Predictor] | None = None) -> Objective:
        """Read ``cls``, ``seg.mAcc`` or ``{metric: seg.mAcc, weight: 0.5, direction: max}``.

        A setting alone stands for its main metric. ``predictors`` may add settings of one's own.

        Raises:
            UserError: for a setting, metric, direction or weight that does not exist, listing those that do.
        """
        if isinstance(value, Objective):
            return value
        if isinstance(value, str):
            value = {"metric": value}
        if not isinstance(value, Mapping):
            raise UserError(
                f"an objective is a setting, a setting's metric or {{metric: seg.mAcc, weight: 0.5}}; given was {value!r}"
            )
        unknown = set(value) - {"metric", "weight", "direction"}
        if unknown or "metric" not in value:
            raise UserError(
                f"an objective has the keys metric, weight and direction; given were {', '.join(map(str, value))}"
            )
        setting, metric = split_metric(str(value["metric"]), predictors)
        smaller = metric in _SMALLER_IS_BETTER
        if setting in settings.SETTINGS:
            smaller |= settings.get(setting).sign(metric) < 0
        direction = str(value.get("direction") or ("min" if smaller else "max"))
        if direction not in DIRECTIONS:
            raise UserError(f"the direction of {setting}.{metric} is max or min, given was '{direction}'")
        try:
            weight = finite("weight", value.get("weight", 1.0), above=0)
        except UserError:
            raise UserError(
                f"the weight of {setting}.{metric} is a positive number, given was {shown(value.get('weight'))}"
            ) from None
        return cls(setting, metric, direction, weight)


def split_metric(text: str, predictors: Mapping[str, Predictor] | None = None) -> tuple[str, str]:
    """``(setting, metric)`` of ``seg``, ``seg.mAcc``, ``cls.top5``, ...; raises ``UserError`` for unknown ones."""
    name, _, metric = text.partition(".")
    if predictors and name in predictors and name not in settings.SETTINGS:
        own = predictors[name].metrics
        main, known = own[0], tuple(own)
    else:
        if name not in settings.SETTINGS and name not in settings.SHORT:
            if owners := [owner for owner in settings.PAPER if text in settings.get(owner).metrics]:
                raise UserError(
                    f"'{text}' is a metric and needs its setting before it, such as {owners[0]}.{text} (settings with "
                    f"{text}: {', '.join(owners)})"
                )
            others = settings.listed(other for other in settings.SETTINGS if other not in settings.PAPER)
            raise UserError(
                f"unknown objective '{text}'; an objective is a setting ({', '.join(settings.PAPER)}; in short "
                f"{', '.join(settings.SHORT)}; beside them {others}) or a setting's metric such as seg.mAcc"
            )
        setting = settings.get(name)
        name, main, known = setting.name, setting.main, (*setting.metrics, *_SMALLER_IS_BETTER)
    if metric and metric not in known:
        raise UserError(f"unknown metric '{metric}' of {name}; its metrics are {', '.join(known)}")
    return name, metric or main


def parse_objectives(values: Any, predictors: Mapping[str, Predictor] | None = None) -> tuple[Objective, ...]:
    """One objective or a list of them; raises ``UserError`` for none, an unknown one or one given twice."""
    if isinstance(values, (str, Mapping, Objective)):
        values = [values]
    if values is not None and not isinstance(values, Iterable):
        raise UserError(f"objectives are a list, such as [cls,seg], given was {shown(values)}")
    objectives = tuple(Objective.parse(v, predictors) for v in values or ())
    if not objectives:
        raise UserError("a search needs an objective, for instance objectives=[cls,seg]")
    names = [o.name for o in objectives]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"the objective {name} is given twice; give it once, with a weight if it is to count more")
    return objectives


@lru_cache(maxsize=8)
def cost_scale(space_name: str) -> float:
    """Multiply-adds that count as one unit of cost: their standard deviation over a fixed uniform sample of the space.

    A constant of the space, so that every objective of a search, whatever its predictor was fitted on, has the same one.
    """
    space = spaces.get(space_name)
    sample = space.encode(space.sample(4096, np.random.default_rng(0)))
    return float(np.std(np.asarray(space.cost(sample).macs, dtype=np.float64)))


class Forward(NamedTuple):
    """Standardised predictions of N codes with the graph behind them.

    ``z_NK``: metrics, in standard deviations of their tables, signed so that larger is better; ``u_NK``: the model's own
    standard deviation in the same units (None unless asked for); ``cost_NK``: cost in its units, smaller is better;
    ``floor_NF``: floored metrics minus their floors, in standard deviations, and ``floor_u_NF`` their doubt.
    """

    z_NK: Tensor
    cost_NK: Tensor
    u_NK: Tensor | None = None
    floor_NF: Tensor | None = None
    floor_u_NF: Tensor | None = None


class Objectives:
    """K objectives over one space with the predictors that answer for them.

    Args:
        objectives: what is wanted.
        predictors: setting -> predictor, for every setting named in ``objectives`` and ``floors``.
        cost: ``exact`` (multiply-adds of the space's own count, one definition for all) or ``learned`` (each predictor's
            own ``flops`` output, as in the paper).
        combine: how objectives are added: ``sum`` (eq. 7) or ``mean``.
        floors: ``(setting, metric, value)`` of predicted metrics that have a lower limit.
        charge: what ``cost=latency`` stands for: milliseconds of ``(N, D)`` codes, array or tensor.

    Attributes:
        charge: the cost that is traded against metrics, in its own unit; ``cost_scale`` is one unit of it.
        quantities: what else is told of architectures: milliseconds on machines, memory.

    Raises:
        UserError: if the objectives are of different spaces, or ``learned`` cost is asked of predictors without it.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        predictors: Mapping[str, Predictor],
        cost: str = "exact",
        combine: str = "sum",
        floors: Sequence[tuple[str, str, float]] = (),
        charge: Callable[[Any], Any] | None = None,
    ) -> None:
        self.items = tuple(objectives)
        self.predictors = dict(predictors)
        names = {p.space.name for p in self.predictors.values()}
        if len(names) != 1:
            raise UserError(f"the objectives of one search share one space; given were {', '.join(sorted(names))}")
        self.space = next(iter(self.predictors.values())).space
        if cost not in ("exact", "learned", "latency"):
            raise UserError(f"cost is exact, learned or latency, given was '{cost}'")
        if cost == "latency" and charge is None:
            raise UserError("cost=latency needs a measured machine: latency=FILE, which `latency` writes")
        if combine not in ("sum", "mean"):
            raise UserError(f"combine is sum or mean, given was '{combine}'")
        self.cost = cost
        if cost == "learned":
            self._check_learned_cost()
        self.asked = self._asked([(f[0], f[1]) for f in floors])
        columns = [self._column(o.setting, o.metric) for o in self.items]
        # setting and column of each objective's metric; of its cost term likewise (empty if cost is exact)
        self.columns = [(setting, i) for setting, i, _, _ in columns]
        self.cost_columns: list[tuple[str, int]] = []
        self._floors = [(self._column(setting, metric), value) for setting, metric, value in floors]
        self.floor_scale = [scale for (_, _, _, scale), _ in self._floors]
        self._mean_K, self._std_K = _tensors(columns)
        self._sign_K = torch.tensor([o.sign for o in self.items], dtype=torch.float64)
        self._floor_F = torch.tensor([value for _, value in self._floors], dtype=torch.float64)
        self._floor_std_F = torch.tensor(self.floor_scale, dtype=torch.float64)
        if cost == "learned":
            columns = [self._column(o.setting, LEARNED_COST) for o in self.items]
            self.cost_columns = [(setting, i) for setting, i, _, _ in columns]
            self._cost_mean_K, self._cost_std_K = _tensors(columns)
        self.charge: Callable[[Any], Any] = lambda codes: self.space.cost(codes).macs
        self.cost_scale = cost_scale(self.space.name)
        self.quantities: tuple[Quantity, ...] = ()
        if cost == "latency" and charge is not None:
            self.charge = charge
            sample = self.space.encode(self.space.sample(1024, np.random.default_rng(0)))
            self.cost_scale = float(np.std(np.asarray(charge(sample))))
        weights = np.array([o.weight for o in self.items])
        self.weights_K = torch.as_tensor(weights / (weights.sum() if combine == "mean" else 1.0))

    def _column(self, setting: str, metric: str) -> tuple[str, int, float, float]:
        """Setting, column of the metric, and its mean and standard deviation."""
        predictor = self.asked[setting]
        i = predictor.metrics.index(metric)
        return setting, i, float(predictor.output_mean[i]), float(predictor.output_std[i])

    def _asked(self, floors: Sequence[tuple[str, str]]) -> dict[str, Predictor]:
        """The predictors, for speed without the metrics that a search does not need and with norms folded."""
        wanted: dict[str, list[str]] = {name: [] for name in self.predictors}
        costs = [(o.setting, LEARNED_COST) for o in self.items] if self.cost == "learned" else []
        for setting, metric in [(o.setting, o.metric) for o in self.items] + costs + list(floors):
            known = self.predictors[setting].metrics
            if metric not in known:
                raise UserError(
                    f"the predictor of {setting} does not predict '{metric}'; it predicts {', '.join(known)}"
                )
            if metric not in wanted[setting]:
                wanted[setting].append(metric)
        return {name: narrowed(self.predictors[name], tuple(metrics)) for name, metrics in wanted.items()}

    def _check_learned_cost(self) -> None:
        used = {o.setting: self.predictors[o.setting] for o in self.items}
        lacking = [name for name, p in used.items() if LEARNED_COST not in p.metrics]
        if lacking:
            raise UserError(
                f"cost=learned needs a predicted '{LEARNED_COST}', which {lacking[0]} lacks; use cost=exact"
            )
        tasks = {name: settings.SETTINGS[name].task == "det3d" for name in used if name in settings.SETTINGS}
        if len(set(tasks.values())) > 1:
            raise UserError(
                f"cost=learned cannot mix {', '.join(used)}: 3ddet's recorded flops were counted otherwise; use cost=exact"
            )

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings that have a predictor here."""
        return tuple(self.predictors)

    def forward(self, codes_ND: Tensor, std: bool = False) -> Forward:
        """Standardised metrics, costs and floors of ``(N, D)`` raw codes, differentiable."""
        answers: dict[str, tuple[Tensor, ...]] = {}
        for name, predictor in self.asked.items():
            x_ND = codes_ND.to(predictor.output_mean.dtype)
            answers[name] = predictor.posterior(x_ND) if std else (predictor(x_ND),)

        def stack(columns: list[tuple[str, int]], part: int) -> Tensor:
            return torch.stack([answers[setting][part][:, i] for setting, i in columns], 1).double()

        where = self.columns
        z_NK = (stack(where, 0) - self._mean_K) * (self._sign_K / self._std_K)
        u_NK = stack(where, 1) / self._std_K if std else None
        if self.cost == "learned":
            cost_NK = (stack(self.cost_columns, 0) - self._cost_mean_K) / self._cost_std_K
        else:
            cost_NK = (self.charge(codes_ND) / self.cost_scale)[:, None].expand_as(z_NK)
        if not self._floors:
            return Forward(z_NK, cost_NK, u_NK)
        where = [(setting, i) for (setting, i, _, _), _ in self._floors]
        floor_NF = (stack(where, 0) - self._floor_F) / self._floor_std_F
        return Forward(z_NK, cost_NK, u_NK, floor_NF, stack(where, 1) / self._floor_std_F if std else None)

    def standardise(self, values: Mapping[str, float], cost: float | None) -> tuple[np.ndarray, np.ndarray]:
        """``(K,)`` metrics in standardised, signed units from ``setting.metric -> value``, and ``(K,)`` costs.

        ``cost`` is in multiply-adds (exact), billions (learned) or milliseconds (latency); None gives infinity: no target.
        """
        raw_K = np.array([values[o.name] for o in self.items])
        z_K = (raw_K - self._mean_K.numpy()) * (self._sign_K / self._std_K).numpy()
        if cost is None:
            return z_K, np.full_like(z_K, np.inf)
        if self.cost == "learned":
            return z_K, (cost - self._cost_mean_K.numpy()) / self._cost_std_K.numpy()
        return z_K, np.full_like(z_K, cost / self.cost_scale)


def narrowed(predictor: Predictor, metrics: tuple[str, ...]) -> Predictor:
    """The predictor as a search wants it, remembered for the next one: some metrics only, norms folded into layers."""
    shorten = hasattr(predictor, "select") and metrics and set(metrics) < set(predictor.metrics)
    if not shorten and not hasattr(predictor, "fold"):
        return predictor
    known = _NARROWED.setdefault(predictor, {})
    if metrics not in known:
        result: Any = predictor
        result = result.select(metrics) if shorten else result
        known[metrics] = result.fold() if hasattr(result, "fold") else result
    return known[metrics]


def _tensors(columns: Sequence[tuple[str, int, float, float]]) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of columns, ``(K,)`` float64 each."""
    both = torch.tensor([c[2:] for c in columns], dtype=torch.float64)
    return both[:, 0], both[:, 1]
