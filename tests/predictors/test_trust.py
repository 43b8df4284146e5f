"""Whether a predictor has learned anything, and where: on rows with and without a relation, and on cards from elsewhere."""

from dataclasses import replace

import fit_rows
import numpy as np
import pytest
from scipy import stats
from toy_predictors import Toy

from ncp import predictors, spaces
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.predictors import gp_fit, protocols, training, trust

SPACE = spaces.get("multires")
FEW = {"steps": 30, "points": 16, "directions": 8}


@pytest.mark.parametrize("n", [10, 24, 80])
def test_the_spread_of_tau_by_chance_is_that_of_shuffled_rows(n):
    rng = np.random.default_rng(n)
    taus = [stats.kendalltau(rng.random(n), rng.random(n)).statistic for _ in range(1500)]
    assert trust.tau_by_chance(n) == pytest.approx(np.std(taus), rel=0.08)


def test_noise_teaches_nothing_and_a_relation_does():
    rows = fit_rows.make(60, metrics=("mIoU",))
    rows = replace(rows, targets=60 + rows.codes[:, :1] / 8 + rows.codes[:, -1:] / 8)
    noise = replace(rows, targets=np.random.default_rng(1).normal(70, 3, rows.targets.shape))
    learned = protocols.run(rows, "default", "all-rows", folds=3, options=FEW)
    assert learned.without_skill == {}
    nothing = protocols.run(noise, "default", "all-rows", folds=3, options=FEW)
    assert "60 rows that it did not see" in nothing.without_skill["mIoU"]
    assert "chance alone" in nothing.without_skill["mIoU"]


def test_an_error_no_smaller_than_that_of_the_mean_is_no_skill():
    toy = Toy("seg", lambda x: x[:, 0], scale=5.0)
    toy.card.rows, toy.card.held = 100, 100
    toy.card.errors = {"mIoU": {"kendall": 0.6, "rmse": 4.0}}
    assert trust.without_skill(toy, "mIoU") is None
    toy.card.errors["mIoU"]["rmse"] = 5.1
    assert "no smaller than that of the mean" in str(trust.without_skill(toy, "mIoU"))
    del toy.card.errors["mIoU"]["kendall"]
    assert "one and the same" in str(trust.without_skill(toy, "mIoU"))
    toy.card.errors = {}
    assert trust.without_skill(toy, "mIoU") is None  # nothing is stated


@pytest.mark.parametrize("name", settings.PAPER)
@pytest.mark.parametrize("family", ["default", "paper"])
def test_bundled_predictors_have_learned_their_main_metric_and_cover_the_space(name, family):
    predictor = predictors.load(name, family=family)
    assert trust.without_skill(predictor, predictor.metrics[0]) is None
    assert trust.known_bounds(predictor) is None


@pytest.mark.parametrize("family", ["default", "paper"])
def test_a_fit_carries_the_bounds_of_its_rows_into_its_file(tmp_path, family):
    rows = fit_rows.make(40, metrics=("mIoU",))
    narrow = replace(rows, codes=np.minimum(rows.codes, 32))
    fitted = gp_fit.fit(narrow, gp_fit.Options(**FEW)) if family == "default" else training.fit(narrow, epochs=2)
    again = predictors.load(fitted.save(tmp_path / "p.safetensors"))
    for predictor in (fitted, again, again.select(["mIoU"])):
        lower, upper = trust.known_bounds(predictor)
        np.testing.assert_array_equal(lower, narrow.codes.min(0))
        np.testing.assert_array_equal(upper, narrow.codes.max(0))
    assert upper.max() == 32


@pytest.mark.parametrize(
    "region",
    [
        {"lower": [8.0]},
        {"lower": [8.0], "upper": [64.0]},
        {"lower": SPACE.upper.tolist(), "upper": SPACE.lower.tolist()},
        {"lower": SPACE.lower.tolist(), "upper": (SPACE.upper + 8).tolist()},
        {"lower": [float("nan")] * 27, "upper": SPACE.upper.tolist()},
        {"lower": (SPACE.lower + 0.5).tolist(), "upper": SPACE.upper.tolist()},
        {"lower": ["a"] * 27, "upper": [None] * 27},
    ],
)
def test_bounds_that_are_none_are_refused(region):
    toy = Toy("seg", lambda x: x[:, 0])
    toy.card.region = region
    with pytest.raises(UserError, match="states bounds that are none of multires"):
        trust.known_bounds(toy)
