"""The card of a checkpoint's network, also of checkpoints that lack what newer ones hold."""

from types import SimpleNamespace

import pytest
from msgspec import UNSET

from ncp.errors import UserError
from ncp.tasks.cards import card_of
from ncp.tasks.options import TrainOptions
from ncp.tasks.own import Own


def found(task, data=None, more=None):
    classes = ["car", "pedestrian", "cyclist"] if task == "det3d" else ["a", "b"]
    own = Own(architecture="default", task=task, classes=classes, step=1, config={})
    return SimpleNamespace(own=own, options=TrainOptions(data=data or {}, task=more or {}), where="'old.ckpt'")


def test_an_old_video_checkpoint_says_its_frames_in_its_configuration():
    made = card_of(found("video", {"frames": 8, "stride": 2, "clips": 3, "sampling": "dense"}))
    assert (made.use.clips.frames, made.use.clips.stride, made.use.clips.clips) == (8, 2, 3)
    assert made.channels == 3
    assert made.size == (112, 112)


def test_an_old_detector_has_kittis_anchors_and_its_own_limits():
    limits = [0.0, -39.68, -3.0, 69.12, 39.68, 1.0]
    made = card_of(
        found("det3d", {"limits": limits, "pillar": 0.16}, {"max_pillars": [100, 200], "nms": {"score": 0.3}})
    )
    space = made.use.space
    assert list(space.limits) == limits
    assert (space.max_pillars, space.nms.score, space.stride) == (200, 0.3, 2)
    # SECOND and PointPillars: length, width, height of the three classes' anchors
    assert [(a.length, a.width, a.height) for a in space.anchors] == [
        (3.9, 1.6, 1.56),
        (0.8, 0.6, 1.73),
        (1.76, 0.6, 1.73),
    ]


def test_what_no_card_can_hold_is_refused_naming_the_file():
    assert list(card_of(found("seg")).classes) == ["a", "b"]
    for task, data in (
        ("depth", {}),
        ("det3d", {"limits": [1, 2], "pillar": 0.1}),
        ("video", {"frames": 0, "stride": 1}),
    ):
        with pytest.raises(UserError, match=r"old\.ckpt"):
            card_of(found(task, data))
    assert found("seg").own.use is UNSET
