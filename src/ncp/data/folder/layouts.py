"""How a user's folder is laid out, by a look at its first names: for which task, and what to say where another was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ncp.data.folder import reading
from ncp.data.folder.files import holds
from ncp.data.folder.splits import split_folders
from ncp.data.paths import folders
from ncp.data.video_index import VIDEOS

# what the two folders of a segmentation set are called
IMAGES = ("images", "image", "imgs", "img", "jpegimages")
MASKS = ("masks", "mask", "labels", "label", "annotations", "segmentationclass", "gt")
TABLE = "videos.csv"


def named(folder: Path, names: Sequence[str]) -> str | None:
    """The folder in ``folder`` that has one of these names in any spelling of case; None where none does."""
    try:
        there = {name.lower(): name for name in folders(folder)}
    except OSError:
        return None
    return next((there[name] for name in names if name in there), None)


def holds_classes(folder: Path, suffixes: Sequence[str] = reading.SUFFIXES) -> bool:
    """Whether a folder looks like a set of files in folders of classes, or split folders of such."""
    try:
        splits = split_folders(folder)
    except OSError:
        return False
    if not splits:
        return _class_folders(folder, suffixes)
    return "train" in splits and _class_folders(folder / splits["train"], suffixes)


def _class_folders(folder: Path, suffixes: Sequence[str]) -> bool:
    """Whether at least two folders hold such files."""
    try:
        names = folders(folder)[:50]
    except OSError:
        return False
    return sum(holds(folder / name, suffixes) for name in names) >= 2


def holds_masks(folder: Path) -> bool:
    """Whether a folder looks like a segmentation set."""
    if named(folder, IMAGES) and named(folder, MASKS):
        return True
    try:
        splits = split_folders(folder)
    except OSError:
        return False
    return "train" in splits and bool(named(folder / splits["train"], IMAGES))


def holds_videos(folder: Path) -> bool:
    """Whether a folder looks like a set of videos."""
    return (folder / TABLE).is_file() or holds_classes(folder, VIDEOS)


def frames_folder(root: Path) -> Path | None:
    """Where the files of LiDAR frames lie: ``training`` below the root, or the root; None where there are none."""
    return next((place for place in (root / "training", root) if (place / "velodyne").is_dir()), None)


def holds_frames(folder: Path) -> bool:
    """Whether a folder looks like a set of LiDAR frames."""
    return frames_folder(folder) is not None


# task -> whether a folder looks like a set of it, and what to call one; the plainest signs first
_LAYOUTS: dict[str, tuple[Callable[[Path], bool], str]] = {
    "det3d": (holds_frames, "LiDAR frames (velodyne)"),
    "seg": (holds_masks, "images with masks"),
    "video": (holds_videos, "videos in folders of classes"),
    "cls": (holds_classes, "images in folders of classes"),
}


def other_task(root: Path, task: str) -> str:
    """What to say of a root that is laid out for another task than ``task``; nothing where it is for none."""
    for name, (fits, what) in _LAYOUTS.items():
        if name != task and fits(root):
            return f"; it looks like {what}: give task={name}"
    return ""
