"""Few rows and what other predictors know: against an exact process of scikit-learn's, a function whose truth is known, files."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import fit_rows
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

from ncp import predictors, spaces
from ncp.errors import UserError
from ncp.predictors import evaluation, few, known, stacking, transfer, transfer_fit
from ncp.predictors.rows import Rows
from ncp.predictors.transfer import Transfer

like_classification = fit_rows.like_classification
SPACE = spaces.get("multires")
SOME = ["cls", "video"]


@pytest.fixture(scope="module")
def fitted() -> tuple[Rows, Rows, predictors.Predictor]:
    train, test = like_classification(24, 1), like_classification(200, 2, noise=0.2)
    return train, test, predictors.fit(train.codes, {"mIoU": train.targets[:, 0]}, known=SOME)


def test_what_is_known_is_found_in_a_few_rows(fitted: tuple[Rows, Rows, predictors.Predictor]) -> None:
    train, test, predictor = fitted
    measured = test.targets[:, 0]
    alone = predictors.fit(train.codes, {"mIoU": train.targets[:, 0]}, known="none")
    error, without = (evaluation.mae(measured, p.predict(test.codes)["mIoU"]) for p in (predictor, alone))
    assert error < 0.6 * without
    for one in (predictor, alone):
        std = one.predict_std(test.codes)["mIoU"]
        assert 0.5 < evaluation.calibration(measured, one.predict(test.codes)["mIoU"], std) < 1.2
    assert "known are cls-50-1000, video" in predictor.choice
    assert "24 rows" in predictor.choice
    assert "nothing is known" in alone.choice


def test_options_that_cannot_be_are_refused_and_the_folds_told(tmp_path: Path) -> None:
    for given, reason in (
        ({"components": 21}, "at most 20"),
        ({"components": 0}, "components must be a positive whole number"),
        ({"folds": 1}, "folds must be a whole number from 2"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"folds": "ten"}, "folds must be a whole number"),
    ):
        with pytest.raises(UserError, match=reason):
            few.Options(**given)
    rows = like_classification(9, 3)
    made = few.fit_rows(rows, few.Options(known=["cls"], components=20, folds=4))
    assert "by 4-fold cross-validation inside 9 rows" in made.choice
    made.save(tmp_path / "most.safetensors")
    assert predictors.load(tmp_path / "most.safetensors").metrics == rows.metrics


def test_errors_on_the_card_are_those_on_other_rows(fitted: tuple[Rows, Rows, predictors.Predictor]) -> None:
    _, test, predictor = fitted
    stated = predictor.card.errors["mIoU"]["mae"]
    assert evaluation.mae(test.targets[:, 0], predictor.predict(test.codes)["mIoU"]) == pytest.approx(stated, rel=0.5)
    assert predictor.card.held == 24


def test_one_component_is_scikit_learns_process() -> None:
    """Same kernel, same numbers: conditioning, variance and the warp's top far away are checked against another library."""
    rng = np.random.default_rng(0)
    rows = transfer.Inputs(*(torch.from_numpy(rng.normal(size=(30, d))) for d in (4, 1)))
    new = transfer.Inputs(*(torch.from_numpy(rng.normal(size=(9, d))) for d in (4, 1)))
    values = torch.from_numpy(np.sin(rows.smooth[:, 0].numpy()) + rows.linear[:, 0].numpy())
    hyper = torch.tensor([[0.0, 0.0, 0.8, 1.1, 0.7, 0.3, 1e5]], dtype=torch.float64)
    fit = transfer_fit.Fitted(hyper, torch.zeros(1), torch.ones(4))
    mean, std = transfer_fit.answers(rows, values, new, fit, known=0)
    smooth = 1.1**2 * Matern(1 / 0.7, nu=2.5)

    def kernel(a: transfer.Inputs, b: transfer.Inputs) -> np.ndarray:
        return 4.0 + 0.8**2 * DotProduct(0.0)(a.linear, b.linear) + smooth(a.smooth.numpy(), b.smooth.numpy())

    width = float(values.std())
    target = ((values - values.mean()) / width).numpy()
    k = kernel(rows, rows) + 0.3**2 * np.eye(30)
    cross = kernel(new, rows)
    np.testing.assert_allclose(mean, float(values.mean()) + width * cross @ np.linalg.solve(k, target), atol=1e-3)
    left = np.diag(kernel(new, new)) - np.einsum("nr,rn->n", cross, np.linalg.solve(k, cross.T))
    np.testing.assert_allclose(std, width * np.sqrt(left + 0.3**2), rtol=1e-3)
    plain = GaussianProcessRegressor(ConstantKernel(4.0, "fixed") + smooth, alpha=0.09, optimizer=None)
    plain.fit(rows.smooth.numpy(), target)
    hyper[0, 2] = 0
    mean, _ = transfer_fit.answers(rows, values, new, fit._replace(hyper=hyper), known=0)
    expected = float(values.mean()) + width * plain.predict(new.smooth.numpy())
    np.testing.assert_allclose(mean, expected, atol=1e-3)


