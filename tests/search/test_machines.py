"""Latency and memory as limits, as the cost, in fronts and ranges: against exhaustive search of small regions."""

from dataclasses import replace

import numpy as np
import pytest
from toy_predictors import Toy, capacity, exhaustive

from ncp import latency, spaces
from ncp.errors import UserError
from ncp.latency.card import MachineCard
from ncp.search import search
from ncp.search.quantities import Inference, memory
from ncp.search.trade import Axis, knee, trade, unbeaten
from ncp.search.verify import tried, verify

SPACE = spaces.get("multires")
NAMES = list(SPACE.labels)
RISING = Toy("seg", capacity(np.random.default_rng(5).uniform(0.2, 2.0, 27) * SPACE.lower))
FREE = ["c3_1", "b3", "c4_2"]


def model(prices=(1e-9, 2e-6), size=(128, 128), noise=0.01, seed=0):
    """Of a machine that charges for multiply-adds and parameters."""
    rng = np.random.default_rng(seed)
    codes = SPACE.sample_codes(40, rng)
    cost = SPACE.cost(codes)
    times = 0.5 + prices[0] * cost.macs + prices[1] * cost.params
    return latency.fit(
        SPACE,
        codes,
        times * np.exp(noise * rng.normal(size=40)),
        MachineCard("multires", "cpu", task="seg", size=list(size)),
    )


MODEL, OTHER = model(), model((5e-10, 8e-6), seed=1)


def small(**arguments):
    return search(["seg"], predictor={"seg": RISING}, fixed=[n for n in NAMES if n not in FREE], seed=1, **arguments)


def test_most_accurate_under_milliseconds_and_memory():
    codes = exhaustive(SPACE, FREE)
    accuracy = RISING.predict(codes)["mIoU"]
    safe = MODEL.predict(codes) + MODEL.predict_std(codes)
    needed = SPACE.memory(codes) / 2**20
    limit, room = np.quantile(safe, 0.4), np.quantile(needed, 0.6)
    found = small(budget={"latency_ms": limit, "memory_mb": room}, latency=MODEL)
    allowed = (safe <= limit) & (needed <= room)
    assert found.predicted["seg"]["mIoU"] == pytest.approx(accuracy[allowed].max(), abs=1e-9)
    assert found.found.others["latency_ms"] + found.found.others["latency_ms_std"] <= limit
    assert found.found.others["memory_mb"] <= room


def test_two_machines_each_with_its_limit():
    codes = exhaustive(SPACE, FREE)
    accuracy = RISING.predict(codes)["mIoU"]
    both = [m.predict(codes) + m.predict_std(codes) for m in (MODEL, OTHER)]
    limits = [float(np.quantile(both[0], 0.7)), float(np.quantile(both[1], 0.3))]
    found = small(budget={"latency_ms": limits}, latency=[MODEL, OTHER])
    allowed = (both[0] <= limits[0]) & (both[1] <= limits[1])
    assert found.predicted["seg"]["mIoU"] == pytest.approx(accuracy[allowed].max(), abs=1e-9)
    assert set(found.found.others) == {"latency_ms", "latency_ms_std", "latency_ms_2", "latency_ms_2_std"}


def test_milliseconds_as_the_cost_of_the_trade_off():
    codes = exhaustive(SPACE, FREE)
    found = small(cost="latency", latency=MODEL, lam=0.5)
    scale = found.trajectory.objectives.cost_scale
    value = (RISING.predict(codes)["mIoU"] - 70) / 5 - 0.5 * (MODEL.predict(codes) + MODEL.predict_std(codes)) / scale
    assert -found.trajectory.walk.loss[-1] == pytest.approx(value.max(), abs=1e-9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budget": {"latency_ms": 1e-3}, "latency": MODEL}, r"cannot be met: the least that was found .* ms"),
        ({"budget": {"memory_mb": 1e-3}}, "cannot be met: the least that was found .* MiB"),
        ({"budget": {"latency_ms": [1, 2]}, "latency": MODEL}, "one limit for all or one a machine"),
        ({"budget": {"latency_ms": 5}, "latency": MODEL, "size": [64, 64]}, "measured at 128x128"),
        ({"budget": {"latency_ms": 5}, "latency": 5}, "latency is a file"),
        ({"budget": {"latency_ms": 5}, "latency": MODEL, "latency_margin": -1}, "latency_margin"),
        ({"budget": {"latency_ms": 5}, "latency": "nowhere.safetensors"}, "there is no file"),
        ({"budget": {"memory_mb": 5}, "size": [64]}, r"size is \[height, width\]"),
        ({"dtype": "fp99"}, "dtype is one of"),  # also where nothing counts memory
        ({"budget": {"memory_mb": 5}, "dtype": "fp64"}, "dtype is one of fp32, bf16, fp16, int8, given was 'fp64'"),
        ({"budget": {"memory_mb": 5}, "size": [10**9, 10**9]}, "at most 100,000"),
        ({"budget": {"memory_mb": 5}, "batch": 10**9}, "at most 100,000"),
    ],
)
def test_refusals(given, message):
    with pytest.raises(UserError, match=message) as error:
        search(["seg"], predictor={"seg": RISING}, **given)
    assert "\n" not in str(error.value)


