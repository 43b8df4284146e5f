"""What a search is for: metrics of settings, predicted in one code coordinate, each with its own cost term.

Shape suffixes: N codes, D dimensions of the code, M metrics of one predictor, K objectives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ncp import spaces
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.numeric import finite, shown
from ncp.predictors.answers import AnyPredictor
from ncp.search.forward import Forward
from ncp.search.quantities import Quantity
from ncp.slopes import Slope, by_autograd
from ncp.spaces import slopes

DIRECTIONS = ("max", "min")
LEARNED_COST = "flops"  # the predictors' own output that stands for cost in the paper
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
    def parse(cls, value: Any, predictors: Mapping[str, AnyPredictor] | None = None) -> Objective:
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


def split_metric(text: str, predictors: Mapping[str, AnyPredictor] | None = None) -> tuple[str, str]:
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
                f"{', '.join(settings.SHORT)}; beside them {others}) or a setting's metric such as seg.mAcc; {settings.OWN}"
            )
        setting = settings.get(name)
        name, main, known = setting.name, setting.main, (*setting.metrics, *_SMALLER_IS_BETTER)
    if metric and metric not in known:
        raise UserError(f"unknown metric '{metric}' of {name}; its metrics are {', '.join(known)}")
    return name, metric or main


def parse_objectives(values: Any, predictors: Mapping[str, AnyPredictor] | None = None) -> tuple[Objective, ...]:
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
    sample = spaces.sampled(space, 4096, np.random.default_rng(0))
    return float(np.std(np.asarray(space.cost(sample).macs, dtype=np.float64)))


class Objectives:
    """K objectives over one space with the predictors that answer for them.

    Args:
        objectives: what is wanted.
        predictors: setting -> predictor, for every setting named in ``objectives`` and ``floors``.
        cost: ``exact`` (multiply-adds of the space's own count, one definition for all) or ``learned`` (each predictor's
            own ``flops`` output, as in the paper).
        combine: how objectives are added: ``sum`` (eq. 7) or ``mean``.
        floors: ``(setting, metric, value)`` of predicted metrics that have a lower limit.
        charge: what ``cost=latency`` stands for: a quantity, or a function of ``(N, D)`` codes, array or tensor.

    Attributes:
        charge: the cost that is traded against metrics, ``(N,)`` in its own unit of ``(N, D)`` codes; ``charge_slope`` is the
            same with the way back, and ``cost_scale`` one unit of it.
        quantities: what else is told of architectures: milliseconds on machines, memory.

    Raises:
        UserError: if the objectives are of different spaces, or ``learned`` cost is asked of predictors without it.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        predictors: Mapping[str, AnyPredictor],
        cost: str = "exact",
        combine: str = "sum",
        floors: Sequence[tuple[str, str, float]] = (),
        charge: Quantity | Callable[[Any], Any] | None = None,
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
        floored = [(self._column(setting, metric), value) for setting, metric, value in floors]
        self.floor_columns = [(setting, i) for (setting, i, _, _), _ in floored]
        self.floor_scale = [scale for (_, _, _, scale), _ in floored]
        self.floor_F = np.array([value for _, value in floored])
        self.floor_std_F = np.array(self.floor_scale)
        self.mean_K, self.std_K = _moments(columns)
        self.sign_K = np.array([o.sign for o in self.items])
        if cost == "learned":
            columns = [self._column(o.setting, LEARNED_COST) for o in self.items]
            self.cost_columns = [(setting, i) for setting, i, _, _ in columns]
            self.cost_mean_K, self.cost_std_K = _moments(columns)
        self.charge: Callable[[Any], Any] = lambda codes: self.space.cost(codes).macs
        self.charge_slope: Callable[[np.ndarray], Slope] = lambda codes: slopes.cost(self.space, codes).column(0)
        self.cost_scale = cost_scale(self.space.name)
        self.quantities: tuple[Quantity, ...] = ()
        if cost == "latency" and charge is not None:
            self.charge = of = charge.of if isinstance(charge, Quantity) else charge
            self.charge_slope = charge.at if isinstance(charge, Quantity) else lambda codes: by_autograd(of, codes)
            sample = spaces.sampled(self.space, 1024, np.random.default_rng(0))
            self.cost_scale = float(np.std(np.asarray(self.charge(sample))))
        weights = np.array([o.weight for o in self.items])
        self.weights_K = weights / (weights.sum() if combine == "mean" else 1.0)

    def _column(self, setting: str, metric: str) -> tuple[str, int, float, float]:
        """Setting, column of the metric, and its mean and standard deviation."""
        predictor = self.asked[setting]
        i = predictor.metrics.index(metric)
        return setting, i, float(predictor.output_mean[i]), float(predictor.output_std[i])

    def _asked(self, floors: Sequence[tuple[str, str]]) -> dict[str, AnyPredictor]:
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

    def forward(self, codes_ND: Any, std: bool = False) -> Forward:
        """Standardised metrics, costs and floors of ``(N, D)`` raw codes, with the way back."""
        return Forward(self, np.asarray(codes_ND, dtype=np.float64), std)

    def standardise(self, values: Mapping[str, float], cost: float | None) -> tuple[np.ndarray, np.ndarray]:
        """``(K,)`` metrics in standardised, signed units from ``setting.metric -> value``, and ``(K,)`` costs.

        ``cost`` is in multiply-adds (exact), billions (learned) or milliseconds (latency); None gives infinity: no target.
        """
        raw_K = np.array([values[o.name] for o in self.items])
        z_K = (raw_K - self.mean_K) * (self.sign_K / self.std_K)
        if cost is None:
            return z_K, np.full_like(z_K, np.inf)
        if self.cost == "learned":
            return z_K, (cost - self.cost_mean_K) / self.cost_std_K
        return z_K, np.full_like(z_K, cost / self.cost_scale)


def narrowed(predictor: AnyPredictor, metrics: tuple[str, ...]) -> AnyPredictor:
    """The predictor as a search wants it, remembered for the next one: a closed form where it has one, some metrics only, norms
    folded into layers."""
    closed = predictor.closed()
    # kept with the predictor itself, to which what is made of it may refer: both go together
    known: dict[tuple[str, ...], AnyPredictor] = vars(closed).setdefault("_narrowed", {})
    if metrics not in known:
        result: Any = closed
        if hasattr(result, "select") and metrics and set(metrics) < set(result.metrics):
            result = result.select(metrics)
        known[metrics] = result.fold() if hasattr(result, "fold") else result
    return known[metrics]


def _moments(columns: Sequence[tuple[str, int, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of columns, ``(K,)`` float64 each."""
    both = np.array([c[2:] for c in columns])
    return both[:, 0], both[:, 1]
