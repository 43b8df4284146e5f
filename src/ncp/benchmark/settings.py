"""The settings of NAS-Bench-MR: nine ways to train one and the same architecture, and NAS-Bench-201 beside them.

Source: the paper's section 3.2 and Table 6; names as in the public release. Needs the standard library alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ncp.errors import UserError


@dataclass(frozen=True)
class Setting:
    """One column group of the benchmark: what was trained, and what was measured in percent points.

    Attributes:
        name: the release's name, spelled so everywhere.
        task: ``cls``, ``seg``, ``det3d`` or ``video``.
        metrics: the measured quantities, the main one first; higher is better.
        main: the metric that the paper reports.
        dataset: what the networks were trained and measured on.
        paper_name: the column's name in the paper's tables and figures.
        space: the search space of its architectures, a name that ``ncp.spaces.get`` knows.
    """

    name: str
    task: str
    metrics: tuple[str, ...]
    main: str
    dataset: str
    paper_name: str
    space: str = "multires"


_TOP = ("top1", "top5")
_IOU = ("mIoU", "mAcc", "aAcc")
_IN50 = "ImageNet-50-1000 (50 classes, 1,000 images a class)"
_ROWS = (
    Setting("cls-50-1000", "cls", _TOP, "top1", _IN50, "Cls-A"),
    Setting("cls-50-100", "cls", _TOP, "top1", "ImageNet-50-100 (50 classes, 100 images a class)", "Cls-B"),
    Setting("cls-10-1000", "cls", _TOP, "top1", "ImageNet-10-1000 (10 classes, 1,000 images a class)", "Cls-C"),
    Setting("cls-10c", "cls", _TOP, "top1", f"{_IN50}, 10 epochs, its own schedule", "Cls-10c"),
    Setting("seg", "seg", _IOU, "mIoU", "Cityscapes at 512x1024", "Seg"),
    Setting("seg-4x", "seg", _IOU, "mIoU", "Cityscapes at 128x256", "Seg-4x"),
    Setting("3ddet", "det3d", ("moderate",), "moderate", "KITTI, 3D boxes of cars, moderate", "3dDet"),
    Setting("video", "video", _TOP, "top1", "HMDB51, trained from scratch", "Video"),
    Setting("video-p", "video", _TOP, "top1", "HMDB51, pretrained on ImageNet-50-1000", "Video-p"),
    Setting(
        "nas-bench-201", "cls", ("Acc",), "Acc", "ImageNet16-120 at 16x16 (NAS-Bench-201)", "ImageNet16", "nasbench201"
    ),
)

SETTINGS: Mapping[str, Setting] = MappingProxyType({setting.name: setting for setting in _ROWS})
PAPER: tuple[str, ...] = tuple(s.name for s in _ROWS if s.space == "multires")
"""The nine settings of NAS-Bench-MR, in the paper's order."""
SHORT: Mapping[str, str] = MappingProxyType({"cls": "cls-50-1000", "seg": "seg", "det3d": "3ddet", "video": "video"})
"""A task's name stands for its first setting."""


def get(name: str) -> Setting:
    """The setting called ``name``, one of the ten names or of the four short ones (``cls seg det3d video``).

    >>> get("det3d").name, get("seg-4x").main
    ('3ddet', 'mIoU')

    Raises:
        UserError: for any other name, listing those that exist.
    """
    text = str(name)
    setting = SETTINGS.get(SHORT.get(text, text))
    if setting is None:
        short = ", ".join(f"{a} (= {b})" for a, b in SHORT.items())
        raise UserError(
            f"unknown setting '{text}'; the settings are {', '.join(PAPER)}, in short {short}; beside them nas-bench-201"
        )
    return setting
