"""The built-in indoor scenes as a data set: drawn once from a seed, kept in the cache, read from there."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncp.data.base import to_tensor
from ncp.data.indoor.names import OBJECTS, PALETTE, SCENES, SEMANTIC, SOFT_SCENES
from ncp.data.indoor.scenes import LAYOUT_MEAN, LAYOUT_STD, draw_scene
from ncp.data.sealed import cache_folder, sealed_folder
from ncp.data.views import ViewData, stored
from ncp.errors import UserError
from ncp.terminal import Progress

log = logging.getLogger(__name__)
_VERSION = "4"  # of the scenes: another version is another cache
SPLITS = ("train", "val", "test")
# file and shape of a scene's part
_FILES = {"image": 3, "normal": 3, "semantic": 1}


def draw_set(folder: Path, scenes: int, seed: int, split: str, size: tuple[int, int]) -> None:
    """Draw the scenes ``0 .. scenes - 1`` of a split into arrays ``.npy``; a scene does not depend on their number."""
    planes = {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", "w+", np.uint8, (scenes, 3, *size) if channels == 3 else (scenes, *size)
        )
        for name, channels in _FILES.items()
    }
    rows: dict[str, list[Any]] = {"objects": [], "scene": [], "layout": []}
    with Progress(f"Drawing {scenes:,} indoor scenes once", scenes) as bar:
        for i in range(scenes):
            drawn = draw_scene(np.random.default_rng((seed, SPLITS.index(split), i)), size)
            for name, plane in planes.items():
                plane[i] = getattr(drawn, name)
            for name, values in rows.items():
                values.append(getattr(drawn, name))
            bar.tell(i + 1)
    for plane in planes.values():
        plane.flush()
    for name, values in rows.items():
        np.save(folder / f"{name}.npy", np.array(values))


class DrawnScenes:
    """Scenes in a folder that :func:`draw_set` has filled; see :class:`ncp.data.views.Source`.

    Args:
        folder: of the arrays.
        labels: that items have.
    """

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        self.planes = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _FILES}
        self.rows: dict[str, np.ndarray] = {
            "class_object": np.load(folder / "objects.npy"),
            "class_scene": SOFT_SCENES[np.load(folder / "scene.npy")],
            "room_layout": np.load(folder / "layout.npy"),
        }
        self.labels = stored(labels)

    def __len__(self) -> int:
        return len(self.planes["image"])

    def __getitem__(self, index: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        truth = {name: self._label(name, index) for name in self.labels}
        return self._plane("image", index), truth

    def _label(self, name: str, index: int) -> Tensor:
        if name in self.rows:
            return torch.from_numpy(self.rows[name][index].copy())
        return self._plane({"segmentsemantic": "semantic", "normal": "normal"}[name], index)

    def _plane(self, name: str, index: int) -> Tensor:
        return to_tensor(self.planes[name][index].copy())


class Indoor(ViewData):
    """Indoor scenes with the labels of all seven tasks.

    Args:
        labels: one or several of the seven tasks (see :class:`ncp.data.views.ViewData`).
        scenes, val_scenes, test_scenes: how many of each split.
        size: side of a scene in pixels.
        scene_seed: of the scenes, apart from the run's seed.
        training_macs: a training ends after so many multiply-adds, so that a large network takes no longer than a small
            one; None for the recipe's length whatever the network.
        cache: where the scenes go; None: the user's cache folder.
        common: see :class:`ncp.data.views.ViewData`.
    """

    builtin = True
    notice = (
        "data: the built-in indoor scenes (procedural, 12 kinds of rooms, 28 objects, 17 semantic classes); for Taskonomy: "
        "data=taskonomy data.root=<folder of buildings>"
    )
    source = "built-in indoor scenes"
    palette = PALETTE
    layout_mean, layout_std = LAYOUT_MEAN, LAYOUT_STD

    def __init__(
        self,
        *,
        labels: str | Sequence[str] = "class_scene",
        scenes: int = 6000,
        val_scenes: int = 400,
        test_scenes: int = 400,
        size: int = 64,
        scene_seed: int = 2022,
        training_macs: float | None = None,
        cache: str | None = None,
        eval_batch: int = 50,
        **common: Any,
    ) -> None:
        super().__init__(labels=labels, size=size, eval_batch=eval_batch, **common)
        if self.tiny:
            scenes, val_scenes, test_scenes = 4, 2, 2
        if min(scenes, val_scenes, test_scenes) < 1:
            raise UserError(
                "data.scenes, data.val_scenes and data.test_scenes must be at least 1, given were "
                f"{scenes}, {val_scenes} and {test_scenes}"
            )
        self.counts = {"train": scenes, "val": val_scenes, "test": test_scenes}
        self.scene_seed, self.training_macs, self.cache = scene_seed, training_macs, cache

    def names(self, label: str) -> Sequence[str]:
        """As in the base; of the sets' own labels their classes."""
        known = {"class_object": OBJECTS, "class_scene": SCENES, "segmentsemantic": SEMANTIC}
        return known[label] if label in known else super().names(label)

    def prepare(self) -> None:
        """Read the scenes, drawing them first where the cache lacks them (a few ms a scene)."""
        self.train_set, self.val_set = (
            self.views(DrawnScenes(self._drawn(split), self.labels)) for split in ("train", self.split)
        )

    def _drawn(self, split: str) -> Path:
        """The folder of a split's scenes, whole."""
        count, size = self.counts[split], (self.side, self.side)
        identity = f"{_VERSION} {split} {count} {self.scene_seed} {size}"
        folder = cache_folder(self.cache) / f"indoor-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
        return sealed_folder(
            folder, lambda part: draw_set(part, count, self.scene_seed, split, size), "the built-in indoor scenes"
        )
