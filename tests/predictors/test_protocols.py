"""Which rows each protocol uses for what, told by corrupting them."""

from dataclasses import replace
from typing import Any

import fit_rows
import numpy as np
import pytest
import torch

from ncp.errors import UserError
from ncp.predictors import evaluation, gp_fit, protocols
from ncp.predictors.base import Predictor
from ncp.predictors.rows import Rows

SMALL = {"epochs": 5, "shared": 32, "separate": 16}


def run(rows: Rows, protocol: str, **options: Any) -> protocols.Outcome:
    return protocols.run(rows, "paper", protocol, options={**SMALL, **options}, folds=3)


def same(a: Predictor, b: Predictor) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def corrupted(rows: Rows, index: np.ndarray) -> Rows:
    targets = rows.targets.copy()
    targets[index] = np.random.default_rng(1).normal(50, 20, targets[index].shape)
    return replace(rows, targets=targets)


def test_the_shares_of_each_protocol() -> None:
    for protocol, expected in {
        "honest": {"fitted": 700, "validation": 100, "test": 200},
        "paper": {"fitted": 800, "validation": 200},
        "all-rows": {"fitted": 1000},
    }.items():
        parts = protocols.split(1000, protocol, seed=1)
        assert {name: len(rows) for name, rows in parts.items()} == expected
        assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(1000))
    first, other = protocols.split(1000, "honest", seed=1), protocols.split(1000, "honest", seed=2)
    assert not np.array_equal(first["test"], other["test"])


def test_honest_never_lets_test_rows_choose_anything() -> None:
    rows = fit_rows.make(200)
    parts = protocols.split(200, "honest")
    clean = run(rows, "honest")
    spoiled = run(corrupted(rows, parts["test"]), "honest")
    assert same(clean.predictor, spoiled.predictor)
    assert spoiled.held.errors()["mIoU"]["mae"] > 3 * clean.held.errors()["mIoU"]["mae"]
    # the test of the test: spoiled rows of the other two kinds do change what is fitted
    for use in ("validation", "fitted"):
        assert not same(clean.predictor, run(corrupted(rows, parts[use]), "honest").predictor), use
    np.testing.assert_array_equal(clean.held.measured, rows.targets[parts["test"]])


def test_rows_of_one_architecture_stay_together() -> None:
    rows = fit_rows.make(60, metrics=("mIoU",))
    twice = rows.subset(np.concatenate([np.arange(60), np.arange(60)[::-1]]))
    for protocol in protocols.PROTOCOLS:
        parts = protocols.split(120, protocol, first=twice.first)
        assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(120))
        held = [set(map(bytes, twice.codes[index])) for index in parts.values()]
        assert sum(map(len, held)) == 60
    # errors on networks that were not seen do not become smaller because each is listed twice
    small = {"steps": 3, "points": 8, "directions": 4}
    for protocol in ("honest", "all-rows"):
        alone, both = (protocols.run(r, "default", protocol, options=small).held for r in (rows, twice))
        assert len(both.measured) == 2 * len(alone.measured)
        assert both.errors()["mIoU"]["mae"] > 0.7 * alone.errors()["mIoU"]["mae"]
    with pytest.raises(UserError, match="120 rows of 1 different architectures are too few"):
        protocols.run(replace(twice, codes=twice.codes[[0] * 120]), "default")


def test_paper_measures_on_the_rows_that_chose_the_epoch() -> None:
    rows = fit_rows.make(100)
    outcome = run(rows, "paper")
    np.testing.assert_array_equal(outcome.held.measured, rows.targets[protocols.split(100, "paper")["validation"]])
    assert "same 20 others" in outcome.predictor.card.protocol


def test_no_family_is_measured_on_rows_that_it_was_fitted_on() -> None:
    rows, small = fit_rows.make(60, metrics=("mIoU",)), {"steps": 3, "points": 8, "directions": 4}
    parts = protocols.split(60, "paper")
    outcome = protocols.run(rows, "default", "paper", options=small)
    alone = protocols.fit(rows.subset(parts["fitted"]), "default", **small)
    assert outcome.counts == {"fitted": 48, "validation": 12}
    np.testing.assert_array_equal(outcome.held.predicted[:, 0], alone.predict(rows.codes[parts["validation"]])["mIoU"])