def test_leaving_out_in_closed_form_is_leaving_out() -> None:
    rows = like_classification(20, 5)
    blank = few.empty(rows, known.predictors(SOME, "mine", "multires"))
    with torch.no_grad():
        inputs = blank.inputs(blank.codes)
    values = blank.values[:, 0]
    fit = transfer_fit.fit(inputs, values, transfer_fit.TRANSFER, 2, components=4)
    far = fit._replace(hyper=fit.hyper * torch.tensor([1.0, 1, 1, 1, 1, 1, 1e4]))  # a warp that all rows share
    mean, std = transfer_fit.left_out(inputs, values, far, 2)
    for i in (0, 7, 19):
        rest = torch.tensor([j for j in range(20) if j != i])
        some, one = (transfer.Inputs(*(x[index] for x in inputs)) for index in (rest, torch.tensor([i])))
        # of the row itself nothing but the standardisation of all values is known
        scale, shift = values.std() / values[rest].std(), (values.mean() - values[rest].mean()) / values[rest].std()
        again, deviation = transfer_fit.answers(some, values[rest], one, far, 2)
        assert again[0] == pytest.approx(mean[i], abs=0.25)
        assert deviation[0] * float(scale) == pytest.approx(std[i], rel=0.3)
        assert abs(float(shift)) < 0.5


def test_parts_fitted_at_once_are_fitted_by_themselves() -> None:
    rows = like_classification(24, 6)
    blank = few.empty(rows, known.predictors(SOME, "mine", "multires"))
    with torch.no_grad():
        inputs = blank.inputs(blank.codes)
    values = blank.values[:, 0]
    keep = torch.ones(2, 24, dtype=torch.bool)
    keep[0, :5] = keep[1, 20:] = False
    for structure in (*transfer_fit.MIXTURES["usual"].structures, transfer_fit.LARGE):
        together = transfer_fit.fit_parts(inputs, values, structure, 2, keep, components=4)
        for some, fit in zip(keep, together, strict=True):
            part = transfer.Inputs(*(i[some] for i in inputs))
            alone = transfer_fit.fit(part, values[some], structure, 2, components=4)
            mean, std = transfer_fit.answers(part, values[some], inputs, fit, 2)
            again, deviation = transfer_fit.answers(part, values[some], inputs, alone, 2)
            np.testing.assert_allclose(mean, again, atol=0.03)
            np.testing.assert_allclose(std, deviation, rtol=0.05)


def test_one_training_that_went_wrong_does_not_make_all_doubtful(
    fitted: tuple[Rows, Rows, predictors.Predictor],
) -> None:
    train, test, sound = fitted
    values = train.targets[:, 0].copy()
    values[int(np.argmax(values))] = values.min() - 10 * values.std()
    wrong = predictors.fit(train.codes, {"mIoU": values}, known=SOME)
    assert float(wrong.stretch[0]) < 1.3 * float(sound.stretch[0])
    assert evaluation.kendall(test.targets[:, 0], wrong.predict(test.codes)["mIoU"]) > 0.3


