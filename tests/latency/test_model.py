"""The process behind a latency model: its answers against plain linear algebra, its slopes against finite differences."""

import numpy as np
import pytest
import torch

from ncp import spaces
from ncp.errors import UserError
from ncp.latency.card import MachineCard
from ncp.latency.model import LEAST_NOISE, Latency, Standard, Tensors, kernel

SPACE = spaces.get("nasbench201")
CELLS = SPACE.sample(12, np.random.default_rng(0))
CODES = SPACE.encode(CELLS)
WORK = np.asarray(SPACE.work(CODES))
MS = 1 + WORK.sum(1) * np.exp(np.random.default_rng(1).normal(0, 0.05, 12))
SCALES = torch.tensor([-1.0, -2.0, -1.5, 0.3, -4.0], dtype=torch.float64)


def model(milliseconds=MS, prices=None):
    prices = torch.ones(1 + WORK.shape[1], dtype=torch.float64) if prices is None else prices
    tensors = Tensors(torch.tensor(CODES).long(), torch.tensor(milliseconds), prices, SCALES)
    return Latency(MachineCard(SPACE.name, task="cls"), tensors)


def test_the_kernel_is_the_sum_that_is_written_down():
    rng = np.random.default_rng(2)
    a, b = ([torch.tensor(rng.normal(size=(n, 3))), torch.tensor(rng.normal(size=(n, 2)))] for n in (4, 5))
    found = kernel(tuple(a), tuple(b), SCALES)
    for i in range(4):
        for j in range(5):
            linear = np.exp(-1) * float(a[0][i] @ b[0][j]) / 3 + np.exp(-2) * float(a[1][i] @ b[1][j]) / 2
            far = np.sqrt(5) * float((torch.cat([a[0][i] - b[0][j], a[1][i] - b[1][j]])).norm()) / np.exp(0.3)
            assert float(found[i, j]) == pytest.approx(linear + np.exp(-1.5) * (1 + far + far**2 / 3) * np.exp(-far))


def test_answers_are_those_of_plain_linear_algebra():
    made = model()
    others = SPACE.sample(5, np.random.default_rng(7))
    codes = torch.tensor(SPACE.encode(others))
    raw = (
        [torch.tensor(SPACE.work(c)), torch.tensor(SPACE.features(c))]
        if (c := SPACE.encode(others)) is not None
        else []
    )
    rows = [torch.tensor(WORK), torch.tensor(np.asarray(SPACE.features(CODES)))]
    standard = Standard.of(*rows)
    big = kernel(standard(*rows), standard(*rows), SCALES) + (SCALES[4].exp() + LEAST_NOISE) * torch.eye(12)
    across = kernel(standard(*raw), standard(*rows), SCALES)
    priced = [1 + (w / rows[0].amax(0)).sum(1) for w in (rows[0], raw[0])]
    rest = np.log(MS) - priced[0].log().numpy()
    level, width = rest.mean(), rest.std()
    mean = across.numpy() @ np.linalg.solve(big.numpy(), (rest - level) / width)
    np.testing.assert_allclose(made.predict(others), priced[1].numpy() * np.exp(level + width * mean), rtol=1e-6)
    assert (made.safe(codes).numpy() > made.predict(others)).all()
    # the noise of a measurement is left where everything is known
    assert (made.predict_std(CELLS) < made.predict_std(SPACE.sample(40, np.random.default_rng(9))).max()).all()


def test_slopes_are_finite_differences():
    made, tiny = model(), 1e-5
    code = torch.tensor(SPACE.encode(CELLS[:1])) * 0.9 + 0.02
    code.requires_grad_(True)
    (slope,) = torch.autograd.grad(made.posterior(code)[0].sum(), code)
    for i in (0, 3, 17):
        step = torch.zeros_like(code)
        step[0, i] = tiny
        with torch.no_grad():
            difference = (made.posterior(code + step)[0] - made.posterior(code - step)[0]) / (2 * tiny)
        assert float(slope[0, i]) == pytest.approx(float(difference[0]), rel=1e-3, abs=1e-6)


def test_what_is_no_model_is_refused():
    with pytest.raises(UserError, match="not positive"):
        model(np.where(np.arange(12) == 3, 0.0, MS))
    with pytest.raises(UserError, match="not positive"):
        model(prices=torch.zeros(1 + WORK.shape[1], dtype=torch.float64))
