"""Folders of configurations: the shipped one and the user's own."""

import pytest

from ncp import configs
from ncp.errors import UserError


def test_the_shipped_folder_holds_the_commands():
    assert (configs.shipped() / "train.yaml").is_file()


def test_the_users_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CONFIG", str(tmp_path))
    assert configs.folders() == (tmp_path.resolve(), configs.shipped())
    monkeypatch.delenv("NCP_CONFIG")
    assert configs.folders() == (configs.shipped(),)


def test_a_folder_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CONFIG", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"NCP_CONFIG \(--config-dir\) must be a folder"):
        configs.own()


def test_a_folder_is_used_by_this_process_and_those_it_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CONFIG", "")  # so that it is put back
    configs.use(tmp_path)
    assert configs.own() == tmp_path.resolve()