def test_all_rows_but_one_alike() -> None:
    rows = like_classification(12, 7)
    values = np.full(12, 70.0)
    values[3] = 71.0
    answer = predictors.fit(rows.codes, {"mIoU": values}, known=SOME)
    assert np.isfinite(answer.predict(rows.codes)["mIoU"]).all()
    assert np.isfinite(answer.predict_std(rows.codes)["mIoU"]).all()


def test_the_gradient_is_the_slope(fitted: tuple[Rows, Rows, predictors.Predictor]) -> None:
    train = fitted[0]
    predictor = few.fit_rows(train, few.Options(known=SOME)).double()
    fit_rows.check_slope(predictor, fitted[1].codes[:3])


def test_a_file_answers_alike_and_needs_nothing_else(
    fitted: tuple[Rows, Rows, predictors.Predictor], tmp_path, monkeypatch
) -> None:
    _, test, predictor = fitted
    path = predictor.save(tmp_path / "mine.safetensors")
    monkeypatch.setattr("ncp.predictors.storage.WEIGHTS", tmp_path / "none")
    again = predictors.load(path)
    for answer in ("predict", "predict_std"):
        np.testing.assert_array_equal(
            getattr(again, answer)(test.codes)["mIoU"], getattr(predictor, answer)(test.codes)["mIoU"]
        )
    assert again.card.kind == "transfer"
    assert path.stat().st_size < 2**20


def test_some_metrics_of_several(tmp_path) -> None:
    rows = fit_rows.make(30, metrics=("mIoU", "mAcc"))
    predictor = few.fit_rows(rows, few.Options(known="none"))
    one = predictor.select(["mAcc"])
    np.testing.assert_array_equal(one.predict(rows.codes)["mAcc"], predictor.predict(rows.codes)["mAcc"])
    np.testing.assert_array_equal(one.predict_std(rows.codes)["mAcc"], predictor.predict_std(rows.codes)["mAcc"])


def test_a_fitted_one_is_known_to_the_next(fitted: tuple[Rows, Rows, predictors.Predictor], tmp_path) -> None:
    """A cheap proxy's predictor, made from few rows itself, among the known ones; three deep, and no deeper."""
    train, test, predictor = fitted
    path = predictor.save(tmp_path / "proxy.safetensors")
    shifted = train.targets[:, 0] * 2 - 80
    for depth in (2, 3):
        outer = predictors.fit(train.codes, {"top1": shifted}, known=[path], setting="mine-too")
        path = outer.save(tmp_path / f"{depth}.safetensors")
        again = predictors.load(path)
        np.testing.assert_array_equal(again.predict(test.codes)["top1"], outer.predict(test.codes)["top1"])
    error = evaluation.mae(2 * test.targets[:, 0] - 80, outer.predict(test.codes)["top1"])
    assert error < 2 * evaluation.mae(test.targets[:, 0], predictor.predict(test.codes)["mIoU"]) * 1.3
    deeper = predictors.fit(train.codes, {"top1": shifted}, known=[path], setting="mine-too")
    with pytest.raises(UserError, match="3 deep"):
        predictors.load(deeper.save(tmp_path / "4.safetensors"))


