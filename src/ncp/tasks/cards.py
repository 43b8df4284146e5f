"""The card of a checkpoint's network (:mod:`ncp.card`), also of checkpoints that earlier versions wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from ncp import card, files
from ncp.models.anchors import KITTI_ANCHORS
from ncp.models.pillars import CHANNELS, MAX_PILLARS, MAX_POINTS
from ncp.tasks.checkpoint import Checkpoint

_STRIDE = 2  # pillars along a side of a cell of a detector's map, unless a checkpoint says another


def card_of(found: Checkpoint) -> card.NetworkCard:
    """What a program must know of a checkpoint's network to use it.

    Raises:
        UserError: for what no card can hold, or a task of another project.
    """
    own = found.own
    source = own.input if own.input is not UNSET else None
    use = own.use if own.use is not UNSET else _guessed(own.task, found)
    channels = source.channels if source is not None else CHANNELS if own.task == "det3d" else 3
    return card.make(
        where=found.where,
        task=own.task,
        architecture=own.architecture,
        classes=own.classes,
        channels=channels,
        size=source.size if source is not None else None,
        mean=source.mean if source is not None else None,
        std=source.std if source is not None else None,
        use=use,
    )


def _guessed(task: str, found: Checkpoint) -> card.Use | None:
    """What earlier versions wrote into the configuration alone; None where nothing of it is there."""
    data, options = found.options.data, found.options.task
    if task == "video" and {"frames", "stride"} <= data.keys() and not data.get("tiny"):
        clips = {"kind": data.get("sampling", "dense"), "clips": data.get("clips", 1)}
        return _checked({"clips": {**clips, "frames": data["frames"], "stride": data["stride"]}}, found)
    if task == "det3d" and {"limits", "pillar"} <= data.keys():
        pillars = options.get("max_pillars", MAX_PILLARS)
        space = {
            "limits": data["limits"], "pillar": data["pillar"], "stride": _STRIDE,
            "anchors": [anchor._asdict() for anchor in KITTI_ANCHORS],
            "max_pillars": pillars[1], "max_points": options.get("max_points", MAX_POINTS),
            "z_offset": options.get("z_offset", False), "nms": options.get("nms") or {},
        }  # fmt: skip
        return _checked({"space": space}, found)
    return None


def _checked(values: Mapping[str, Any], found: Checkpoint) -> card.Use:
    out: card.Use = files.checked(values, card.Use, f"the configuration in {found.where}")
    return out
