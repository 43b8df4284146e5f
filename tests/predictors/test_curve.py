"""The learning curve: against errors on rows that were really added, and against a setting where nothing is left to learn."""

from dataclasses import replace

import fit_rows
import numpy as np
import pytest

from ncp import predictors, spaces
from ncp.predictors import curve, evaluation, few
from ncp.predictors.rows import Rows

like_classification = fit_rows.like_classification
SPACE, SOME = spaces.get("multires"), ["cls", "video"]


@pytest.fixture(scope="module")
def found() -> curve.Curve:
    return curve.of(like_classification(24, 1), few.Options(known=SOME))


def test_the_points_surround_the_rows_there_are(found: curve.Curve) -> None:
    assert [p.rows for p in found.points] == [12, 18, 24, 44, 48, 64]
    assert [p.measured for p in found.points] == [True, True, True, False, False, False]
    assert found.now == 24
    loss = [p.loss for p in found.points]
    assert loss == sorted(loss, reverse=True)
    assert all(p.error > 0 for p in found.points)


def test_the_expected_error_is_that_of_rows_really_added(found: curve.Curve) -> None:
    more, test = like_classification(44, 1), like_classification(200, 2)
    assert (more.codes[:24] == like_classification(24, 1).codes).all()
    later = predictors.fit(more.codes, {"mIoU": more.targets[:, 0]}, known=SOME)
    error = evaluation.mae(test.targets[:, 0], later.predict(test.codes)["mIoU"])
    assert found.at(44).error == pytest.approx(error, rel=0.5)


def test_the_sentence_says_what_the_points_say(found: curve.Curve) -> None:
    gain = found.at(24).loss - found.at(44).loss
    assert found.gain == pytest.approx(gain)
    assert found.sentence.startswith(f"20 more trainings would likely gain {gain:.2g} points of mIoU")
    content = found.to_dict()
    assert content["points"][0] == {
        "rows": 12, "error": found.points[0].error, "measured": True, "loss": found.points[0].loss,
    }  # fmt: skip


def test_where_less_is_better_a_search_goes_down(found: curve.Curve, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = like_classification(24, 1)
    monkeypatch.setattr(curve.settings, "sign", lambda objective: -1.0)
    down = curve.of(replace(rows, targets=-rows.targets), few.Options(known=SOME))
    assert down.points == found.points


def test_more_trainings_gain_less_where_the_metric_is_known_already() -> None:
    """A metric that is what a known predictor says, without noise, beside one that nothing known tells."""
    rng = np.random.default_rng(0)
    codes = SPACE.encode(SPACE.sample(30, rng))
    told = predictors.load("cls").predict(codes)["top1"]
    z = (codes - SPACE.center) / SPACE.scale
    own = told.mean() + told.std() * np.sin(3 * z[:, 0]) * z[:, 26]
    gains = []
    for values in (told, own):
        rows = Rows(codes, values[:, None], ("top1",), "mine")
        gains.append(curve.of(rows, few.Options(known=["cls"])))
    assert gains[0].at(30).loss < 0.3 * gains[1].at(30).loss
    assert gains[0].gain < gains[1].gain
