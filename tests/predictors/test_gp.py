"""The sparse Gaussian process: against an exact one, its gradient, its doubt, and what is (not) in its file."""

import json

import fit_rows
import numpy as np
import pytest
import torch
from safetensors import safe_open
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from ncp import benchmark, predictors, spaces
from ncp.benchmark import settings
from ncp.predictors import evaluation, gp_fit
from ncp.predictors.gp import SparseGP, Warp, matern52
from ncp.predictors.rows import Rows, from_table

SPACE = spaces.get("multires")
FAST = gp_fit.Options(points=64, directions=64, steps=90, part=300)
NINE = settings.PAPER


def _simple(n: int, seed: int, noise: float) -> Rows:
    """Architectures whose two metrics follow a few dimensions, the first saturating."""
    rng = np.random.default_rng(seed)
    codes = SPACE.encode(SPACE.sample(n, rng))
    z = (codes - SPACE.center) / SPACE.scale
    clean = np.stack([75 + 3 * np.tanh(z[:, 0] + z[:, 26]), 60 + 2 * z[:, 10] - z[:, 2]], axis=1)
    return Rows(codes, clean + noise * rng.normal(size=clean.shape), ("mIoU", "mAcc"), "seg")


@pytest.fixture(scope="module")
def fitted() -> tuple[Rows, Rows, SparseGP]:
    train, test = _simple(400, 1, noise=0.3), _simple(200, 2, noise=0.0)
    return train, test, gp_fit.fit(train, FAST)


