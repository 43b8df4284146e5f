"""The strategies by name. Each has ``run(objectives, start, budget, rng) -> Trajectory``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any, Protocol

import numpy as np

from ncp.errors import UserError
from ncp.numeric import finite, shown, whole
from ncp.options import meant
from ncp.search.baselines import BASELINES, Baseline
from ncp.search.limits import Budget
from ncp.search.loss import Loss
from ncp.search.objectives import Objectives
from ncp.search.propagation import Propagation
from ncp.search.robust import Robust
from ncp.search.trajectory import Trajectory
from ncp.search.winner_takes_all import WinnerTakesAll


class Strategy(Protocol):
    """A way to search. ``starts`` is the number of starts that it takes unless told otherwise."""

    @property
    def starts(self) -> int:
        """How many starts it takes."""
        ...

    def run(self, objectives: Objectives, start: Any, budget: Budget, rng: np.random.Generator) -> Trajectory:
        """Search from starts, a :class:`Starts` or ``(S, D)`` codes, that lie in the budget's region."""
        ...


def _paper(lam: float, iterations: int, kappa: float, **options: Any) -> Strategy:
    loss = Loss.pop(lam, options)
    return Propagation(loss=loss, iterations=iterations, **options)


def _winner_takes_all(lam: float, iterations: int, kappa: float, **options: Any) -> Strategy:
    loss = Loss.pop(lam, options)
    return WinnerTakesAll(loss=loss, iterations=iterations, **options)


def _robust(lam: float, iterations: int, kappa: float, **options: Any) -> Strategy:
    return Robust(lam=lam, iterations=iterations, kappa=kappa, **options)


def _baseline(
    kind: type[Baseline], queries: int, lam: float, iterations: int, kappa: float, **options: Any
) -> Strategy:
    return kind(lam=lam, kappa=kappa, **{"queries": queries, **options})


Maker = Callable[..., Strategy]
# name -> (maker, family of bundled predictors that belongs to it)
STRATEGIES: dict[str, tuple[Maker, str]] = {
    "robust": (_robust, "default"),
    "paper": (_paper, "paper"),
    "winner_takes_all": (_winner_takes_all, "paper"),
    **{name: (partial(_baseline, kind, queries), "default") for name, kind, queries in BASELINES},
}


_KINDS: dict[str, Any] = {
    **{"robust": Robust, "paper": Propagation, "winner_takes_all": WinnerTakesAll},
    **{name: kind for name, kind, _ in BASELINES},
}


def names() -> tuple[str, ...]:
    """The names of all strategies."""
    return tuple(STRATEGIES)


def _entry(name: str) -> tuple[Maker, str]:
    if name not in STRATEGIES:
        raise UserError(f"unknown strategy '{name}'; strategies: {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def preferred_family(name: str) -> str:
    """The family of bundled predictors that belongs to a strategy: ``paper`` for the paper's own."""
    return _entry(name)[1]


def make(name: str, lam: float, iterations: int, kappa: float, options: Mapping[str, Any] | None = None) -> Strategy:
    """The strategy called ``name``; raises ``UserError`` for an unknown name or option."""
    iterations = whole("iterations", iterations, 1)
    lam, kappa = finite("lam", lam, least=0), finite("kappa", kappa, least=0)
    if options is not None and not isinstance(options, Mapping):
        raise UserError(f"the options of strategy {name} are {{name: value}}, given was {shown(options)}")
    maker = _entry(name)[0]
    given, known = {str(key): value for key, value in (options or {}).items()}, _options(name)
    for key in given:
        if key not in known:
            listed = f"its options: {', '.join(known)}" if known else "it has none"
            raise UserError(f"strategy {name} has no option '{key}'{meant(key, known)}; {listed}")
    return maker(lam=lam, iterations=iterations, kappa=kappa, **given)


def _options(name: str) -> list[str]:
    """What a strategy takes beside what all are given; a loss is given by its parts."""
    found = signature(_KINDS[name]).parameters
    parts = ("loss", "targets", "step") if "loss" in found else ()
    return [*parts, *(key for key in found if key not in ("loss", "lam", "iterations", "kappa", "queries"))]
