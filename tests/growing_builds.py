"""Builds in rounds without trainings: results by a formula, predictors that answer it, workers that die where a test says."""

import numpy as np
import torch
from made_records import record
from small_builds import options as small_options
from toy_predictors import Toy

from ncp import spaces
from ncp.campaign import advance, rounds, train, work
from ncp.campaign.train import Bench

SPACE = spaces.get("multires")
BIG = (
    "count=14", "sampler=adaptive", "rounds=4", "budget.macs=1e9", "build.attempts=2", "bounds.c=[8,128]", "bounds.b=[1,3]",
    "bounds.n=[1,4]", "bounds.i=[8,64]", "bounds.o1=[8,128]", "known=none",
)  # fmt: skip


class Died(BaseException):
    """As if the process were killed: nothing of ours gets to see it."""


def truth(codes):
    """A metric that rises with every dimension, ever more slowly."""
    return 70.0 - (40.0 / np.asarray(codes, dtype=np.float64)).mean(-1)


def options(folder, *words):
    """Of a build of 14 architectures in rounds of 8, 2, 2 and 2."""
    return small_options(folder, *BIG, *words)


def without_trainings(monkeypatch, fails=lambda claim: None, before=lambda claim: None):
    """Trainings become a formula; ``fails`` gives an attempt's reason to fail, ``before`` may raise. Which units were trained."""
    trained = []

    def quick(bench, claim):
        before(claim)
        if reason := fails(claim):
            bench.worker.fail(claim, {"kind": "crash", "reason": reason})
            return None
        code = SPACE.parse(bench.plan.architectures[claim.unit]).code
        value = float(truth(code))
        found = record(
            bench.plan, claim.unit, metrics={"mIoU": value, "mAcc": value, "aAcc": value}, generation=claim.generation
        )
        assert bench.worker.record(claim, found.as_json())
        trained.append(claim.unit)
        return found

    monkeypatch.setattr(train, "train", quick)
    monkeypatch.setattr(Bench, "data", lambda self, seed: None)
    monkeypatch.setattr(rounds, "fit", toy)
    return trained


def toy(space, codes, values, known, seed, setting="mine", metric="metric", remainder="usual"):
    """A predictor that knows the formula, and doubts what is far from the rows."""
    rows = torch.as_tensor(np.asarray(codes, dtype=np.float64))

    def doubt(x):
        return 0.01 + (x[:, None] - rows).abs().mean(-1).min(1).values / 50

    return Toy(setting, lambda x: 70.0 - (40.0 / x).mean(-1), metrics=(metric,), std=doubt)


def run(config):
    """A worker from its start to its end; the plan as it left it, and what it counted."""
    plan, store = work.open_build(config)
    tally = work.work(config, plan, store)
    return work.open_build(config)[0], store, tally


def published(store):
    """The rounds' bytes."""
    return {path.name: path.read_bytes() for path in sorted(store.path("rounds").glob("*.json"))}


__all__ = ["SPACE", "Died", "advance", "options", "published", "run", "toy", "truth", "without_trainings"]
