"""Folders of configurations: the shipped one and the user's own."""

import pytest

from ncp import configs, jobs
from ncp.benchmark import settings
from ncp.errors import UserError


def test_the_shipped_folder_holds_the_commands():
    assert (configs.shipped() / "train.yaml").is_file()


def test_the_users_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CONFIG", str(tmp_path))
    assert configs.folders() == (tmp_path.resolve(), configs.shipped())
    monkeypatch.delenv("NCP_CONFIG")
    assert configs.folders() == (configs.shipped(),)


def test_an_option_of_the_users_stands_for_the_projects(tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CONFIG", str(tmp_path))
    assert configs.option_file("task", "seg") == configs.shipped() / "task" / "seg.yaml"
    assert configs.option_file("task", "none") is None
    (tmp_path / "task").mkdir()
    for name in ("seg", "mine"):
        (tmp_path / "task" / f"{name}.yaml").touch()
    assert configs.option_file("task", "seg") == tmp_path.resolve() / "task" / "seg.yaml"
    scenes = {"class_object", "class_scene", "room_layout", "jigsaw", "segmentsemantic", "normal", "autoencoder"}
    assert configs.options_of("task") == {"cls", "seg", "det3d", "video", "mine"} | scenes


def test_a_folder_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CONFIG", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"NCP_CONFIG \(--config-dir\) must be a folder"):
        configs.own()


def test_a_folder_is_used_by_this_process_and_those_it_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CONFIG", "")  # so that it is put back
    configs.use(tmp_path)
    assert configs.own() == (tmp_path.resolve(),)


def test_several_folders_count_the_first_one_most(tmp_path, monkeypatch):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, text in ((first, "mine"), (second, "theirs")):
        (folder / "setting").mkdir(parents=True)
        (folder / "setting" / "both.yaml").write_text(f"name: both\ntask: seg\nmetrics: [mIoU]\ndataset: {text}\n")
    (second / "setting" / "one.yaml").write_text(
        "name: one\ntask: seg\nmetrics: [mIoU]\nbuiltin: {data: builtin/seg}\n"
    )
    monkeypatch.setenv("NCP_CONFIG", str(first))
    monkeypatch.setenv("NCP_CONFIG", configs.with_further(second))
    assert configs.folders() == (second.resolve(), first.resolve(), configs.shipped())
    assert settings.get("both").dataset == "theirs"
    assert jobs.options("train", "setting=one").setting == "one"
    monkeypatch.setenv("NCP_CONFIG", configs.with_further(second))  # not twice
    assert len(configs.own()) == 2
