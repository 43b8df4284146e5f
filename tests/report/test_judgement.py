"""All lines of a comparison are predicted by the same predictors."""

import numpy as np
import pytest
import recorded_results as recorded

from ncp import predictors
from ncp.report import entries as entries_of
from ncp.report import judgement
from ncp.spaces.multires import SPACE


def compared(tmp_path, *given, **more):
    entries = entries_of.read([str(value) for value in given], **more)
    return entries, judgement.judge(entries.items)


def test_all_are_predicted_by_the_same_predictors_for_all_objectives(tmp_path):
    one = recorded.search(tmp_path / "one", 1, ["seg.mIoU"])
    two = recorded.search(tmp_path / "two", 2, ["cls-50-1000.top1", "seg.mAcc"])
    three = recorded.training(tmp_path / "three", 3, "video")
    entries, judged = compared(tmp_path, one, two, three, "ncp_seg", SPACE.default().text)
    assert judged.names == ["seg.mIoU", "seg.mAcc", "cls-50-1000.top1", "video.top1"]
    assert all(set(values) == set(judged.names) for values in judged.values)
    codes = np.array([entry.architecture.code for entry in entries.items])
    for setting, metric in (name.split(".") for name in judged.names):
        predictor = predictors.load(setting)
        np.testing.assert_allclose([v[f"{setting}.{metric}"] for v in judged.values], predictor.predict(codes)[metric])
        np.testing.assert_allclose([v[f"{setting}.{metric}"] for v in judged.std], predictor.predict_std(codes)[metric])
    assert set(judged.judges) == {"seg", "cls-50-1000", "video"}
    assert "the default predictor" in judged.judges["seg"]


def test_known_names_alone_are_judged_on_the_four_tasks(tmp_path):
    _, judged = compared(tmp_path, "default", "ncp_seg")
    assert judged.names == ["cls-50-1000.top1", "seg.mIoU", "3ddet.moderate", "video.top1"]


def test_another_judge_may_be_given(tmp_path):
    entries = entries_of.read(["default"])
    judged = judgement.judge(entries.items, "paper")
    expected = predictors.load("seg", family="paper").predict(SPACE.default())["mIoU"][0]
    assert judged.values[0]["seg.mIoU"] == pytest.approx(expected)
    assert "the paper" in judged.judges["seg"]


def test_a_metric_without_a_predictor_is_as_the_search_recorded_it(tmp_path):
    mine = recorded.search(tmp_path / "mine", 1, ["my-set.score"])
    _, judged = compared(tmp_path, mine, "default")
    assert judged.recorded == ["my-set.score"]
    assert judged.values == [{"my-set.score": 71.0}, {}]


def test_a_predictor_of_ones_own_judges_its_setting(tmp_path):
    file = predictors.load("seg-4x").save(tmp_path / "mine.safetensors")
    searched = recorded.search(tmp_path / "searched", 2, ["cls-50-1000.top1"])
    entries = entries_of.read([str(searched), "default"])
    judged = judgement.judge(entries.items, {"seg-4x": str(file)})
    expected = predictors.load("seg-4x").predict([e.architecture.code for e in entries.items])["mIoU"]
    np.testing.assert_allclose([values["seg-4x.mIoU"] for values in judged.values], expected)
    assert judged.recorded == ["cls-50-1000.top1"]
    assert judged.judges["seg-4x"].startswith("the predictor given, fitted on")
