"""Optimisers of other libraries on the same grounds with the same evaluations: Optuna's samplers, and BoTorch's Bayesian one.

They are what a practitioner would take first, so they are used as they come; the libraries are an optional extra.

Shape suffixes: R runs, Q evaluations, T choices, D dimensions.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from ncp.errors import missing_extra
from ncp.search.querying.ground import Ground
from ncp.spaces.onehot import OneHotSpace

Generators = Sequence[np.random.Generator]


def _library(name: str) -> Any:
    """One of the extra's libraries; raises ``UserError`` where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        raise missing_extra(name, "optimizers") from None


@dataclass(frozen=True)
class Optuna:
    """One of Optuna's samplers, by ask and tell, with its own defaults.

    Attributes:
        sampler: ``tpe`` (tree-structured Parzen estimators), ``nsga2`` (a genetic algorithm) or ``cma`` (CMA-ES).
    """

    sampler: Literal["tpe", "nsga2", "cma"] = "tpe"

    def __post_init__(self) -> None:
        _library("optuna")  # told before any strategy has run
        if self.sampler == "cma":
            _library("cmaes")

    def run(self, ground: Ground, queries: int, generators: Generators) -> np.ndarray:
        """``(R, Q)`` handles in the order in which they are asked about."""
        optuna = _library("optuna")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        kinds = {"tpe": "TPESampler", "nsga2": "NSGAIISampler", "cma": "CmaEsSampler"}
        kind = getattr(optuna.samplers, kinds[self.sampler])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of samplers that fall back for a parameter, once a run
            return np.stack([self._one(optuna, kind, ground, queries, generator) for generator in generators])

    def _one(self, optuna: Any, kind: Any, ground: Ground, queries: int, rng: np.random.Generator) -> np.ndarray:
        study = optuna.create_study(direction="maximize", sampler=kind(seed=int(rng.integers(2**31))))
        choices, asked = ground.choices, []
        named = isinstance(ground.space, OneHotSpace)
        for _ in range(queries):
            trial = study.ask()
            options = [
                trial.suggest_categorical(f"x{t}", list(range(int(choices.open[t].sum()))))
                if named
                else trial.suggest_int(f"x{t}", 0, int(choices.open[t].sum()) - 1)
                for t in range(choices.length)
            ]
            handle = ground.repaired(choices.codes(np.array([options])))
            study.tell(trial, float(ground.fitness(handle)[0]))
            asked.append(int(handle[0]))
        return np.array(asked, dtype=np.int64)


@dataclass(frozen=True)
class Bayesian:
    """BoTorch: a Gaussian process with its defaults, and the logarithm of expected improvement over a pool, in rounds.

    Attributes:
        first: architectures drawn before the first round.
        size: architectures a round.
        pool: candidates that the improvement is worked out for.
    """

    first: Annotated[int, Meta(ge=2)] = 10
    size: Annotated[int, Meta(ge=1, le=10**9)] = 5
    pool: Annotated[int, Meta(ge=10, le=100_000)] = 500

    def __post_init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside of the libraries
            _library("botorch")

    def run(self, ground: Ground, queries: int, generators: Generators) -> np.ndarray:
        """``(R, Q)`` handles in the order in which they are asked about."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside of the libraries
            return np.stack([self._one(ground, queries, generator) for generator in generators])

    def _one(self, ground: Ground, queries: int, rng: np.random.Generator) -> np.ndarray:
        import torch
        from botorch.acquisition.analytic import LogExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from gpytorch.mlls import ExactMarginalLogLikelihood

        torch.manual_seed(int(rng.integers(2**31)))
        space = ground.space
        asked = ground.draw(min(self.first, queries), rng)
        while len(asked) < queries:
            x = self._unit(space, ground.codes(asked))
            y = torch.from_numpy(ground.fitness(asked))[:, None]
            model = SingleTaskGP(x, y)  # standardises the values itself
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            some = np.setdiff1d(self._candidates(ground, asked, rng), asked)
            with torch.no_grad():
                hope = LogExpectedImprovement(model, best_f=y.max())(
                    self._unit(space, ground.codes(some))[:, None]
                ).numpy()
            best = np.argsort(-hope, kind="stable")[: min(self.size, queries - len(asked))]
            asked = np.concatenate([asked, some[best]])
        return asked

    def _candidates(self, ground: Ground, asked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A sample, and what is one and two mutations from the best so far."""
        drawn = rng.permutation(ground.candidates(rng))[: self.pool]
        top = asked[ground.fitness(asked).argmax()]
        near = ground.mutate(np.repeat(top, self.pool // 5), rng.random((self.pool // 5, 2)))
        far = ground.mutate(near, rng.random((len(near), 2)))
        return np.unique(np.concatenate([drawn, near, far]))

    def _unit(self, space: Any, codes_ND: np.ndarray) -> Any:
        import torch

        return torch.from_numpy((codes_ND - space.lower) / (space.upper - space.lower))