def test_a_hostile_file_is_one_line(fitted: tuple[Rows, Rows, predictors.Predictor], tmp_path) -> None:
    path = fitted[2].save(tmp_path / "mine.safetensors")
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    card = asdict(fitted[2].card)

    def refused(change_tensors=None, **config) -> str:
        changed = {**card, "config": {**card["config"], **config}}
        metadata = {"format": "ncp-predictor-1", "card": json.dumps(changed)}
        save_file({**tensors, **(change_tensors or {})}, path, metadata)
        with pytest.raises(UserError) as error:
            predictors.load(path)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "rows" in refused(rows=10**9)
    assert "components" in refused(components=10**6)
    assert "known" in refused(known=[{}] * 40)
    assert "known predictor 1" in refused(known=[{"kind": "gp"}])
    inner = {**card["config"]["known"][0], "kind": "os.system"}
    assert "os.system" in refused(known=[inner])
    big = {**card["config"]["known"][0], "config": {"features": 33, "points": 100_000, "directions": 0}}
    assert "do not fit its card" in refused(known=[big, card["config"]["known"][1]])
    assert "deviation" in refused({"known.0.output_std": torch.zeros_like(tensors["known.0.output_std"])})
    top = tensors["hyper"].clone()
    top[..., 6] = -50.0  # below the rows: no logarithm
    assert "finite" in refused({"hyper": top})


def test_other_spaces_have_nothing_known_and_work() -> None:
    space = spaces.get("nasbench201")
    rng = np.random.default_rng(0)
    architectures = space.sample(30, rng)
    codes = space.encode(architectures)
    values = 40 + codes @ rng.normal(size=space.dim)
    predictor = predictors.fit(architectures, {"Acc": values}, space="nasbench201")
    new = space.encode(space.sample(60, rng))
    truth = 40 + new @ np.linalg.lstsq(np.c_[codes, np.ones(30)], values, rcond=None)[0][:-1]
    assert predictor.predict(new)["Acc"].shape == (60,)
    assert evaluation.kendall(truth, predictor.predict(new)["Acc"]) > 0.5


@pytest.mark.parametrize(
    ("space", "words"),
    [("multires", "too few for a predictor, even with what the bundled ones know: give 8"),
     ("transnas-micro", "too few for a predictor: give 8")],
)  # fmt: skip
def test_bundled_predictors_are_named_where_there_are_some(space: str, words: str) -> None:
    codes = [spaces.get(space).default().code] * 7
    with pytest.raises(UserError, match=words):
        few.check_number(few.rows_of(codes, {"top1": np.arange(7.0)}, space))


def test_texts_codes_and_architectures_are_the_same_rows() -> None:
    rows = like_classification(10, 3)
    architectures = SPACE.decode(rows.codes)
    values = {"mIoU": rows.targets[:, 0]}
    given = (rows.codes, architectures, [a.text for a in architectures])
    codes = [few.rows_of(g, values).codes for g in given]
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[0], codes[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": 7}, "7 rows of mine are too few for a predictor.*give 8 or more"),
        ({"values": {}}, "values are given by metric"),
        ({"values": {"mIoU": [1.0] * 5}}, "9 architectures need as many numbers of mIoU"),
        ({"values": {"mIoU": [np.nan] * 9}}, "not finite"),
        ({"known": ["nonsense"]}, "'nonsense', for which no predictor is bundled; bundled are cls-50-1000"),
        ({"known": ["seg"], "setting": "seg"}, "known names seg itself"),
        ({"known": 3}, "known is all, none or a list"),
        ({"space": "nowhere"}, "unknown space"),
        ({"setting": "../mine"}, "cannot be part of a path"),
    ],
)
def test_mistakes_are_one_line(change: dict, message: str) -> None:
    rows = like_classification(9, 3)
    n = change.pop("architectures", 9)
    given = {"values": {"mIoU": rows.targets[:n, 0]}, "known": "none", **change}
    with pytest.raises(UserError, match=message) as error:
        predictors.fit(rows.codes[:n], **given)
    assert "\n" not in str(error.value)


def test_own_setting_is_never_among_the_known() -> None:
    assert set(known.predictors("all", "seg", "multires")) == set(known.bundled("multires")) - {"seg"}
    assert known.predictors("all", "mine", "nasbench201") == {}
    assert known.predictors("none", "mine", "multires") == {}


