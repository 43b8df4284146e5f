"""The strategies that pay for every evaluation, by name. Each has ``run(ground, queries, generators) -> (R, Q)`` handles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from ncp.errors import UserError
from ncp.options import read
from ncp.search.querying.ground import Ground


class Way(Protocol):
    """A way to spend a number of evaluations; one generator of random numbers a run."""

    def run(self, ground: Ground, queries: int, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """``(R, Q)`` handles in the order in which they are asked about."""
        ...


# name -> module here, class, options; what a module needs (torch) is imported when one of its strategies is made
STRATEGIES: dict[str, tuple[str, str, Mapping[str, Any]]] = {
    "random": ("evolution", "Random", {}),
    "rea": ("evolution", "Evolution", {}),
    "evolution": ("evolution", "Evolution", {"population": 16, "tournament": 4}),
    "local": ("evolution", "Local", {}),
    "greedy": ("evolution", "Greedy", {}),
    "ppo": ("policy", "PPO", {}),
    "ppo_transfer": ("policy", "PPO", {"source": ("jigsaw", "class_object", "class_scene")}),
    "catch": ("catch", "Catch", {}),
    "rounds": ("rounds", "Rounds", {}),
    "rounds_known": ("rounds", "Rounds", {"known": True}),
    "tpe": ("external", "Optuna", {"sampler": "tpe"}),
    "nsga2": ("external", "Optuna", {"sampler": "nsga2"}),
    "cma": ("external", "Optuna", {"sampler": "cma"}),
    "bo": ("external", "Bayesian", {}),
    "neural_predictor": ("guided", "Guided", {"strategy": "neural_predictor"}),
    "netadapt": ("guided", "Guided", {"strategy": "greedy"}),
    "paper": ("guided", "Guided", {"strategy": "paper"}),
    "winner_takes_all": ("guided", "Guided", {"strategy": "winner_takes_all"}),
    "robust": ("guided", "Guided", {"strategy": "robust", "proposals": 4}),
}


LEARN_FROM_OTHERS = ("ppo_transfer", "catch", "rounds_known")
"""Those that look at other tasks' tables."""


def make(name: str, options: Mapping[str, Any] | None = None) -> Way:
    """The strategy called ``name``; raises ``UserError`` for an unknown name or option."""
    if name not in STRATEGIES:
        raise UserError(f"unknown strategy '{name}' for a number of evaluations; there are {', '.join(STRATEGIES)}")
    module, kind, own = STRATEGIES[name]
    made: type[Way] = getattr(import_module(f"ncp.search.querying.{module}"), kind)
    return read(made, {**own, **(options or {})}, f"strategy.{name}")
