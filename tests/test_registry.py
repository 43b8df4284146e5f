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


def test_a_builds_plan_names_classes_in_vain(evil):
    """What is trained is the user's configuration; the plan in the folder is only compared with it and shown."""
    from ncp.benchmark import settings
    from ncp.campaign import merge, plan

    text = "8_8-1_1_1_8-1_2_1_1_8_8-1_3_1_1_1_8_8_8-1_4_1_1_1_1_8_8_8_8-8"
    training = {part: {"_target_": "evil.Mine", "root": "${oc.env:HOME}"} for part in ("data", "task")}
    there = plan.BuildPlan("seg", (text,), (1,), training, 1)
    here = plan.BuildPlan("seg", (text,), (1,), {**training, "data": {"_target_": "ncp.data.streets.Streets"}}, 1)
    assert plan._difference(there, here) == "data._target_ evil.Mine there, ncp.data.streets.Streets here"
    assert merge._setting(there, []) == settings.get("seg")
    assert not (evil / "mark").exists()
    assert "evil" not in sys.modules
