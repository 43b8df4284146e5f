"""Large networks take fewer steps on a built-in set."""

from types import SimpleNamespace

import pytest

from ncp.data.base import BatchPolicy
from ncp.tasks.budget import LEAST_STEPS, shortened
from ncp.tasks.position import Plan


def plan(steps=100):
    policy = BatchPolicy.fit(10, 1, None)
    return Plan(steps=steps, policy=policy, samples=50, log_every=1, save_every=1, evaluate=(50, 100), keep=(50, 100))


@pytest.mark.parametrize(
    ("macs", "steps"),
    [
        (10**6, 100),
        (3 * 10**6, 100),
        (4 * 10**6, 75),
        (10**7, 30),
        (10**9, LEAST_STEPS),
    ],  # 9e9 / (3 * 10 samples * macs)
)
def test_the_budget_buys_so_many_steps(macs, steps):
    told = []
    data = SimpleNamespace(training_macs=9e9, plan=lambda policy, steps: told.append(steps))
    made = shortened(plan(), data, macs)
    assert made.steps == steps
    assert told == ([steps] if steps < 100 else [])
    assert max(made.evaluate) == steps


def test_without_a_budget_nothing_is_cut():
    whole = plan()
    assert shortened(whole, SimpleNamespace(training_macs=None), 10**15) is whole