def test_a_limit_keeps_the_distance_that_is_asked_for():
    limit = float(np.median(MODEL.predict(exhaustive(SPACE, FREE))))
    bold, careful = (small(budget={"latency_ms": limit}, latency=MODEL, latency_margin=m) for m in (0.0, 2.0))
    for margin, found in ((0.0, bold), (2.0, careful)):
        codes = exhaustive(SPACE, FREE)
        kept = codes[MODEL.predict(codes) + margin * MODEL.predict_std(codes) <= limit]
        code = np.array([found.architecture.code])
        assert RISING.predict(code)["mIoU"] == pytest.approx(RISING.predict(kept)["mIoU"].max())
    told = [float(RISING.predict(np.array([f.architecture.code]))["mIoU"][0]) for f in (bold, careful)]
    assert told[0] > told[1]


def test_a_model_that_is_often_wrong_is_no_limit_unless_it_is_trusted():
    wild = model(noise=0.6)
    assert wild.card.median_error > 0.1
    with pytest.raises(UserError, match=r"more than 10 %: no hard limit.*latency.trust=true"):
        small(budget={"latency_ms": 50}, latency=wild)
    trusted = small(budget={"latency_ms": 50}, latency=wild, latency_trust=True)
    assert any("more than 10 %" in note for note in trusted.notes)


def test_milliseconds_of_another_tasks_networks_are_told():
    measured = model()
    assert measured.card.task == "seg"
    assert not any("is of networks for" in note for note in small(budget={"latency_ms": 50}, latency=measured).notes)
    measured.card = replace(measured.card, task="cls")
    notes = small(budget={"latency_ms": 50}, latency=measured).notes
    assert any("is of networks for cls, and the search is for seg" in note for note in notes)


def test_another_space_is_refused():
    cells = spaces.get("nasbench201")
    codes = cells.encode(cells.sample(20, np.random.default_rng(0)))
    with pytest.raises(UserError, match="of space 'nasbench201', the search is in 'multires'"):
        small(budget={"latency_ms": 5}, latency=latency.fit(cells, codes, 1 + codes.sum(1)))


def test_a_front_is_one_and_nothing_of_a_small_region_beats_it():
    fixed = [n for n in NAMES if n not in FREE]
    front = trade(["seg", "latency_ms", "memory_mb"], points=6, starts=2, iterations=25, latency=MODEL,
                  predictor={"seg": RISING}, fixed=fixed)  # fmt: skip
    codes = exhaustive(SPACE, FREE)
    every = np.stack([RISING.predict(codes)["mIoU"], MODEL.predict(codes), SPACE.memory(codes) / 2**20], 1)
    sign = np.array([1, -1, -1])
    best = every[unbeaten(every, sign)]
    assert len(front) >= 10
    found = {tuple(np.round(v, 9)) for v in front.values}
    share = np.mean([v in {tuple(np.round(b, 9)) for b in best} for v in found])
    assert share > 0.9  # hardly any of what was found is beaten by what was not
    assert front.reasons
    assert {len(c) for c in front.to_table().values()} == {len(front)}


def test_memory_is_of_the_size_that_the_machine_was_measured_at():
    fixed = [n for n in NAMES if n not in FREE]
    front = trade(["seg", "latency_ms", "memory_mb"], points=2, starts=1, iterations=2, latency=model(size=(64, 96)),
                  predictor={"seg": RISING}, fixed=fixed)  # fmt: skip
    codes = np.array([a.code for a in front.architectures])
    np.testing.assert_array_equal(front.values[:, 2], SPACE.memory(codes, size=(64, 96)) / 2**20)


def test_memory_of_a_task_that_is_not_counted_is_refused():
    with pytest.raises(UserError, match="not counted for networks of task 'layout'"):
        memory(SPACE, ["layout"], Inference())


