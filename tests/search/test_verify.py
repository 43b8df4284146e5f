"""Which architectures are measured in the end, and which of them is the answer."""

import numpy as np
import pytest
from toy_predictors import Toy, capacity

from ncp import latency
from ncp.latency.card import MachineCard
from ncp.search import search
from ncp.search.verify import BOLD, USED, settle, tried, verify
from ncp.spaces.multires import SPACE

FREE = ["c3_1", "b3", "c4_2"]
TOY = Toy("seg", capacity(np.random.default_rng(5).uniform(0.2, 2.0, 27) * SPACE.lower))
LIMIT = 12.0


def milliseconds(codes):
    cost = SPACE.cost(codes)
    return 0.5 + 1e-9 * cost.macs + 2e-6 * cost.params


def searched(models):
    return search(["seg"], predictor={"seg": TOY}, fixed=[n for n in SPACE.labels if n not in FREE], seed=1,
                  budget={"latency_ms": LIMIT}, latency=models)  # fmt: skip


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    codes = SPACE.sample_codes(40, rng)
    times = milliseconds(codes) * np.exp(0.01 * rng.normal(size=40))
    return searched([latency.fit(SPACE, codes, times, MachineCard("multires", "cpu", task="seg", size=[128, 128]))])


def test_the_best_are_those_of_all_that_the_search_met(found):
    met = np.unique(np.concatenate([w.rounded for w in found.trajectory.walks]), axis=0)
    model = found.trajectory.objectives.quantities[0]
    mean, std = model.told(met)
    allowed = met[mean + std <= LIMIT]
    wanted = allowed[np.argsort(-TOY.predict(allowed)["mIoU"], kind="stable")][:5]
    _, best = tried(found, found.budget.others)
    assert {tuple(c) for c in best.tolist()} == {tuple(c) for c in wanted.tolist()}
    assert tuple(best[0]) == found.architecture.code
    np.testing.assert_array_equal(tried(found, [], n=2)[1], best[:2])


def test_better_ones_that_may_keep_the_limit_come_first(found):
    met = np.unique(np.concatenate([w.rounded for w in found.trajectory.walks]), axis=0)
    mean, std = found.trajectory.objectives.quantities[0].told(met)
    (here,) = TOY.predict(np.array([found.architecture.code]))["mIoU"]
    better = met[(mean - BOLD * std <= LIMIT) & (TOY.predict(met)["mIoU"] > here)]
    wanted = better[np.argsort(-TOY.predict(better)["mIoU"], kind="stable")][:5]
    bold, _ = tried(found, found.budget.others)
    assert len(bold) > 0
    np.testing.assert_array_equal(TOY.predict(bold)["mIoU"], TOY.predict(wanted)["mIoU"])
    assert {tuple(c) for c in bold.tolist()} <= {tuple(c) for c in better.tolist()}
    assert len(tried(found, [])[0]) == 0  # limits of machines elsewhere are held as ever


def in_order(found):
    """Texts of what is measured, in turn."""
    codes = np.concatenate(tried(found, found.budget.others)).astype(float)
    return [architecture.text for architecture in SPACE.decode(codes)]


def test_the_first_that_keeps_the_limit_when_measured_is_the_answer(found):
    (limit,) = found.budget.others
    order = in_order(found)
    for place in range(len(order)):
        ms = {text: LIMIT if i >= place else LIMIT + 1 for i, text in enumerate(order)}  # the limit itself is kept
        answer = verify(found, [(limit, lambda a, ms=ms: ms[a.text])], *found.panels)
        assert answer.architecture.text == order[place]
        assert [m.text for m in answer.measured] == order[: place + 1]
        assert [m.keeps for m in answer.measured] == [False] * place + [True]
        assert answer.kept
        assert len(answer.notes) == len(found.notes) + (place > 0)


def test_where_none_keeps_it_the_nearest_is_told(found):
    (limit,) = found.budget.others
    most = len(in_order(found))
    times = iter([20.0, 15.0, 13.5, 14.0, 19.0, *[18.0] * (most - 5)])
    answer = verify(found, [(limit, lambda a: next(times))], *found.panels)
    assert not answer.kept
    assert answer.architecture == found.architecture
    assert f"none of the {most} best keeps budget.latency_ms=12 here: the nearest took 13.5 ms" in answer.notes[-1]


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.3])
def test_the_search_goes_on_with_a_model_corrected_by_what_was_measured(found, factor):
    calls = []

    def timer(architecture):  # the machine is another one just where the search ends
        calls.append(architecture.text)
        return factor * float(milliseconds(SPACE.encode([architecture]))[0])

    answer = settle(found, {"latency_ms": timer}, searched)
    assert answer.kept
    took = {m.text: m.milliseconds for m in answer.measured}
    assert took[answer.architecture.text] <= LIMIT
    assert len(took) == len(calls)  # nothing is measured twice
    first = verify(found, [(found.budget.others[0], timer)], *found.panels)
    codes = SPACE.encode([answer.architecture, first.architecture]).astype(float)
    ours, once = TOY.predict(codes)["mIoU"]
    if factor == 0.7:  # room that the model did not know of
        assert ours > once
        assert took[answer.architecture.text] > USED * LIMIT
    assert ours >= once or not first.kept
