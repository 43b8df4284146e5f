"""Fitting a sparse process: its bound against scikit-learn's exact likelihood, its gradients, its refusals."""

import math

import numpy as np
import pytest
import torch
from fit_rows import make
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from ncp import spaces
from ncp.errors import UserError
from ncp.predictors import gp_fit
from ncp.predictors.gp_fit import Options, _Process, fit, fit_process


def drawn(n=30, features=3, seed=0):
    rng = np.random.default_rng(seed)
    z = torch.from_numpy(rng.normal(size=(n, features)))
    return z, torch.from_numpy(70 + np.sin(z[:, 0].numpy()) + 0.1 * rng.normal(size=n))


def everywhere(z, y):
    """A process whose inducing points are the rows, where the bound is the likelihood itself."""
    process = _Process(z, y, Options(points=2 * len(y)))
    process.points = torch.nn.Parameter(z.clone())
    with torch.no_grad():
        process.log_length += torch.tensor([0.3, -0.2, 0.1])
        process.log_signal += 0.2
    return process


def test_the_bound_is_the_exact_likelihood_where_every_row_is_an_inducing_point():
    z, y = drawn()
    process = everywhere(z, y)
    with torch.no_grad():
        loss = process.loss(z, y).item()
        t, *_ = process.warp(y)
    noise2, signal2 = (2 * process.log_noise).exp().item(), (2 * process.log_signal).exp().item()
    length = process.log_length.exp().detach().numpy()
    kernel = signal2 * Matern(length, nu=2.5) + WhiteKernel(noise2)
    exact = GaussianProcessRegressor(kernel, optimizer=None).fit(z.numpy(), t.numpy()).log_marginal_likelihood_value_
    # the density of the metric itself: the warp's derivative, by differences
    step = torch.full_like(y, 1e-5)
    top = process.best + process.std
    u = [-torch.log((top - values) / process.std) for values in (y + step, y - step)]
    width = (-torch.log((top - y) / process.std)).std()
    slope = (u[0] - u[1]) / (2e-5 * width)
    prior = ((process.log_length - 0.5 * math.log(3)) ** 2).sum().item() / 8
    assert loss == pytest.approx((prior - exact - slope.log().sum().item()) / len(y), abs=1e-4)


def test_fewer_inducing_points_only_lower_the_bound():
    z, y = drawn()
    process = everywhere(z, y)
    losses = []
    with torch.no_grad():
        for count in (30, 20, 10, 3):
            process.points = torch.nn.Parameter(z[:count].clone())
            losses.append(process.loss(z, y).item())
    assert losses == sorted(losses)
    assert losses[-1] > losses[0] + 0.1


def test_chunks_change_nothing(monkeypatch):
    z, y = drawn()
    process = everywhere(z, y)
    with torch.no_grad():
        whole = process.loss(z, y)
        monkeypatch.setattr(gp_fit, "CHUNK", 7)
        torch.testing.assert_close(process.loss(z, y), whole)


def test_features_that_are_not_kept_are_the_same(monkeypatch):
    rows, options = make(60), Options(points=8, directions=4, steps=6, part=20)
    kept = fit(rows, options).state_dict()
    monkeypatch.setattr(gp_fit, "KEPT", 50)
    monkeypatch.setattr(gp_fit, "PART", 7)
    for name, value in fit(rows, options).state_dict().items():
        torch.testing.assert_close(value, kept[name], rtol=1e-4, atol=1e-5)
    made = gp_fit.Features(torch.from_numpy(rows.codes), spaces.get("multires"))
    plain = spaces.get("multires").features(rows.codes)
    np.testing.assert_allclose(made.offset, plain.mean(0))
    np.testing.assert_allclose(made.spread, plain.std(0, ddof=1))
    np.testing.assert_allclose(made[torch.tensor([3, 59])], ((plain - plain.mean(0)) / plain.std(0, ddof=1))[[3, 59]])


def test_a_fit_tells_its_steps_and_lowers_the_loss():
    z, y = drawn(60)
    options, told = Options(points=16, directions=8, steps=40), []
    found = fit_process(z, y, options, lambda: told.append(1))
    assert len(told) == 40
    assert {name: tuple(value.shape) for name, value in found.items() if value.ndim} == {
        "points": (16, 3), "inverse_scale": (3,), "readout": (9, 16)}  # fmt: skip
    assert found["warp.top"] > y.max()
    again = fit_process(z, y, options)
    for name, value in found.items():
        torch.testing.assert_close(again[name], value)


def test_what_never_varies_is_answered_by_its_value_without_doubt():
    rows = make(40, metrics=("mIoU", "mAcc"))
    rows.targets[:, 1] = 81.5
    predictor = fit(rows, Options(points=8, directions=4, steps=3))
    new = make(10, seed=9).codes
    np.testing.assert_allclose(predictor.predict(new)["mAcc"], 81.5, atol=1e-4)
    np.testing.assert_allclose(predictor.predict_std(new)["mAcc"], 0, atol=1e-3)
    assert predictor.predict(new)["mIoU"].std() > 0
    told = []
    fit_process(torch.zeros(6, 2).double(), torch.ones(6).double(), Options(steps=5), lambda: told.append(1))
    assert len(told) == 5


def test_numbers_without_a_factor_are_the_users(monkeypatch):
    z, y = drawn()

    def breaks(*_):
        raise torch.linalg.LinAlgError("the factorization could not be completed")

    monkeypatch.setattr(torch.linalg, "cholesky", breaks)
    with pytest.raises(UserError, match="look for outliers among the rows, or fit predictor=paper"):
        fit_process(z, y, Options(steps=1))


def test_the_card_says_what_it_was_fitted_on():
    rows = make(50)
    predictor = fit(rows, Options(points=8, directions=4, steps=2), protocol="all")
    card = predictor.card
    assert (card.rows, card.metrics, card.source, card.protocol) == (50, rows.metrics, "made up", "all")
    assert card.region == {"lower": rows.codes.min(0).tolist(), "upper": rows.codes.max(0).tolist()}
    np.testing.assert_allclose(predictor.output_mean.numpy(), rows.targets.mean(0), rtol=1e-6)