def test_all_rows_are_fitted_and_each_is_predicted_by_a_fit_without_it() -> None:
    rows = fit_rows.make(90, noise=0.3)
    outcome = run(rows, "all-rows")
    assert outcome.counts == {"fitted": 90}
    assert len(outcome.held.measured) == 90
    for fitted, held in evaluation.k_fold(90, 3, 0):
        mlp = protocols.fit(rows.subset(fitted), "paper", **SMALL)
        np.testing.assert_allclose(mlp.predict(rows.codes[held])["mIoU"], outcome.held.predicted[held, 0], rtol=1e-6)
    assert same(protocols.fit(rows, "paper", **SMALL).select(["mIoU"]).net, outcome.predictor.select(["mIoU"]).net)
    card = outcome.predictor.card
    assert card.rows == 90
    assert card.source == "made up"
    np.testing.assert_allclose(
        outcome.predictor.noise_std.numpy(), [card.errors[m]["rmse"] for m in rows.metrics], rtol=1e-5
    )
    assert 0.5 < card.errors["mIoU"]["calibration"] < 1.1


def test_wrong_rows_are_left_out_and_both_results_reported() -> None:
    rows = fit_rows.make(240, metrics=("moderate",), setting="3ddet")
    good = np.arange(240) % 4 > 0
    rows = replace(rows, targets=rows.targets - 30 * ~good[:, None], good=good)
    outcome = run(rows, "honest", epochs=20)
    assert outcome.predictor.card.rows == round(0.7 * 180)
    assert same(outcome.predictor, run(rows.only_good(), "honest", epochs=20).predictor)
    ours = outcome.predictor.card.errors["moderate"]["mae"]
    assert outcome.all_rows["all"]["moderate"]["mae"] > ours
    assert outcome.all_rows["good"]["moderate"]["mae"] > ours
    assert "180 of 240 rows" in outcome.predictor.card.protocol
    assert f"{outcome.all_rows['all']['moderate']['mae']:.2f} on all rows" in outcome.predictor.card.protocol


def test_progress_rises_to_the_end() -> None:
    told: list[float] = []
    protocols.run(
        fit_rows.make(60), "paper", "all-rows", folds=2, options=SMALL, progress=lambda part, text: told.append(part)
    )
    assert told == sorted(told)
    assert len(told) == 15
    assert told[-1] == pytest.approx(1)


def test_the_default_family_has_the_same_signature() -> None:
    rows = fit_rows.make(80, metrics=("mIoU",))
    told: list[float] = []
    outcome = protocols.run(
        rows,
        "default",
        "honest",
        options={"steps": 3, "points": 8, "directions": 4},
        progress=lambda p, t: told.append(p),
    )
    assert outcome.predictor.card.kind == "gp"
    assert outcome.counts["test"] == 16
    assert told[-1] == pytest.approx(1)
    assert np.isfinite(outcome.held.predicted).all()
    assert (outcome.held.std > 0).all()


def test_mistakes_are_named() -> None:
    rows = fit_rows.make(40)
    with pytest.raises(UserError, match="unknown protocol 'best'; protocols: honest, paper, all-rows"):
        protocols.run(rows, "paper", "best")
    with pytest.raises(UserError, match="unknown predictor family 'forest'; families: auto, transfer, default, paper"):
        protocols.run(rows, "forest")
    with pytest.raises(UserError, match="has no option 'width'; its options: activation"):
        protocols.run(rows, "paper", options={"width": 3})
    with pytest.raises(UserError, match="the default predictor has no option 'epochs'"):
        protocols.run(rows, "default", options={"epochs": 3})
    with pytest.raises(UserError, match="10 rows are too few"):
        protocols.run(rows.subset(slice(10)), "paper")


@pytest.mark.parametrize("family", ["default", "paper"])
def test_a_metric_that_never_varies_is_one_line_or_left_out(family: str) -> None:
    rows = fit_rows.make(40, metrics=("mIoU", "aAcc"))
    options: dict[str, Any] = {"steps": 5, "points": 8, "directions": 4} if family == "default" else SMALL
    same = replace(rows, targets=np.full_like(rows.targets, 70.0))
    with pytest.raises(UserError, match="mIoU is 70 in all 40 rows of seg: there is nothing to learn") as error:
        protocols.run(same, family, "all-rows", folds=2, options=options)
    assert "\n" not in str(error.value)
    side = replace(rows, targets=np.stack([rows.targets[:, 0], np.full(40, 90.0)], 1))
    outcome = protocols.run(side, family, "all-rows", folds=2, options=options)
    assert outcome.predictor.metrics == ("mIoU",)
    assert "without aAcc, the same in all rows" in outcome.predictor.card.protocol


@pytest.mark.parametrize("odd", [[0], [0, 1], [3, 17, 30]])
def test_a_metric_that_hardly_varies_is_fitted(odd: list[int]) -> None:
    """In some folds it does not vary at all."""
    rows = fit_rows.make(40, metrics=("mIoU",))
    targets = np.full_like(rows.targets, 70.0)
    targets[odd] += 2
    options = {"steps": 5, "points": 8, "directions": 4}
    outcome = protocols.run(replace(rows, targets=targets), "default", "all-rows", folds=5, options=options)
    assert np.isfinite(outcome.held.predicted).all()
    assert (np.abs(outcome.held.predicted - 70) < 5).all()


