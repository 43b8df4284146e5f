"""Latency models: on devices that were recorded, on a machine whose prices are known, and what is refused."""

import csv
import gzip

import numpy as np
import pytest
from scipy.stats import spearmanr

from ncp import latency, spaces
from ncp.errors import UserError
from ncp.latency.card import MachineCard
from ncp.spaces import cost
from ncp.spaces.work import LABELS, work

SPACE = spaces.get("multires")
CELLS = spaces.get("nasbench201")
# phones and a simulated chip; pixel2 has whole milliseconds that scatter so far that least squares on the operations of all
# 15,625 cells reaches .905
OTHERS = {"essential_ph_1": 0.92, "eyeriss": 0.92, "pixel2": 0.88, "samsung_a50": 0.92}


def roofline(codes: np.ndarray, size: tuple[int, int] = (128, 128)) -> np.ndarray:
    """Milliseconds of a made-up machine: the dearer of arithmetic and traffic, and 6 microseconds a kernel."""
    columns = work(codes, size=size)
    of = [np.array([word in label for label in LABELS]) for word in ("macs", "moved", "kernels")]
    macs, moved, kernels = (columns[:, mask].sum(1) for mask in of)
    return np.maximum(macs / 3e8, moved / 2e7) + 6e-3 * kernels + 0.05


def test_a_hundred_cells_rank_the_others_on_every_recorded_device(shared):
    with gzip.open(shared / "nb201-devices" / "latency_ms.csv.gz", "rt") as file:
        header, *rows = csv.reader(file)
    some = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:1600]]
    codes = CELLS.encode([CELLS.parse(row[0]) for row in some])
    times = np.array([row[1:] for row in some], dtype=np.float64)
    seen, unseen = slice(0, 100), slice(100, 1600)
    for column, device in enumerate(header[1:]):
        # cross-validating takes five fits more: of every fourth device
        held = None if column % 4 == 0 else (codes[unseen], times[unseen, column])
        model = latency.fit("nasbench201", codes[seen], times[seen, column], held=held)
        told, truth = model.predict(codes[unseen]), times[unseen, column]
        assert spearmanr(told, truth).statistic >= OTHERS.get(device, 0.95), device
        # what the card says of unseen networks is what they show
        assert model.card.median_error == pytest.approx(np.median(np.abs(told / truth - 1)), abs=0.025), device
        assert (truth <= told + model.predict_std(codes[unseen])).mean() > 0.65, device


def test_a_known_machine_is_found_again():
    rng = np.random.default_rng(0)
    codes, others = SPACE.sample_codes(100, rng), SPACE.sample_codes(500, rng)
    times = roofline(codes) * np.exp(0.02 * rng.normal(size=100))
    model = latency.fit(SPACE, codes, times)
    told, truth = model.predict(others), roofline(others)
    assert spearmanr(told, truth).statistic > 0.99
    assert np.median(np.abs(told / truth - 1)) < 0.02
    assert model.card.median_error < 0.04
    assert model.card.trusted
    z = np.log(truth / told) / (model.predict_std(others) / told)
    assert 0.3 < z.std() < 1.5  # its doubt is of the size of its errors (the truth here is without noise)


def test_another_size_is_another_model():
    codes = SPACE.sample_codes(60, np.random.default_rng(3))
    model = latency.fit(SPACE, codes, roofline(codes, (64, 96)), MachineCard("multires", task="seg", size=[64, 96]))
    assert np.median(np.abs(model.predict(codes) / roofline(codes, (64, 96)) - 1)) < 0.03


def test_work_adds_up_to_the_exact_counts():
    codes = SPACE.sample_codes(50, np.random.default_rng(0))
    for setting in ({}, {"size": (97, 31), "head": "classification", "classes": 10}):
        columns, counted = work(codes, **setting), cost.count(codes, **setting)
        macs = columns[:, ["macs" in label for label in LABELS]].sum(1)
        np.testing.assert_allclose(macs, counted.macs, rtol=1e-12)
        assert (columns > 0).all()


