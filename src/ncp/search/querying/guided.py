"""Searches led by predictors that exist already: they propose few architectures, and only these are asked about on the ground.

That is how the paper compares: whoever has a predictor trains the best that it proposes (of Wen et al.'s 10,000 the top ten).
What the predictors were fitted on is counted as earlier evaluations.

Shape suffixes: R runs, Q evaluations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from ncp.errors import UserError
from ncp.search.querying.ground import Ground
from ncp.spaces import Space

Generators = Sequence[np.random.Generator]


@dataclass(frozen=True)
class Guide:
    """What leads a search: objectives with predictors, and limits.

    Attributes:
        objectives: as :func:`ncp.search.search` takes them.
        budget: ``{"macs": ..., "params": ...}``.
        predictors: setting -> predictor; None for the bundled ones that belong to each strategy.
    """

    objectives: tuple[str, ...]
    budget: Mapping[str, Any] = field(default_factory=dict)
    predictors: Mapping[str, Any] | None = None


@dataclass
class Guided:
    """A search of :mod:`ncp.search` whose results are the evaluations; its first start is the space's default code.

    Attributes:
        strategy: its name there.
        lam: the weight of cost where there is no limit.
        proposals: architectures that it proposes: results from so many starts (or the best of one sample); what is left of the
            evaluations is not used.
        spent: rows that its predictors were fitted on.
    """

    strategy: str
    lam: Annotated[float, Meta(ge=0)] = 0.5
    proposals: Annotated[int, Meta(ge=1, le=10_000)] = 10
    spent: int = field(default=0, init=False)

    def run(self, ground: Ground, queries: int, generators: Generators) -> np.ndarray:
        """``(R, Q)`` handles in the order in which they are asked about; the last repeated where no more are proposed."""
        guide = ground.guide
        if guide is None:
            raise UserError(
                f"strategy {self.strategy} is led by predictors, and there are none of these objectives; leave it out, or fit "
                "some and give predictors={SETTING: FILE}"
            )
        self.spent = sum(predictor.card.rows for predictor in self._predictors(guide).values())
        return np.stack([self._one(ground, guide, queries, generator) for generator in generators])

    def _one(self, ground: Ground, guide: Guide, queries: int, rng: np.random.Generator) -> np.ndarray:
        n = min(queries, self.proposals)
        if self.strategy == "neural_predictor":
            codes = self._best_of_a_sample(guide, n, rng)
        else:
            codes = self._ends(guide, ground.space, n, rng)
        handles = ground.nearest(codes)
        return np.concatenate([handles, np.repeat(handles[-1:], queries - len(handles))])

    def _ends(self, guide: Guide, space: Space[Any], n: int, rng: np.random.Generator) -> np.ndarray:
        """What the search finds from the default code, then from random ones."""
        from ncp.search import search

        out = []
        for i in range(n):
            start = None if i == 0 else space.sample(1, rng)[0]
            found = search(
                list(guide.objectives), strategy=self.strategy, start=start, lam=self.lam, seed=int(rng.integers(2**31)),
                budget=guide.budget, predictor=self._given(guide), judge=self._given(guide) or "paper", force=True,
            )  # fmt: skip
            out.append(list(found.architecture.code))
        return np.array(out, dtype=np.int64)

    def _best_of_a_sample(self, guide: Guide, n: int, rng: np.random.Generator) -> np.ndarray:
        """The best of 10,000 random architectures by the predictors, best first (section 4.2)."""
        from ncp.search.criterion import Criterion
        from ncp.search.robust import shrink
        from ncp.search.run import prepare

        problem = prepare(
            list(guide.objectives), "neural_predictor", budget=guide.budget, predictor=self._given(guide), force=True
        )  # fmt: skip
        region = problem.budget.region
        codes = region.round(shrink(region, problem.budget, region.sample(10_000, rng))).astype(np.float64)
        scores = Criterion(problem.objectives, problem.budget, self.lam, 0.0).scores(codes).score
        return codes[np.argsort(-scores, kind="stable")[:n]].astype(np.int64)

    def _given(self, guide: Guide) -> Any:
        return dict(guide.predictors) if guide.predictors is not None else None

    def _predictors(self, guide: Guide) -> Mapping[str, Any]:
        if guide.predictors is not None:
            return guide.predictors
        from ncp.search.judges import load_predictors
        from ncp.search.objectives import parse_objectives
        from ncp.search.strategies import preferred_family

        names = [objective.setting for objective in parse_objectives(list(guide.objectives))]
        return load_predictors(names, preferred_family(self.strategy))
