"""Classes that configurations name: ours, announced ones, the user's own; never those that a received file alone names."""

import sys

import pytest

from ncp import registry
from ncp.data.base import DataModule
from ncp.errors import UserError
from ncp.tasks.base import Task


def data(target):
    return registry.resolve(target, "data", DataModule)


def test_our_own_classes():
    assert data("ncp.data.streets.Streets").__name__ == "Streets"
    assert registry.resolve("ncp.tasks.segmentation.Segmentation", "task", Task).name == "seg"


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module beside a received file that leaves a mark when it is imported."""
    (tmp_path / "evil.py").write_text(
        f"open({str(tmp_path / 'mark')!r}, 'w').close()\nfrom ncp.data.streets import Streets\nclass Mine(Streets): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("evil", None)


@pytest.mark.parametrize(
    "target",
    [
        *("evil.Mine", "os.system", "ncp.data.os.system", "ncp.data.streets.Streets.__init__", "ncp.tasks.seg.X"),
        *("ncp.data.evil.Mine", "ncp.data.streets.np", "", "x", None, 3, ["a.b"], "a..b", "a.b()", "ncp.data.base.Key"),
    ],
)
def test_what_nobody_of_ours_names_is_refused_and_not_imported(evil, target):
    with pytest.raises(UserError, match=r"data\._target_") as error:
        data(target)
    assert "\n" not in str(error.value)
    assert not (evil / "mark").exists()


def test_what_the_users_own_folder_names_is_taken(evil, monkeypatch):
    (evil / "conf" / "data").mkdir(parents=True)
    (evil / "conf" / "data" / "mine.yaml").write_text("_target_: evil.Mine\n")
    monkeypatch.setenv("NCP_CONFIG", str(evil / "conf"))
    assert data("evil.Mine").__name__ == "Mine"


def test_what_the_users_command_names_is_taken_in_its_process_alone(evil):
    registry.name("evil.Mine")
    try:
        assert data("evil.Mine").__name__ == "Mine"
    finally:
        registry._named.discard("evil.Mine")


def test_what_an_installed_package_announces_is_taken(evil, monkeypatch):
    about = evil / "evil-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[ncp.data]\nmine = evil:Mine\n[ncp.spaces]\nmine = evil:SPACE\n")
    (evil / "evil.py").write_text("from ncp.data.streets import Streets\nclass Mine(Streets): ...\nSPACE = 'theirs'\n")
    registry.announced.cache_clear()
    try:
        from ncp import spaces

        assert data("evil.Mine").__name__ == "Mine"
        assert spaces.get("mine") == "theirs"
        assert "mine" in spaces.names()
    finally:
        registry.announced.cache_clear()