def test_kernel_is_scikit_learns():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 4)), rng.normal(size=(7, 4))
    ours = matern52(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(ours, Matern(length_scale=1.0, nu=2.5)(a, b), atol=1e-9)


def test_warp_slope_is_its_derivative():
    warp = Warp(2).double()
    warp.top.copy_(torch.tensor([80.0, 50.0]))
    warp.scale.copy_(torch.tensor([3.0, 2.0]))
    u = torch.tensor([[0.3, -1.0]], dtype=torch.float64, requires_grad=True)
    y = warp.inverse(u)
    (slope,) = torch.autograd.grad(y.sum(), u)
    torch.testing.assert_close(slope, warp.slope(u))
    torch.testing.assert_close(-torch.log((warp.top - y) / warp.scale), u)


def test_posterior_equals_exact_conditioning_when_every_row_is_an_inducing_point():
    """With the inducing points at the rows, Titsias' bound is tight: mean and variance are the exact process's."""
    rng = np.random.default_rng(0)
    z = torch.from_numpy(rng.normal(size=(40, 3)))
    y = torch.from_numpy(np.sin(z.numpy()[:, 0]) + 0.1 * rng.normal(size=40))
    options = gp_fit.Options(points=40, directions=40)
    process = gp_fit._Process(z, y, options)
    process.points = torch.nn.Parameter(z.clone())
    with torch.no_grad():
        t, *_ = process.warp(y)
        state = gp_fit._summary(process, z, y, options)
    length = process.log_length.exp().detach().numpy()
    signal2, noise2 = (process.log_signal.exp() ** 2).item(), (process.log_noise.exp() ** 2).item()
    exact = GaussianProcessRegressor(signal2 * Matern(length, nu=2.5) + WhiteKernel(noise2), optimizer=None)
    exact.fit(z.numpy(), t.numpy())
    new = torch.from_numpy(rng.normal(size=(9, 3)))
    mean, std = exact.predict(new.numpy(), return_std=True)
    k = matern52(new * state["inverse_scale"], state["points"])
    lower = torch.linalg.cholesky(matern52(state["points"], state["points"]) + 1e-6 * torch.eye(40).double())
    out = k @ torch.linalg.solve_triangular(lower, state["readout"], upper=False, left=False).mT
    signal = process.log_signal.exp().item()
    np.testing.assert_allclose(signal * out[:, 0].numpy(), mean, atol=2e-4)
    own2 = signal**2 * (1 - out[:, 1:].square().sum(1))
    np.testing.assert_allclose(own2.numpy(), std**2 - noise2, atol=2e-4)


def test_recovers_a_function_and_knows_its_noise(fitted: tuple[Rows, Rows, SparseGP]):
    train, test, predictor = fitted
    answers = predictor.predict(test.codes)
    for i, name in enumerate(test.metrics):
        constant = np.abs(test.targets[:, i] - train.targets[:, i].mean()).mean()
        assert evaluation.mae(test.targets[:, i], answers[name]) < 0.25 * constant
        noise = (
            predictor.predict_std(train.codes)[name] ** 2 - predictor.predict_std(train.codes, noise=False)[name] ** 2
        )
        assert 0.15 < np.sqrt(np.median(noise)) < 0.6  # 0.3 was added


def test_doubts_most_far_from_the_rows(fitted: tuple[Rows, Rows, SparseGP]):
    train, _, predictor = fitted
    rng = np.random.default_rng(0)
    corners = np.where(rng.random((200, SPACE.dim)) < 0.5, SPACE.lower, SPACE.upper)
    far = predictor.predict_std(corners, noise=False)["mIoU"]
    near = np.median(predictor.predict_std(train.codes, noise=False)["mIoU"])
    assert (far > near).mean() > 0.95


def test_gradient_is_the_slope_of_the_prediction(fitted: tuple[Rows, Rows, SparseGP]):
    predictor = gp_fit.fit(fitted[0], FAST).double()
    fit_rows.check_slope(predictor, fitted[1].codes[:3])


def test_same_seed_same_predictor(fitted: tuple[Rows, Rows, SparseGP]):
    train, test, predictor = fitted
    again = gp_fit.fit(train, FAST)
    np.testing.assert_array_equal(again.predict(test.codes)["mIoU"], predictor.predict(test.codes)["mIoU"])


def test_select_keeps_the_answers(fitted: tuple[Rows, Rows, SparseGP]):
    _, test, predictor = fitted
    one = predictor.select(["mAcc"])
    assert one.metrics == ("mAcc",)
    np.testing.assert_allclose(one.predict(test.codes)["mAcc"], predictor.predict(test.codes)["mAcc"], rtol=1e-6)
    np.testing.assert_allclose(
        one.predict_std(test.codes)["mAcc"], predictor.predict_std(test.codes)["mAcc"], rtol=1e-5
    )


@pytest.mark.parametrize("setting", NINE)
def test_bundled_predictors_hold_no_row_and_carry_a_card(setting: str):
    predictor = predictors.load(setting)
    assert predictor.metrics[0] == settings.get(setting).main
    card = predictor.card
    assert card.rows > 1000
    assert "NCP" in card.source
    assert "academic" in card.licence
    assert set(card.errors) >= set(predictor.metrics)
    assert {"mae", "kendall"} <= set(card.errors[predictor.metrics[0]])
    start = predictor.predict(SPACE.default())[predictor.metrics[0]]
    assert np.isfinite(start).all()


def test_bundled_weights_stay_small():
    folder = predictors.base.WEIGHTS
    files = sorted(folder.glob("*/*.safetensors"))
    assert len(files) == 18
    assert sum(f.stat().st_size for f in files) <= 8 * 2**20
    for file in files:
        with safe_open(file, framework="np") as weights:
            assert json.loads(weights.metadata()["card"])["licence"]


@pytest.mark.parametrize("setting", NINE)
def test_bundled_points_are_no_architectures(setting: str, shared):
    """Inducing points are free points: none lies at the features of a row."""
    predictor = predictors.load(setting)
    rows = from_table(benchmark.load(shared / "nas-bench-mr" / "data" / setting / "trainval.pkl"), costs=False)
    own = predictor.numbers
    features = (SPACE.features(rows.codes) - own["offset"]) / own["spread"]
    for points, inverse in zip(own["points"], own["inverse_scale"], strict=True):
        scaled = features * inverse
        squares = (points**2).sum(1)[:, None] + (scaled**2).sum(1) - 2 * points @ scaled.T
        typical = np.sqrt(np.median(((scaled - scaled.mean(0)) ** 2).sum(1)))
        assert np.sqrt(np.maximum(squares, 0)).min() > 0.02 * typical


def test_bundled_errors_on_cards_are_those_of_a_fresh_fold(shared):
    """One fold of 3ddet, fitted here, agrees with what its card says."""
    rows = from_table(benchmark.load(shared / "nas-bench-mr" / "data" / "3ddet" / "trainval.pkl"), costs=False)
    good = rows.only_good()
    train, test = next(iter(evaluation.k_fold(len(good), 5, 0)))
    predictor = gp_fit.fit(good.subset(train))
    held = good.subset(test)
    answer, std = predictor.predict(held.codes)["moderate"], predictor.predict_std(held.codes)["moderate"]
    error = evaluation.mae(held.targets[:, 0], answer)
    assert error == pytest.approx(predictors.load("3ddet").card.errors["moderate"]["mae"], abs=0.15)
    assert error < 0.9
    assert 0.6 < evaluation.calibration(held.targets[:, 0], answer, std) < 1.0


def test_many_rows_are_taken_a_part_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    codes = SPACE.sample_codes(300, rng).astype(np.float64)
    rows = Rows(codes, 70 + np.log(codes).mean(1)[:, None] + 0.1 * rng.normal(size=(300, 1)), ("mIoU",), "seg")
    options = gp_fit.Options(points=20, directions=5, steps=6, part=50)
    whole = gp_fit.fit(rows, options)
    monkeypatch.setattr(gp_fit, "CHUNK", 7)
    monkeypatch.setattr("ncp.predictors.base.CHUNK", 11)
    chunked = gp_fit.fit(rows, options)
    for function in ("predict", "predict_std"):
        a, b = (getattr(p, function)(codes)["mIoU"] for p in (whole, chunked))
        np.testing.assert_allclose(a, b, rtol=1e-5)

    seen = []
    loss = gp_fit._Process.loss
    monkeypatch.setattr(gp_fit._Process, "loss", lambda self, z, y: seen.append(len(y)) or loss(self, z, y))
    monkeypatch.setattr(gp_fit, "MOST", 120)
    some = gp_fit.fit(rows, options)
    assert seen == [50] * 4 + [120] * 2
    assert some.card.rows == 300
    assert np.abs(some.predict(codes)["mIoU"] - whole.predict(codes)["mIoU"]).mean() < 0.1