@pytest.mark.parametrize("outlier", [1e6, -1e12, 70 + 1e-7])
def test_extreme_values_are_fitted(outlier: float) -> None:
    rows = fit_rows.make(40, metrics=("mIoU",))
    targets = rows.targets.copy()
    targets[7] = outlier
    predictor = protocols.fit(replace(rows, targets=targets), "default", steps=20, points=8, directions=4)
    assert np.isfinite(predictor.predict(rows.codes)["mIoU"]).all()


def test_equations_that_cannot_be_solved_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsolvable(*arguments: Any) -> Any:
        raise torch.linalg.LinAlgError("cholesky: not positive-definite")

    monkeypatch.setattr(gp_fit._Process, "loss", unsolvable)
    with pytest.raises(UserError, match="look for outliers among the rows"):
        protocols.fit(fit_rows.make(40), "default")


@pytest.mark.parametrize("given", [{"seed": -1}, {"seed": 1.5}, {"seed": None}, {"folds": 1}, {"folds": 2.5}])
def test_numbers_that_are_none(given: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(given))} must be"):
        protocols.run(fit_rows.make(40), "paper", "all-rows", **given)


def test_few_rows_are_cross_validated_and_known_to_be_few() -> None:
    rows = fit_rows.make(16, metrics=("mIoU",))
    told: list[float] = []
    outcome = protocols.run(
        rows, "auto", "honest", options={"known": "none"}, folds=4, progress=lambda p, t: told.append(p)
    )
    card = outcome.predictor.card
    assert card.kind == "transfer"
    assert outcome.counts == {"fitted": 16}
    assert len(outcome.held.measured) == card.held == 16
    assert "errors from 4-fold cross-validation" in card.protocol
    assert "nothing is known" in card.protocol
    assert outcome.predictor.curve.now == 16
    assert told == sorted(told)
    with pytest.raises(UserError, match="7 rows of seg are too few for a predictor"):
        protocols.run(rows.subset(slice(7)), "auto")
    with pytest.raises(UserError, match="the auto predictor has no option 'points'"):
        protocols.run(rows, "auto", options={"points": 8})


def test_auto_is_chosen_on_rows_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many rows: with a default process that is spoiled transfer is taken, and the other way round; both say why."""
    from ncp.predictors import auto, few

    monkeypatch.setattr(auto, "MANY", 30)
    rows = fit_rows.make(60, metrics=("mIoU",))
    fits = {"gp": gp_fit.fit, "transfer": few.fit_rows}
    quick = gp_fit.Options(steps=20, points=16, directions=8)
    for spoiled, kept in (("gp", "transfer"), ("transfer", "gp")):

        def fitted(used: Rows, *rest: Any, name: str, spoiled: str = spoiled) -> Predictor:
            if name == spoiled:
                used = replace(used, targets=np.random.default_rng(0).permutation(used.targets))
            return fits[name](used, quick) if name == "gp" else fits[name](used, few.Options(known="none"))

        monkeypatch.setattr(gp_fit, "fit", lambda *a, fitted=fitted: fitted(*a, name="gp"))
        monkeypatch.setattr(few, "fit_rows", lambda *a, fitted=fitted: fitted(*a, name="transfer"))
        predictor = protocols.fit(rows, "auto", known="none")
        assert predictor.card.kind == kept
        family = "default" if kept == "gp" else kept
        times = "" if kept == "gp" else "3 times "
        assert predictor.choice.startswith(f"{family}, chosen on {times}12 held-out of 60 rows")


@pytest.mark.parametrize("outlier", [1e6, -1e12, 70 + 1e-7])
def test_extreme_values_are_fitted_from_few_rows(outlier: float) -> None:
    rows = fit_rows.make(12, metrics=("mIoU",))
    targets = rows.targets.copy()
    targets[7] = outlier
    predictor = protocols.fit(replace(rows, targets=targets), "transfer", known="none", components=2)
    assert np.isfinite(predictor.predict(rows.codes)["mIoU"]).all()


@pytest.mark.parametrize("family", ["auto", "transfer"])
def test_few_rows_are_counted_before_their_values_are_looked_at(family: str) -> None:
    rows = replace(fit_rows.make(40), left_out={"without one of mIoU, mAcc": 33})
    with pytest.raises(
        UserError, match=r"^1 row of seg is too few for a predictor, .*33 rows without one of mIoU, mAcc\)$"
    ):
        protocols.run(rows.subset([0]), family)
    again = rows.subset([0, 1, 2] * 13)
    with pytest.raises(
        UserError, match="the 39 rows of seg are of 3 architectures only; a predictor needs 8 different"
    ):
        protocols.run(again, family)
