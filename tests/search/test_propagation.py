"""Continuous propagation: against the recorded runs of the release, and against steps worked out by hand."""

import numpy as np
import pytest
import torch
from recorded_runs import SEG_RUN, load_run, predictor
from toy_predictors import Toy

from ncp import spaces
from ncp.errors import UserError
from ncp.predictors import load
from ncp.search import search
from ncp.search.gradients import gradient_function
from ncp.search.objectives import Objectives, parse_objectives

SPACE = spaces.get("multires")


def check_fidelity(run, setting):
    result = search([setting], strategy="paper", predictor={setting: predictor(run, setting)})
    walk = result.trajectory.walk
    assert walk.codes.shape == (71, 27)  # the last update is kept
    np.testing.assert_allclose(walk.codes[:70], run["continuous"], atol=1e-3)
    np.testing.assert_array_equal(walk.rounded[:70], run["rounded"])
    main = f"{setting}.{run['metrics'][0]}"
    np.testing.assert_allclose(result.trajectory.predicted[main][:70], run["predicted"][:, 0], atol=1e-3)
    np.testing.assert_allclose(result.trajectory.predicted_rounded[main][:70], run["main_metric_of_rounded"], atol=1e-3)


def test_fidelity_to_the_recorded_run():
    check_fidelity(load_run(), "seg")


@pytest.mark.parametrize("setting", ["seg", "cls-50-1000", "video"])
def test_fidelity_to_all_recorded_runs(shared, setting):
    check_fidelity(load_run(shared / "reference_run" / f"{setting}.npz"), setting)


@pytest.fixture(scope="module")
def seg():
    return predictor(load_run(SEG_RUN), "seg")


def test_l1_is_blind_to_the_step_and_smooth_l1_is_not_below_one(seg):
    def end(**options):
        found = search(["seg"], strategy="paper", predictor={"seg": seg}, iterations=10, options=options)
        return found.trajectory.walk.codes[-1]

    reference = end(loss="l1", step=0.1)
    np.testing.assert_array_equal(end(loss="l1", step=5.0), reference)
    np.testing.assert_allclose(end(loss="smooth_l1"), reference, atol=1e-9)
    assert np.abs(end(loss="smooth_l1", step=0.5) - reference).max() > 1


def test_starts_move_as_they_would_alone(seg):
    found = search(["seg"], strategy="paper", predictor={"seg": seg}, starts=5, seed=3).trajectory
    assert len(found.walks) == 5
    alone = search(["seg"], strategy="paper", predictor={"seg": seg}, start=found.walks[4].rounded[0].tolist())
    # single precision, other batch: roundings differ and a few of them grow over 70 steps
    np.testing.assert_allclose(alone.trajectory.walk.codes[:20], found.walks[4].codes[:20], atol=1e-2)


@pytest.mark.parametrize("cost", ["learned", "exact"])
def test_gradients_by_hand_equal_autograd(seg, cost):
    class Hidden(Toy):  # the same function without its layers showing
        pass

    hidden = Hidden("seg", seg, seg.metrics)
    hidden.output_mean, hidden.output_std = seg.output_mean.double(), seg.output_std.double()
    codes = SPACE.encode(SPACE.sample(7, np.random.default_rng(0)))
    slopes = np.random.default_rng(1).normal(size=(2, 7, 2))
    answers = []
    for p in (seg, hidden):
        goals = Objectives(parse_objectives(["seg", "seg.mAcc"]), {"seg": p}, cost=cost)
        outputs, pull = gradient_function(goals)(codes)
        answers.append((outputs.z, outputs.cost, pull(slopes[0], slopes[1])))
    for by_hand, by_autograd in zip(*answers, strict=True):
        np.testing.assert_allclose(by_hand, by_autograd, atol=2e-5, rtol=1e-4)


def line(x_ND):
    """5 points (one standard deviation) more for each block of stage 1, none for anything else."""
    return 70 + 5 * x_ND[:, 2]


