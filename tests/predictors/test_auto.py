"""Which of two families is taken: what is held out decides, by the density of what was measured there."""

import fit_rows
import numpy as np
import pytest
from scipy import stats

from ncp.errors import UserError
from ncp.predictors import auto, few, gp_fit
from ncp.predictors.rows import Rows
from ncp.spaces.multires import SPACE


class Answers:
    """Predicts the truth with an error, and says how sure it is."""

    def __init__(self, truth, error, std):
        self.truth, self.error, self.std = truth, error, std

    def predict(self, codes):
        return {"mIoU": self.truth(codes) + self.error}

    def predict_std(self, codes):
        return {"mIoU": np.full(len(codes), self.std)}


def truth(codes):
    return 70 + codes[:, 0] / 64


@pytest.fixture
def rows():
    codes = SPACE.encode(SPACE.sample(auto.MANY + 20, np.random.default_rng(0)))
    return Rows(codes, np.stack([truth(codes), codes[:, 1]], 1), ("mIoU", "flops"), "mine")


def faked(monkeypatch, transfer, default):
    """Both families answer so; what they were fitted on is kept."""
    seen = {}

    def made(name, given):
        def fit(train, *_):
            seen[name] = train
            return Answers(truth, *given)

        return fit

    monkeypatch.setattr(few, "fit_rows", made("transfer", transfer))
    monkeypatch.setattr(gp_fit, "fit", made("default", default))
    return seen


@pytest.mark.parametrize(
    ("transfer", "default"),
    [((0.5, 0.5), (0.1, 0.1)), ((0.1, 0.1), (0.5, 0.5)), ((0.3, 0.02), (0.6, 0.6)), ((0.2, 5.0), (0.4, 0.4))],
)
def test_the_denser_one_is_taken_even_where_its_error_is_larger(monkeypatch, rows, transfer, default):
    faked(monkeypatch, transfer, default)
    family, words = auto.choose(rows, few.STANDARD)
    density = {n: stats.norm.logpdf(e, scale=s) for n, (e, s) in (("transfer", transfer), ("default", default))}
    assert family == max(density, key=density.get)
    times = "3 times " if family == "transfer" else ""
    assert words == (
        f"{family}, chosen on {times}84 held-out of 420 rows: mean absolute error of mIoU transfer {transfer[0]:g}, "
        f"default {default[0]:g}"
    )


def test_transfer_must_be_ahead_in_all_splits_together(monkeypatch, rows):
    errors, held = iter([0.1, 0.2, 0.9]), []

    def fit(train, *_):
        held.append({tuple(code) for code in rows.codes.tolist()} - {tuple(code) for code in train.codes.tolist()})
        return Answers(truth, next(errors), 0.5)

    faked(monkeypatch, (0.5, 0.5), (0.4, 0.5))
    monkeypatch.setattr(few, "fit_rows", fit)
    family, words = auto.choose(rows, few.STANDARD)
    assert family == "default"
    assert words.endswith(
        "chosen on 3 times 84 held-out of 420 rows: mean absolute error of mIoU transfer 0.4, default 0.4"
    )
    assert [len(part) for part in held] == [84] * 3
    assert len(set.union(*held)) > 168


def test_both_are_fitted_on_the_same_rows_that_are_not_held_out(monkeypatch, rows):
    seen = faked(monkeypatch, (0.5, 0.5), (0.1, 0.1))
    auto.choose(rows, few.Options(seed=3))
    np.testing.assert_array_equal(seen["transfer"].codes, seen["default"].codes)
    assert seen["transfer"].codes.shape == (336, 27)
    assert seen["transfer"].metrics == ("mIoU",)
    first = seen["transfer"].codes
    auto.choose(rows, few.Options(seed=4))
    assert (seen["transfer"].codes != first).any()


def test_nothing_is_compared_with_few_rows_nor_with_more_than_transfer_takes(monkeypatch, rows):
    monkeypatch.setattr(few, "fit_rows", None)
    monkeypatch.setattr(gp_fit, "fit", None)
    assert auto.choose(rows.subset(slice(auto.MANY)), few.STANDARD) == ("transfer", "")
    codes = SPACE.sample_codes(2001, np.random.default_rng(0))
    many = Rows(codes, truth(codes)[:, None], ("mIoU",), "mine")
    family, words = auto.choose(many, few.STANDARD)
    assert family == "default"
    assert "2,001 rows are more than 2,000" in words


def test_what_was_chosen_is_told_by_the_predictor_and_its_card(monkeypatch, rows):
    some = fit_rows.make(40, metrics=("mIoU",))
    small = gp_fit.Options(points=8, directions=4, steps=2)
    monkeypatch.setattr(gp_fit, "Options", lambda seed: small)
    made = auto.fit_family(some, "default", "because", few.STANDARD)
    assert (made.choice, made.card.protocol, made.card.kind) == ("because", "because", "gp")
    made = auto.fit_family(
        some.subset(slice(9)), "transfer", "because", few.Options(known="none", components=2, folds=2)
    )
    assert made.choice.startswith("because; nothing is known; by 2-fold cross-validation inside 9 rows")
    assert made.card.protocol == made.choice


def test_too_few_rows():
    some = fit_rows.make(7)
    with pytest.raises(UserError, match=r"7 rows of mine are too few .* give 8 or more"):
        auto.fit(some.codes, {"mIoU": some.targets[:, 0]})