def test_stacking_finds_the_better_answers_and_keeps_its_prior_without_rows() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    good, bad = (truth + 0.3 * rng.normal(size=400), np.full(400, 0.3)), (np.zeros(400), np.ones(400))
    assert stacking.weights(truth, [good, bad], [1, 1])[0] > 0.9
    np.testing.assert_allclose(
        stacking.weights(truth[:0], [tuple(x[:0] for x in a) for a in (good, bad)], [3, 1]), [0.75, 0.25]
    )
    mean, std = stacking.mixed([good, bad], np.array([0.5, 0.5]))
    draws = np.where(rng.random(200_000) < 0.5, good[0][0] + 0.3 * rng.normal(size=200_000), rng.normal(size=200_000))
    assert mean[0] == pytest.approx(draws.mean(), abs=0.02)
    assert std[0] == pytest.approx(draws.std(), rel=0.02)


def test_a_metric_that_never_varies_is_answered_by_its_value() -> None:
    rows = fit_rows.make(12, metrics=("mIoU", "aAcc"))
    rows.targets[:, 1] = 90.0
    predictor = few.fit_rows(rows, few.Options(known="none"))
    np.testing.assert_allclose(predictor.predict(fit_rows.make(5, seed=3).codes)["aAcc"], 90.0, atol=1e-2)


def test_its_rows_bounds_are_widened_within_the_space(fitted: tuple[Rows, Rows, predictors.Predictor]) -> None:
    region = fitted[2].card.region
    codes = fitted[0].codes
    assert (np.array(region["lower"]) <= codes.min(0)).all()
    assert (np.array(region["upper"]) >= codes.max(0)).all()
    narrow = Rows(np.clip(codes, SPACE.lower, SPACE.lower + 2 * SPACE.step), fitted[0].targets, ("mIoU",), "mine")
    upper = np.array(few.fit_rows(narrow, few.Options(known=["cls"])).card.region["upper"])
    seen = np.ptp(narrow.codes, axis=0) == 2 * SPACE.step  # from 8 to 24, that is to 32
    assert seen.sum() > 20
    np.testing.assert_array_equal(upper[seen], (SPACE.lower + 3 * SPACE.step)[seen])


def test_same_seed_same_predictor(fitted: tuple[Rows, Rows, predictors.Predictor]) -> None:
    train, test, predictor = fitted
    again = predictors.fit(train.codes, {"mIoU": train.targets[:, 0]}, known=SOME)
    np.testing.assert_array_equal(again.predict(test.codes)["mIoU"], predictor.predict(test.codes)["mIoU"])
    assert isinstance(again, Transfer)


def test_rows_without_any_noise_can_be_fitted() -> None:
    codes = SPACE.sample_codes(60, np.random.default_rng(0))
    exact = 40 + 10 * np.log(np.asarray(SPACE.cost(codes).macs) / 1e9)
    some, others = next(evaluation.k_fold(60, 5, 0))  # a line search goes where the covariance has no factor
    predictor = predictors.fit(codes[some], {"mIoU": exact[some]}, known="all")
    assert evaluation.mae(exact[others], predictor.predict(codes[others])["mIoU"]) < 0.1 * exact.std()


def test_a_large_remainder_leaves_more_open() -> None:
    """Architectures that were not trained are doubted more, and the linear map counts less."""
    rows = like_classification(24, 1)
    usual, large = (
        few.fit_rows(rows, few.Options(known=["cls"], components=2, remainder=r)) for r in ("usual", "large")
    )
    assert large.hyper[0, :2, 3].min() > usual.hyper[0, :2, 3].max()
    elsewhere = like_classification(200, 2).codes
    doubts = [p.predict_std(elsewhere, noise=False)["mIoU"].mean() for p in (usual, large)]
    assert doubts[1] > doubts[0]
    weights = [float(re.search(r"known alone .*?weight ([\d.]+)", p.choice)[1]) for p in (usual, large)]
    assert weights[1] < weights[0]
    with pytest.raises(UserError, match=r"remainder is one of usual, large, given was 'small'"):
        few.Options(remainder="small")