def test_the_knee_is_where_it_bends():
    axes = (Axis("seg.mIoU", "mIoU", "%", 1, 1), Axis("macs", "multiply-adds", "G", 1e9, -1))
    values = np.array([[60, 0.1e9], [70, 0.3e9], [76, 0.6e9], [77, 2e9], [77.5, 4e9]])
    chosen, reasons = knee(values, axes)
    assert chosen == 2
    assert any("+16 % mIoU for +0.5 G" in r and "+1.5 % mIoU for +3.4 G" in r for r in reasons)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["seg"], "two or three quantities"),
        (["seg", "macs", "params", "memory_mb"], "two or three quantities"),
        (["macs", "params"], "needs a predicted metric"),
        (["seg", "seg.mIoU"], "given twice"),
        (["seg", "latency_ms"], "needs a measured machine"),
        ("seg", "quantities are a list"),
        (["seg", "mac"], "one of macs, params, latency_ms, memory_mb, or an objective: unknown objective 'mac'"),
    ],
)
def test_fronts_that_are_none(given, message):
    with pytest.raises(UserError, match=message):
        trade(given, predictor={"seg": RISING})


def test_ranges_hold_and_end_where_they_must():
    found = small(budget={"macs": 1.8e9})
    code = np.array(found.architecture.code)
    here = RISING.predict(code)["mIoU"][0]
    assert set(found.ranges) == set(FREE)
    for name, one in found.ranges.items():
        i = NAMES.index(name)
        for value in np.arange(SPACE.lower[i], SPACE.upper[i] + 1, SPACE.step[i]):
            other = code.copy()
            other[i] = value
            inside = one.metric[0] <= value <= one.metric[1]
            # a metric that rises with the width: what loses little is one unbroken range
            assert inside == (here - RISING.predict(other)["mIoU"][0] <= 0.1), (name, value)


def test_the_first_of_the_best_that_keeps_the_limit_here():
    limit_ms = 12.0
    found = small(budget={"latency_ms": limit_ms}, latency=MODEL)
    limit = found.budget.others[0]
    safe = {found.architecture.text, *(SPACE.decode(c[None].astype(float))[0].text for c in tried(found, [])[1])}
    slow = set()

    def slow_where_bold(architecture):
        slow.add(architecture.text)
        return 2.0 if architecture.text in safe - {found.architecture.text} else 15.0

    second = verify(found, [(limit, slow_where_bold)], *found.panels)
    assert second.architecture.text in safe - {found.architecture.text}
    assert second.kept
    assert [m.keeps for m in second.measured] == [False] * (len(slow) - 1) + [True]
    assert second.found.others["latency_ms"] <= limit_ms
    none = verify(found, [(limit, lambda a: 15.0)], *found.panels)
    assert not none.kept
    assert len(none.measured) > 2
    assert any("the nearest took 15 ms" in note for note in none.notes)
    quick = verify(found, [(limit, lambda a: 1.0)], *found.panels)
    assert len(quick.measured) == 1
    assert quick.kept
    assert quick.predicted["seg"]["mIoU"] >= found.predicted["seg"]["mIoU"]


def test_two_limits_of_this_machine_are_both_measured():
    found = small(budget={"latency_ms": [20.0, 40.0]}, latency=[MODEL, OTHER])
    limits = found.budget.others
    seen = []
    times = (lambda a: seen.append(a.text) or 2.0, lambda a: 41.0 if len(seen) == 1 else 3.0)
    other = verify(found, list(zip(limits, times, strict=True)), *found.panels)
    assert other.architecture.text == seen[1] != seen[0]
    told = [(m.limit, m.milliseconds, m.keeps) for m in other.measured]
    assert told[:2] == [("latency_ms", 2.0, True), ("latency_ms_2", 41.0, False)]
    assert told[2:] == [("latency_ms", 2.0, True), ("latency_ms_2", 3.0, True)]


def test_a_limit_that_cannot_be_measured_here_is_said_so_and_the_result_stays(monkeypatch, tmp_path):
    from ncp.jobs import search as job
    from ncp.latency import here, machine

    def refuses(card):
        raise UserError("no runtime")

    monkeypatch.setattr(here, "is_here", lambda card: True)
    monkeypatch.setattr(machine, "of_card", refuses)
    found = small(budget={"latency_ms": 12.0}, latency=MODEL)
    kept = job.verified(found, job.Options(), lambda models: found)
    assert kept.architecture == found.architecture
    assert kept.notes[-1] == "budget.latency_ms was not measured here: no runtime"
    with pytest.raises(UserError, match="no runtime"):
        job.verified(found, job.Options(verify=True), lambda models: found)
    with pytest.raises(UserError, match="verify is auto, true or false"):
        job.run(job.Options(verify="perhaps"), tmp_path)
