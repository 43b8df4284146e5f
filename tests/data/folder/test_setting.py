"""A setting file for a data set of one's own: what is written is read again as it was meant."""

from types import SimpleNamespace

import pytest
import yaml

from ncp.benchmark import settings
from ncp.data.folder.look import Look
from ncp.data.folder.setting import setting_name, setting_text, told_metrics


@pytest.mark.parametrize(
    ("folder", "wanted"),
    [("My Fields", "my-fields-seg"), ("Ähren 2", "hren-2-seg"), ("...", "own-seg"), ("a" * 99, f"{'a' * 60}-seg")],
)
def test_names_are_made_of_the_folders(tmp_path, folder, wanted):
    assert setting_name(str(tmp_path / folder), "seg") == wanted


def test_detections_metrics_begin_with_the_mean_over_the_classes():
    told = told_metrics("det3d", ["Cart", "Worker"])
    assert told[0] == "moderate"
    assert len(told) == len(set(told)) > 2
    assert told_metrics("seg", []) == ["mIoU", "mAcc", "aAcc"]


def test_the_text_is_a_setting(tmp_path, monkeypatch):
    found = Look("seg", "/data/x", ["a", "b"], {"train": 1200, "val": 3}, notes=["split\nby line"])
    data = SimpleNamespace(task="seg", source="x: \u202e odd")
    change = {"data": {"root": "/data/x", "crop": [32, 64]}, "recipe": {}}
    text = setting_text("mine", data, found, "folder/seg", change, ["data.crop=[32, 64]: because"])
    (tmp_path / "setting").mkdir()
    (tmp_path / "setting" / "mine.yaml").write_text(text)
    monkeypatch.setenv("NCP_CONFIG", str(tmp_path))
    read = settings.get("mine")
    assert (read.task, read.main, read.real.data, read.real.recipe) == ("seg", "mIoU", "folder", "folder/seg")
    assert read.real.change == {"data": {"root": "/data/x", "crop": [32, 64]}}
    assert "1,200 training and 3 validation files" in read.dataset
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert "# by line" in comments
    assert any("because" in line for line in comments)
    assert yaml.safe_load(text)["name"] == "mine"


@pytest.mark.parametrize(("classes", "train", "what"), [
    (["a"], 1, "1 class, 1 training and 1 validation file"), (["a", "b"], 4, "2 classes, 4 training and 1 validation file"),
])  # fmt: skip
def test_one_of_a_kind_is_told_as_one(classes, train, what):
    found = Look("seg", "/data/x", classes, {"train": train, "val": 1})
    text = setting_text("mine", SimpleNamespace(task="seg", source="x"), found, "folder/seg", {}, [])
    assert yaml.safe_load(text)["dataset"] == f"x: {what}"
