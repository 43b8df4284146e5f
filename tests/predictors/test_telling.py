"""Which trainings tell most, held against every choice worked out one by one."""

import numpy as np
import pytest
import torch

from ncp import predictors, spaces
from ncp.predictors.telling import most_telling
from ncp.predictors.transfer import Inputs, covariance

SPACE = spaces.get("multires")


def drawn(count, seed):
    rng = np.random.default_rng(seed)
    return SPACE.round(rng.uniform(SPACE.lower, SPACE.upper, (count, SPACE.dim))).astype(np.int64)


@pytest.fixture(scope="module", params=["none", ["cls-10c", "video"]])
def predictor(request):
    codes = drawn(20, 0)
    return predictors.fit(codes, {"mIoU": 60 + np.log(codes[:, 0]) + codes[:, 2] / 4}, known=request.param)


def doubt_left(predictor, codes, goals, picks):
    """Variance left of how the goals differ once the rows and some candidates are measured, by one large covariance matrix."""
    known, hyper = len(predictor.known), predictor.hyper[0].double()
    every = np.concatenate([predictor.codes.numpy(), codes[picks], goals])
    inputs = Inputs(*(part.double() for part in predictor.inputs(torch.as_tensor(every))))
    both = covariance(inputs, inputs, hyper, known).numpy()
    noise, weights = hyper[:, 5].numpy() ** 2, torch.softmax(predictor.logits[0].double(), 0).numpy()
    seen, number, total = len(every) - len(goals), len(goals), 0.0
    centre = np.eye(number) - (np.ones((number, number)) / number if number > 1 else 0)
    for j, weight in enumerate(weights):
        a = both[j, :seen, :seen] + noise[j] * np.eye(seen)
        left = both[j, seen:, seen:] - both[j, seen:, :seen] @ np.linalg.solve(a, both[j, :seen, seen:])
        total += weight * np.trace(centre @ left @ centre)
    return total


@pytest.mark.parametrize("number", [1, 5])
def test_each_pick_leaves_least_doubt_about_how_the_goals_differ(predictor, number):
    codes, goals = drawn(30, 1), drawn(number, 2)
    chosen = most_telling(predictor, codes, goals, 4)
    assert len(set(chosen)) == 4
    for i, pick in enumerate(chosen):
        others = [k for k in range(len(codes)) if k not in chosen[:i]]
        left = {k: doubt_left(predictor, codes, goals, [*chosen[:i], k]) for k in others}
        assert left[pick] == pytest.approx(min(left.values()), rel=1e-4)
        assert left[pick] < np.median(list(left.values()))
