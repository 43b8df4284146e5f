"""The strategies by name. Each has ``run(objectives, start, budget, rng) -> Trajectory``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ncp.errors import UserError
from ncp.search import propagation
from ncp.search.limits import Budget
from ncp.search.objectives import Objectives
from ncp.search.robust import Robust
from ncp.search.trajectory import Trajectory


class Strategy(Protocol):
    """A way to search. ``starts`` is the number of starts that it takes unless told otherwise."""

    @property
    def starts(self) -> int:
        """How many starts it takes."""
        ...

    def run(self, objectives: Objectives, start: np.ndarray, budget: Budget, rng: np.random.Generator) -> Trajectory:
        """Search from ``(S, D)`` codes that lie in the budget's region."""
        ...


def _paper(lam: float, iterations: int, kappa: float, options: Mapping[str, Any]) -> Strategy:
    return propagation.from_options(lam, iterations, options)


def _robust(lam: float, iterations: int, kappa: float, options: Mapping[str, Any]) -> Strategy:
    return Robust(lam=lam, kappa=kappa, iterations=iterations, **options)


# name -> (maker, family of bundled predictors that belongs to it)
STRATEGIES: dict[str, tuple[Any, str]] = {"robust": (_robust, "default"), "paper": (_paper, "paper")}


def names() -> tuple[str, ...]:
    """The names of all strategies."""
    return tuple(STRATEGIES)


def _entry(name: str) -> tuple[Any, str]:
    if name not in STRATEGIES:
        raise UserError(f"unknown strategy '{name}'; strategies: {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def preferred_family(name: str) -> str:
    """The family of bundled predictors that belongs to a strategy: ``paper`` for the paper's own."""
    return _entry(name)[1]


def make(
    name: str, lam: float, iterations: int, kappa: float, starts: int | None, options: Mapping[str, Any]
) -> Strategy:
    """The strategy called ``name``; raises ``UserError`` for an unknown name or option."""
    if int(iterations) != iterations or iterations < 1:
        raise UserError(f"iterations must be a positive whole number, given was {iterations}")
    if starts is not None and starts < 1:
        raise UserError(f"starts must be at least 1, given was {starts}")
    try:
        strategy: Strategy = _entry(name)[0](lam=lam, iterations=iterations, kappa=kappa, options=options)
    except TypeError as error:
        raise UserError(f"unknown option of strategy {name}: {str(error).split('argument ')[-1]}") from None
    return strategy
