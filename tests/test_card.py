"""Cards: written and read again, of earlier versions, and from hostile files."""

import json

import msgspec
import pytest

from ncp import card
from ncp.errors import UserError

USE = card.Use(share=1.0, palette=[(1, 2, 3), (4, 5, 6)])
ABOUT = card.NetworkCard("seg", "text", ("road", "a\nb"), 5, (64, 128), (0.5,) * 5, (0.25,) * 5, USE)
SPACE = card.SeenSpace((0, -1.28, -3, 2.56, 1.28, 1), 0.16, 2, [card.Anchor("Car", 3.9, 1.6, 1.5, -1.7)], 100, 10)


def text(**changes):
    out = ABOUT.text()
    return {key: value for key, value in {**out, **changes}.items() if value is not None}


def test_a_card_comes_back():
    again = card.from_text(ABOUT.text(), "'a'")
    assert again.classes == ("road", "a b")
    assert again == card.NetworkCard(**{**vars(ABOUT), "classes": ("road", "a b")})
    assert again.palette() == [(1, 2, 3), (4, 5, 6)]


def test_a_detector_comes_back():
    about = card.make(
        where="'a'", task="det3d", architecture="", classes=["Car"], channels=64, size=(16, 16), mean=(0.5,), std=(0.5,),
        use=card.Use(space=SPACE),
    )  # fmt: skip
    assert card.from_text(about.text(), "'a'") == about


def test_what_an_earlier_version_lacked_is_said():
    old = text(use=None, size=None)
    about = card.from_text({**old, "classes": "2"}, "'a'")
    assert len(about.missing) == 1
    assert "colours" in about.missing[0]
    assert len(set(about.palette())) == 2
    bare = card.from_text({"task": "video", "architecture": "x", "classes": "4", "in_channels": "3"}, "'a'")
    assert bare.classes == ("class 0", "class 1", "class 2", "class 3")
    assert bare.use.clips == card.Clips("dense", 8, 8)
    assert bare.mean == card.MEAN
    words = "; ".join(bare.missing)
    for part in ("the classes' names", "mean and deviation", "the size of its input (112x112", "which frames"):
        assert part in words


def use(**changes):
    return json.dumps({**msgspec.to_builtins(USE), **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"task": None},
        {"task": "depth"},
        {"task": "det3d"},
        {"in_channels": "0"},
        {"in_channels": "3"},
        {"mean": "nan,0,0,0,0"},
        {"std": "0,1,1,1,1"},
        {"size": "64"},
        {"size": "64,1e9"},
        {"size": "16384,16384"},
        {"class_names": None},
        {"use": "{"},
        {"use": use(share=0)},
        {"use": use(low=[0.0], high=[1.0])},
        {"use": use(low=[0.0] * 5, high=[0.0] * 5)},
        {"use": use(palette=[[1, 2, 300]])},
        {"task": "video", "use": use(clips={"kind": "dense", "frames": 10**9, "stride": 1})},
        {"task": "video", "use": use(clips={"kind": "dense", "frames": 10**6, "stride": 1})},
    ],
)
def test_what_cannot_be_is_refused(changes):
    with pytest.raises(UserError, match="'a'"):
        card.from_text(text(**changes), "'a'")


@pytest.mark.parametrize(
    "change", [{"pillar": 1e-6}, {"limits": (0, 0, 0, 0, 1, 1)}, {"limits": (0, 0, 0, 9999, 9999, 1)}]
)
def test_a_space_of_many_anchors_is_refused(change):
    space = msgspec.structs.replace(SPACE, **change)
    with pytest.raises(UserError, match="which is empty or has more than"):
        card.make(
            where="'a'", task="det3d", architecture="", classes=["Car"], channels=64, size=(16, 16), mean=None, std=None,
            use=card.Use(space=space),
        )  # fmt: skip


def test_a_training_that_no_file_for_other_programs_exists_of_is_told_which_do():
    with pytest.raises(
        UserError,
        match=r"task 'depth'; only networks of cls, seg, det3d, video, class_scene, .* are exported and asked for",
    ):
        card.from_text(text(task="depth"), "'a'")
