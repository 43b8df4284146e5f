"""Who predicts and who judges; predictors without skill; the region of fitted ones."""

import numpy as np
import pytest
from toy_predictors import Toy, capacity

import ncp.predictors
from ncp import spaces
from ncp.errors import UserError
from ncp.search import search

SPACE = spaces.get("multires")
NAMES = list(SPACE.labels)


def rising(errors=None, upper=None, setting="seg"):
    toy = Toy(setting, capacity(np.linspace(0.5, 2, 27) * SPACE.lower), ("mIoU",))
    toy.card.rows = 24
    if errors:
        toy.card.errors = {"mIoU": errors}
    if upper is not None:
        toy.card.region = {"lower": SPACE.lower.tolist(), "upper": np.minimum(SPACE.upper, upper).tolist()}
    return toy


@pytest.mark.parametrize("strategy", ["robust", "paper", "winner_takes_all", "random"])
def test_all_strategies_are_judged_by_the_default_predictors(strategy):
    more = {"starts": 2} if strategy == "robust" else {"queries": 50} if strategy == "random" else {}
    found = search(["seg"], strategy=strategy, iterations=3, **more)
    own = "paper" if strategy in ("paper", "winner_takes_all") else "default"
    assert found.predictor == {"seg": own}
    assert found.judge == {"seg": "default"}
    for family, figures in ((own, found.predicted), ("default", found.judged)):
        expected = ncp.predictors.load("seg", family=family).predict(found.architecture)["mIoU"][0]
        assert figures["seg"]["mIoU"] == pytest.approx(expected, rel=1e-5)
    start = ncp.predictors.load("seg").predict(SPACE.default())["mIoU"][0]
    assert found.before.judged.value["seg"]["mIoU"] == pytest.approx(start, rel=1e-5)


def test_the_judge_is_who_the_user_names(tmp_path):
    path = ncp.predictors.load("seg").save(tmp_path / "mine.safetensors")
    named = search(["seg"], strategy="paper", iterations=2, predictor="paper")
    assert (named.predictor, named.judge) == ({"seg": "paper"}, {"seg": "paper"})
    assert named.judged == named.predicted
    file = search(["seg"], iterations=2, starts=2, predictor={"seg": path})
    assert file.predictor == file.judge == {"seg": str(path)}
    other = search(["seg"], iterations=2, starts=2, judge="paper")
    assert (other.predictor, other.judge) == ({"seg": "default"}, {"seg": "paper"})
    paper = ncp.predictors.load("seg", family="paper").predict(other.architecture)["mIoU"][0]
    assert other.judged["seg"]["mIoU"] == pytest.approx(paper, rel=1e-5)
    with pytest.raises(
        UserError, match=r"beside the name of its setting, \{seg: FILE.safetensors\}; given was 'a/b.safe"
    ):
        search(["seg"], predictor="a/b.safetensors")
    with pytest.raises(UserError, match="unknown predictor family 'best'"):
        search(["seg"], iterations=2, judge="best")
    with pytest.raises(UserError, match="no predictor given for 'seg'"):
        search(["seg"], iterations=2, judge={"cls": path})


def test_a_predictor_of_another_setting_is_told():
    found = search(["video"], predictor={"video": ncp.predictors.load("cls")}, iterations=1, starts=1)
    assert found.notes == ("the predictor given for video was fitted for cls-50-1000",)
    assert search(["seg"], iterations=1, starts=1).notes == ()


def test_the_two_uncertainties_are_told_apart():
    found = search(["seg"], iterations=2, starts=2)
    predictor = ncp.predictors.load("seg")
    own = predictor.predict_std(found.architecture, noise=False)["mIoU"][0]
    both = predictor.predict_std(found.architecture)["mIoU"][0]
    doubt, noise, std = (part["seg"]["mIoU"] for part in (found.doubt, found.noise, found.std))
    assert doubt == pytest.approx(own, rel=1e-3)
    assert std == pytest.approx(both, rel=1e-3)
    assert doubt**2 + noise**2 == pytest.approx(std**2, rel=1e-6)