def test_the_gradient_is_that_of_the_answer():
    codes = SPACE.sample_codes(40, np.random.default_rng(1))
    model = latency.fit(SPACE, codes, roofline(codes))
    between = SPACE.project(codes[:3] + 0.3)  # whole vectors have kinks at the numbers of the space
    told = model.safe(between)
    np.testing.assert_allclose(told.value, model.predict(between) + model.predict_std(between))
    slope = told.pull(np.ones(3))
    for i in (0, 4, 26):
        up, down = between.copy(), between.copy()
        up[:, i] += 1e-4
        down[:, i] -= 1e-4
        rise = sum(f(up) - f(down) for f in (model.predict, model.predict_std)) / 2e-4
        np.testing.assert_allclose(slope[:, i], rise, rtol=1e-4, atol=1e-7)


CODES = SPACE.sample_codes(12, np.random.default_rng(2))


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([5.0] * 11 + [float("nan")], "row 12 has nan"),
        ([5.0] * 11 + [0.0], "row 12 has 0"),
        ([-1.0] + [5.0] * 11, "row 1 has -1"),
        ([20_000.0] * 12, "seem to be microseconds"),
        ([1e-5] * 12, "seem to be seconds"),
        ([5.0] * 11, "12 architectures and 11 times"),
    ],
)
def test_times_that_are_none(times, message):
    with pytest.raises(UserError, match=message) as error:
        latency.fit(SPACE, CODES, times)
    assert "\n" not in str(error.value)


def test_too_few_and_no_architectures():
    with pytest.raises(UserError, match="10 to 4,000"):
        latency.fit(SPACE, CODES[:9], [5.0] * 9)
    with pytest.raises(UserError, match="row 1 is no architecture"):
        latency.fit(SPACE, CODES + 1, np.arange(1.0, 13))
    with pytest.raises(UserError, match=r"shape \(N, 30\)"):
        latency.fit("nasbench201", CODES, np.arange(1.0, 13))


def test_equal_times_everywhere_are_no_trap():
    model = latency.fit(SPACE, CODES, [5.0] * 12)
    assert np.isfinite(model.predict(CODES)).all()
    assert model.predict(CODES) == pytest.approx(5, rel=0.2)


def test_networks_measured_several_times_count_once():
    rng = np.random.default_rng(0)
    codes = SPACE.sample_codes(12, rng)
    times = roofline(codes)
    once = latency.fit(SPACE, codes, times)
    # each three times, one of them disturbed, in another order
    order = rng.permutation(36)
    thrice = latency.fit(SPACE, np.tile(codes, (3, 1))[order], np.concatenate([times, times, 10 * times])[order])
    assert thrice.card.rows == 12
    place = {bytes(row): time for row, time in zip(codes, times, strict=True)}
    assert dict(zip(map(bytes, thrice.tensors.codes), thrice.tensors.milliseconds, strict=True)) == place
    others = SPACE.sample_codes(50, rng)
    assert thrice.predict(others) == pytest.approx(once.predict(others), rel=1e-3)
    with pytest.raises(UserError, match=r"10 to 4,000 measured networks, given were 1 \(40 rows\)"):
        latency.fit(SPACE, codes[[0] * 40], np.full(40, times[0]))


def test_a_check_on_what_was_fitted_is_none():
    rng = np.random.default_rng(0)
    codes, others = SPACE.sample_codes(30, rng), SPACE.sample_codes(10, rng)
    noisy = roofline(codes) * np.exp(0.3 * rng.normal(size=30))
    across = latency.fit(SPACE, codes, noisy)
    assert latency.fit(SPACE, codes, noisy, held=(codes, noisy)).card == across.card
    apart = latency.fit(SPACE, codes, noisy, held=(others, roofline(others)))
    mixed = (np.concatenate([codes, others]), np.concatenate([noisy, roofline(others)]))
    assert latency.fit(SPACE, codes, noisy, held=mixed).card == apart.card
