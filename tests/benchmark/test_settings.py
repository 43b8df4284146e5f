"""Names of settings."""

import pytest

from ncp import spaces
from ncp.benchmark import settings
from ncp.errors import UserError


def test_the_papers_nine_settings_in_its_order():
    assert settings.PAPER == (
        "cls-50-1000", "cls-50-100", "cls-10-1000", "cls-10c", "seg", "seg-4x", "3ddet", "video", "video-p",
    )  # fmt: skip
    assert [settings.get(n).paper_name for n in settings.PAPER] == [
        "Cls-A", "Cls-B", "Cls-C", "Cls-10c", "Seg", "Seg-4x", "3dDet", "Video", "Video-p",
    ]  # fmt: skip
    for setting in settings.SETTINGS.values():
        assert setting.main == setting.metrics[0]
        assert setting.space in spaces.names()


@pytest.mark.parametrize(
    ("short", "name"), [("cls", "cls-50-1000"), ("seg", "seg"), ("det3d", "3ddet"), ("video", "video")]
)
def test_short_names_are_tasks(short, name):
    assert settings.get(short).name == name
    assert settings.get(name).task == short


@pytest.mark.parametrize("name", ["", "Seg", "cls-50", "3dDet", None, 5])
def test_unknown_names_list_the_known_ones(name):
    with pytest.raises(UserError) as error:
        settings.get(name)
    message = str(error.value)
    assert message.startswith(f"unknown setting '{name}'")
    for known in (*settings.PAPER, *settings.SHORT, "nas-bench-201"):
        assert known in message
    assert "\n" not in message


def test_settings_do_not_change():
    with pytest.raises(TypeError):
        settings.SETTINGS["x"] = settings.get("seg")
    with pytest.raises(AttributeError):
        settings.get("seg").main = "mAcc"