def test_a_floor_is_kept_by_the_prediction_less_its_doubt():
    found = search(["seg"], floor={"seg.mIoU": 76}, kappa=2, starts=8)
    assert found.kappa == 2
    assert found.predicted["seg"]["mIoU"] - 2 * found.doubt["seg"]["mIoU"] >= 76 - 1e-4
    assert found.predicted["seg"]["mIoU"] - 2 * found.std["seg"]["mIoU"] < 76  # a training's noise is not taken off


@pytest.mark.parametrize("errors", [{"kendall": -0.32, "rmse": 5.0}, {"kendall": 0.2, "rmse": 3.0}, {"rmse": 3.0}])
def test_a_predictor_without_skill_is_refused_unless_forced(errors):
    toy = rising(errors)
    for wanted in ({"objectives": ["seg"]}, {"objectives": None, "floor": {"seg": 70}}):
        with pytest.raises(UserError, match=r"has not learned mIoU: on 24 rows .* force=true") as error:
            search(**wanted, predictor={"seg": toy})
        assert "\n" not in str(error.value)
    found = search(["seg"], predictor={"seg": toy}, force=True, iterations=1, starts=1)
    assert any("has not learned mIoU" in note for note in found.notes)
    able = search(["seg"], predictor={"seg": rising({"kendall": 0.6, "rmse": 3.0})}, iterations=1, starts=1)
    assert able.notes == ()
    with pytest.raises(UserError, match="force is true or false"):
        search(["seg"], predictor={"seg": toy}, force="yes")


@pytest.mark.parametrize("strategy", ["robust", "paper", "winner_takes_all", "random", "evolution"])
def test_a_search_keeps_to_what_its_predictor_has_seen(strategy):
    more = {"queries": 200} if strategy in ("random", "evolution") else {"iterations": 6}
    found = search(
        ["seg"], strategy=strategy, predictor={"seg": rising(upper=32)}, lam=0, bounds={"c4_4": [16, 64]}, **more
    )
    for walk in found.trajectory.walks:
        assert walk.codes.max() <= 32
        assert walk.codes[:, NAMES.index("c4_4")].min() >= 16
    assert found.found.known
    assert not found.before.known  # the default code's widths are 64
    assert any("outside of the architectures" in note for note in found.notes)


def test_a_start_outside_is_shown_as_given_and_moved():
    found = search(["seg"], predictor={"seg": rising(upper=32)}, start=SPACE.default(), iterations=2, starts=2)
    assert found.start == SPACE.default()
    assert found.trajectory.walks[0].codes[0].max() <= 32
    assert "the start was moved into the bounds, grids and relations of the search" in found.notes


def test_regions_and_bounds_that_have_nothing_in_common():
    low, high = rising(upper=32), rising(setting="seg-4x")
    high.card.region = {"lower": SPACE.lower.tolist(), "upper": SPACE.upper.tolist()}
    high.card.region["lower"][0] = 64.0
    with pytest.raises(UserError, match="fitted on architectures of different i1"):
        search(["seg", "seg-4x"], predictor={"seg": low, "seg-4x": high})
    judged = search(["seg", "seg-4x"], judge={"seg": low, "seg-4x": high}, iterations=1, starts=1)  # each for itself
    assert judged.judge.keys() == {"seg", "seg-4x"}
    assert not judged.found.known
    with pytest.raises(UserError, match=r"bounds.c4_4=\[64,128\] lies outside of the architectures .* 8..32"):
        search(["seg"], predictor={"seg": low}, bounds={"c4_4": [64, 128]})
    with pytest.raises(UserError, match=r"the start's i1=64 is not within 8..32"):
        search(["seg"], predictor={"seg": low}, fixed=["i1"])
    with pytest.raises(UserError, match="predictors are default, paper or"):
        search(["seg"], predictor={"seg": 5})