def test_one_step_by_hand():
    """dL/db1 = -1 (metric) + lambda * dMACs/db1 / scale; standardised by the space: e <- e - 3 * scale^2 * gradient."""
    toy = Toy("seg", line)
    found = search(["seg"], strategy="paper", predictor={"seg": toy}, lam=0.5, iterations=1)
    default = np.array(SPACE.default().code)
    more = default + np.eye(27, dtype=int) * SPACE.step.astype(int)
    less = default - np.eye(27, dtype=int) * SPACE.step.astype(int)
    rise = (SPACE.cost(more).macs - SPACE.cost(less).macs) / (2 * SPACE.step)  # exact: cost is quadratic in each
    gradient = 0.5 * rise / found.trajectory.objectives.cost_scale
    gradient[2] -= 1
    expected = np.clip(default - 3 * SPACE.scale**2 * gradient, SPACE.lower, SPACE.upper)
    np.testing.assert_allclose(found.trajectory.walk.codes[1], expected, rtol=1e-9)


def test_fixed_targets_are_reached_and_the_walk_stops():
    toy = Toy("seg", line)
    found = search(
        ["seg"], strategy="paper", predictor={"seg": toy}, options={"targets": "fixed", "learning_rate": 0.02}, lam=0
    )
    assert found.trajectory.reason == "70 iterations done"  # without lambda nothing lowers the cost: not met
    toy = Toy("seg", lambda x: 70 + 5 * x[:, 2])
    found = search(
        ["seg"],
        strategy="paper",
        predictor={"seg": toy},
        options={"targets": {"seg.mIoU": 82.0}, "learning_rate": 0.05},
    )
    walk = found.trajectory.walk
    assert found.reason == "all targets reached"
    assert len(walk) < 71
    assert found.trajectory.predicted["seg.mIoU"][-1] >= 82 - 0.01 * 5
    assert found.trajectory.predicted["seg.mIoU"][-2] < 82 - 0.01 * 5


def test_absolute_targets_of_cost():
    def even(x_ND):
        return 70 + 0 * x_ND[:, 0]

    options = {"targets": {"seg": 70.0, "macs": 1.0e9}, "learning_rate": 0.5}
    found = search(["seg"], strategy="paper", predictor={"seg": Toy("seg", even)}, options=options, iterations=300)
    assert found.reason == "all targets reached"
    cost = SPACE.cost(found.trajectory.walk.codes).macs
    scale = found.trajectory.objectives.cost_scale
    assert cost[-1] <= 1.0e9 + 0.01 * scale
    assert (np.diff(cost) < 0).all()  # nothing else pulls


def test_gradients_of_objectives_are_added():
    weights = np.random.default_rng(0).normal(size=(2, 27))
    parts = [
        Toy(name, lambda x, w=w: 70 + x @ torch.as_tensor(w))
        for name, w in zip(["seg", "seg-4x"], weights, strict=True)
    ]
    predictors = {p.setting: p for p in parts}

    def gradient(objectives, combine="sum"):
        goals = Objectives(parse_objectives(objectives), predictors, combine=combine)
        codes = SPACE.encode([SPACE.default()])
        at, pull = gradient_function(goals)(codes)
        w = goals.weights_K
        return pull(-np.ones_like(at.z) * w, 0.5 * np.ones_like(at.z) * w)

    both = gradient(["seg", {"metric": "seg-4x", "weight": 0.5}])
    np.testing.assert_allclose(both, gradient(["seg"]) + 0.5 * gradient(["seg-4x"]), rtol=1e-12)
    np.testing.assert_allclose(gradient(["seg", "seg-4x"], "mean"), gradient(["seg", "seg-4x"]) / 2, rtol=1e-12)


