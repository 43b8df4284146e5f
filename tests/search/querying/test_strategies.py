"""Strategies that pay for every evaluation: on small tables whose best rows are known."""

import numpy as np
import pytest
import torch

from ncp import spaces
from ncp.errors import UserError
from ncp.search.querying import policy
from ncp.search.querying.evolution import Evolution
from ncp.search.querying.ground import OpenGround, TableGround
from ncp.search.querying.process import Processes
from ncp.search.querying.rounds import Rounds, normal_scores
from ncp.search.querying.strategies import STRATEGIES, make

MICRO = spaces.get("transnas-micro")
# those led by predictors and those of other libraries, which may not be installed, have tests of their own
OURS = [name for name, (module, *_) in STRATEGIES.items() if module not in ("guided", "external")]
CHEAPER = {"catch": {"steps": 2, "candidates": 4}}


def value(codes):
    """More convolutions are better, 3x3 ones most, and edge 0>3 should be a skip."""
    ops = MICRO.choices(codes)
    return (ops == 3).sum(1) + 0.5 * (ops == 2).sum(1) + 2.0 * (ops[:, 3] == 1)


@pytest.fixture(scope="module")
def ground():
    codes = MICRO.encode(MICRO.all()).astype(np.int64)
    rng = np.random.default_rng(0)
    known = {
        f"transnas-micro/{task}.valid": value(codes) + rng.normal(0, 1, len(codes))
        for task in ("jigsaw", "class_object")
    }
    return TableGround(MICRO, codes, value(codes) + rng.normal(0, 0.1, len(codes)), "toy", known)


def generators(seeds):
    return [np.random.default_rng(seed) for seed in seeds]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", OURS)
def test_every_strategy_keeps_the_contract(name, ground):
    asked = make(name, CHEAPER.get(name)).run(ground, 24, generators(range(3)))
    assert asked.shape == (3, 24)
    assert ((asked >= 0) & (asked < len(ground))).all()
    again = make(name, CHEAPER.get(name)).run(ground, 24, generators(range(2)))
    np.testing.assert_array_equal(asked[:2], again)  # a seed's run does not depend on the others
    if name in ("random", "rounds", "rounds_known"):
        assert all(len(set(row)) == 24 for row in asked.tolist())


@pytest.mark.usefixtures("one_thread")
def test_those_that_learn_find_more_than_chance(ground):
    best = {}
    for name in ("random", "rea", "local", "rounds", "rounds_known"):
        asked = make(name).run(ground, 40, generators(range(8)))
        best[name] = float(np.mean(ground.fitness(asked).max(1)))
    assert best["random"] < min(best["rea"], best["local"])
    assert best["rounds"] > 7 - 0.3  # the best possible, but for the noise
    assert best["rounds_known"] > 7 - 0.3


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ["random", "rea", "local", "ppo", "rounds"])
def test_they_run_where_any_architecture_is_answered(name):
    ground = OpenGround(spaces.get("multires"), lambda codes: -np.abs(codes - 32.0).sum(1), sample=50)
    asked = make(name).run(ground, 16, generators(range(2)))
    assert asked.shape == (2, 16)
    codes = ground.codes(asked)
    assert (ground.space.round(codes.reshape(-1, 27)).reshape(codes.shape) == codes).all()


def test_evolution_mutates_the_best_alive_and_retires_the_oldest():
    """Against a walk by hand: the values rise with the handle, so that the parent is always the largest handle alive."""

    class Line(TableGround):
        def __init__(self):
            self.values, self.parents = np.arange(100, dtype=float), []

        def draw(self, n, rng):
            return np.arange(n)

        def mutate(self, handles, uniform):
            self.parents.append(int(handles[0]))
            return handles * 0 + len(self.parents) % 2 * 50  # 50, 0, 50, 0, ...

    line = Line()
    asked = Evolution(population=3, tournament=3).run(line, 8, generators([0]))
    assert asked[0].tolist() == [0, 1, 2, 50, 0, 50, 0, 50]
    assert line.parents == [2, 50, 50, 50, 50]
    # alone, the youngest is the parent, whatever it is
    line = Line()
    Evolution(population=1, tournament=1).run(line, 5, generators([0]))
    assert line.parents == [0, 50, 0, 50]


