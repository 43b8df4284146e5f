"""The process behind a latency model: its answers against plain linear algebra, its slopes against finite differences."""

import numpy as np
import pytest

from ncp import spaces
from ncp.errors import UserError
from ncp.latency.card import MachineCard
from ncp.latency.model import LEAST_NOISE, Latency, Standard, Tensors, kernel

SPACE = spaces.get("nasbench201")
CELLS = SPACE.sample(12, np.random.default_rng(0))
CODES = SPACE.encode(CELLS)
WORK = np.asarray(SPACE.work(CODES))
MS = 1 + WORK.sum(1) * np.exp(np.random.default_rng(1).normal(0, 0.05, 12))
SCALES = np.array([-1.0, -2.0, -1.5, 0.3, -4.0])


def model(milliseconds=MS, prices=None):
    prices = np.ones(1 + WORK.shape[1]) if prices is None else prices
    tensors = Tensors(CODES.astype(np.int64), np.asarray(milliseconds), prices, SCALES)
    return Latency(MachineCard(SPACE.name, task="cls"), tensors)


def test_the_kernel_is_the_sum_that_is_written_down():
    rng = np.random.default_rng(2)
    a, b = ((rng.normal(size=(n, 3)), rng.normal(size=(n, 2))) for n in (4, 5))
    found, _ = kernel(a, b, SCALES)
    for i in range(4):
        for j in range(5):
            linear = np.exp(-1) * float(a[0][i] @ b[0][j]) / 3 + np.exp(-2) * float(a[1][i] @ b[1][j]) / 2
            far = np.sqrt(5) * np.linalg.norm([*(a[0][i] - b[0][j]), *(a[1][i] - b[1][j])]) / np.exp(0.3)
            assert float(found[i, j]) == pytest.approx(linear + np.exp(-1.5) * (1 + far + far**2 / 3) * np.exp(-far))


def test_answers_are_those_of_plain_linear_algebra():
    made = model()
    others = SPACE.sample(5, np.random.default_rng(7))
    codes = SPACE.encode(others)
    raw = (np.asarray(SPACE.work(codes)), np.asarray(SPACE.features(codes)))
    rows = (WORK, np.asarray(SPACE.features(CODES)))
    standard = Standard.of(*rows)
    big = kernel(standard(*rows), standard(*rows), SCALES)[0] + (np.exp(SCALES[4]) + LEAST_NOISE) * np.eye(12)
    across = kernel(standard(*raw), standard(*rows), SCALES)[0]
    priced = [1 + (w / rows[0].max(0)).sum(1) for w in (rows[0], raw[0])]
    rest = np.log(MS) - np.log(priced[0])
    level, width = rest.mean(), rest.std()
    mean = across @ np.linalg.solve(big, (rest - level) / width)
    np.testing.assert_allclose(made.predict(others), priced[1] * np.exp(level + width * mean), rtol=1e-6)
    assert (made.safe(codes).value > made.predict(others)).all()
    # the noise of a measurement is left where everything is known
    assert (made.predict_std(CELLS) < made.predict_std(SPACE.sample(40, np.random.default_rng(9))).max()).all()


def test_slopes_are_finite_differences():
    made, tiny = model(), 1e-5
    code = SPACE.encode(CELLS[:1]) * 0.9 + 0.02
    slopes = [made.posterior(code).pull(*d) for d in (np.eye(2)[:, :, None])]
    for i in (0, 3, 17):
        step = np.zeros_like(code)
        step[0, i] = tiny
        up, down = made.posterior(code + step), made.posterior(code - step)
        for k in range(2):  # of the median, and of the deviation
            assert slopes[k][0, i] == pytest.approx((up[k] - down[k])[0] / (2 * tiny), rel=1e-3, abs=1e-6)


def test_what_is_no_model_is_refused():
    with pytest.raises(UserError, match="not positive"):
        model(np.where(np.arange(12) == 3, 0.0, MS))
    with pytest.raises(UserError, match="not positive"):
        model(prices=np.zeros(1 + WORK.shape[1]))