def test_rounding_every_few_steps_in_a_one_hot_space():
    space = spaces.get("nasbench201")
    liked = torch.zeros(30, dtype=torch.float64)
    liked[2::5] = 1  # skip connections everywhere
    toy = Toy("nas-bench-201", lambda x: 40 + x @ liked, ("Acc",), mean=40, scale=1, space="nasbench201")
    found = search(
        ["nas-bench-201"],
        strategy="paper",
        predictor={"nas-bench-201": toy},
        iterations=20,
        options={"round_every": 10, "learning_rate": 0.5},
    )
    walk = found.trajectory.walk
    assert space.decode(walk.codes[10:11])[0].code == tuple(walk.codes[10])
    assert space.decode(walk.codes[9:10])[0].code != tuple(walk.codes[9])
    assert found.architecture.operations == (2,) * 6
    for t in range(len(walk)):  # between two roundings the walk has the architecture of the last one
        np.testing.assert_array_equal(walk.rounded[t], walk.codes[t // 10 * 10])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "l2"}, "smooth_l1 or l1"),
        ({"targets": "moving"}, "relative, fixed, absolute"),
        ({"targets": "absolute"}, "need a value for each objective"),
        ({"targets": {"seg.mIoU": 77, "flops": 1.0}}, "'macs'"),
        ({"coordinate": "polar"}, "auto, space or predictor"),
        ({"momentum": 0.9}, "no option 'momentum'"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(UserError, match=words):
        search(["seg"], strategy="paper", predictor={"seg": Toy("seg", line)}, options=options)


def test_learned_cost_has_one_definition():
    toys = {
        name: Toy(name, lambda x: torch.stack([x[:, 0], x[:, 1]], 1), (metric, "flops"))
        for name, metric in (("seg", "mIoU"), ("3ddet", "moderate"))
    }
    with pytest.raises(UserError, match="counted otherwise"):
        search(["seg", "det3d"], strategy="paper", predictor=toys, cost="learned")
    found = search(["seg", "det3d"], strategy="paper", predictor=toys, iterations=2)
    assert found.trajectory.objectives.cost == "exact"
    with pytest.raises(UserError, match="lacks"):
        search(["seg"], strategy="paper", predictor={"seg": Toy("seg", line)}, cost="learned")


def test_the_last_code_is_returned_and_keep_best_takes_the_least_loss():
    """Algorithm 1, line 9: round and decode the code after the last update."""
    given = {"strategy": "paper", "predictor": "paper", "judge": "default", "iterations": 25}
    last = search(["seg"], **given)
    best = search(["seg"], **given, options={"keep": "best"})
    walk = last.trajectory.walk
    assert last.trajectory.best == (0, 25)
    assert tuple(last.architecture.code) == tuple(walk.rounded[-1])
    assert (last.last, last.best) == (best.last, best.best)  # both are in both results
    assert last.found == last.last
    assert best.found == best.best
    # with targets that move along the loss is -(z - lambda * cost), standardised: the paper's predictor has learned both
    seg = load("seg", family="paper")
    at = {name: value for name, value in seg.predict(walk.rounded.astype(float)).items() if name in ("mIoU", "flops")}
    i, j = seg.metrics.index("mIoU"), seg.metrics.index("flops")
    loss = -at["mIoU"] / float(seg.output_std[i]) + 0.5 * at["flops"] / float(seg.output_std[j])
    assert best.trajectory.best[1] == int(loss.argmin())
    with pytest.raises(UserError, match="keep is last or best, given was 'first'"):
        search(["seg"], **given, options={"keep": "first"})


def test_with_a_limit_the_last_step_that_keeps_it_is_returned():
    free = search(["seg"], strategy="paper", iterations=25, judge="paper")
    macs = SPACE.cost(free.trajectory.walk.rounded).macs
    limit = int(np.median(macs))
    found = search(["seg"], strategy="paper", iterations=25, judge="paper", budget={"macs": limit})
    kept = np.flatnonzero(macs <= limit)
    assert found.trajectory.best[1] == kept[-1]
    assert found.kept