def test_the_batched_process_is_a_gaussian_process():
    """Against scikit-learn's posterior with the same kernel."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    rng = np.random.default_rng(0)
    z, new = rng.normal(size=(2, 15, 3)), rng.normal(size=(2, 6, 3))
    t = np.sin(z[..., 0]) + 0.1 * rng.normal(size=(2, 15))
    none = torch.zeros(2, 15, 0).double()
    found = Processes(torch.tensor(z), torch.tensor(t), none, steps=30)
    mean, std = found.posterior(torch.tensor(new), torch.zeros(2, 6, 0).double())
    for r in range(2):
        p = {name: values[r].detach().numpy() for name, values in found.p.items()}
        kernel = ConstantKernel(np.exp(p["signal"])) * Matern(np.exp(p["length"] + p["scale"]), nu=2.5)
        noise = float(np.exp(p["noise"]) + 1e-5)
        other = GaussianProcessRegressor(kernel + WhiteKernel(noise), optimizer=None, alpha=0).fit(z[r], t[r])
        m, s = other.predict(new[r], return_std=True)
        np.testing.assert_allclose(mean[r], m, atol=1e-6)
        np.testing.assert_allclose(std[r] ** 2 + noise, s**2, rtol=1e-5)


def test_normal_scores_are_of_ranks():
    scores = normal_scores(np.array([[1.0, 100.0, 2.0], [5.0, 5.0, 9.0]]))
    assert scores[0].tolist() == pytest.approx([-0.967, 0.967, 0.0], abs=1e-3)
    assert scores[1, 0] == scores[1, 1] < scores[1, 2]


def test_advantages_are_those_of_the_definition():
    """Hand-worked: three choices, values 1, 2, 3, a reward of 10 after the last."""
    controller = object.__new__(policy.Controller)
    controller.length, controller.constants = 3, policy.Constants(discount=0.9, gae=0.5)
    value = torch.tensor([[[1.0, 2.0, 3.0]]])
    found = controller._advantages(value, torch.tensor([[10.0]]))[0, 0].tolist()
    last = 10 - 3
    middle = 0.9 * 3 - 2 + 0.9 * 0.5 * last
    assert found == pytest.approx([0.9 * 2 - 1 + 0.45 * middle, middle, last])


@pytest.mark.usefixtures("one_thread")
def test_a_controller_learns_what_is_rewarded(ground):
    """With many evaluations the policy moves to the rewarded architectures, far from uniform."""
    asked = make("ppo").run(ground, 400, generators(range(2)))
    values = ground.fitness(asked)
    assert values[:, -50:].mean() > values[:, :50].mean() + 1.0


def test_mistakes():
    bare = TableGround(MICRO, MICRO.encode(MICRO.all()[:50]).astype(np.int64), np.arange(50.0))
    for call, message in (
        (lambda: make("annealing"), "unknown strategy 'annealing'"),
        (lambda: make("rea", {"poplation": 3}), "strategy.rea.poplation'; did you mean 'population'"),
        (lambda: make("rea", {"population": 0}), "strategy.rea.population must be a whole number of at least 1"),
        (lambda: make("rea", {"tournament": "many"}), "strategy.rea.tournament must be a whole number"),
        (lambda: make("rounds", {"size": 0}), "strategy.rounds.size must be a whole number of at least 1"),
        (lambda: make("random", {"size": 1}), "unknown key 'strategy.random.size'; its keys: none"),
        (lambda: make("ppo", {"spent": 1}), "unknown key 'strategy.ppo.spent'; its keys: source, constants"),
        (
            lambda: make("ppo", {"constants": {"rates": 1}}),
            "unknown key 'strategy.ppo.constants.rates'; did you mean 'rate'",
        ),
        (lambda: make("catch", {"constants": 5}), "strategy.catch.constants must be keys with values"),
        (lambda: make("ppo_transfer").run(bare, 5, generators([0])), "learns from other tasks first"),
    ):
        with pytest.raises(UserError, match=message):
            call()
    assert make("ppo", {"constants": {"rate": 1}}).constants == policy.Constants(rate=1.0)
    assert Rounds(first=3, size=2).run(bare, 6, generators([0])).shape == (1, 6)
