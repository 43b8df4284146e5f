"""ImageNet in its ordinary layout (``train/<synset>/*``, ``val/<synset>/*``), whole or as one of the paper's subsets.

The paper's lists (section 3.3, appendix A.1) are not published, so the subsets are drawn here by a stated rule: the sorted
synsets are shuffled by the subset's seed and the first K are kept; in each, the sorted file names are shuffled by (seed,
synset) and the first M are kept. So the 10 classes are among the 50, and the 100 images among the 1,000. A file of synsets
replaces the first half of the rule. The chosen lists are written beside the run.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import Dataset

from ncp.data import transforms as T
from ncp.data.base import DataModule, Key, Sample, find_root, sample_rng
from ncp.errors import UserError

SUFFIXES = {".jpeg", ".jpg", ".png"}


class Subset(NamedTuple):
    """The chosen classes and, for each, the training files (names inside the class's folder)."""

    synsets: list[str]
    files: dict[str, list[str]]


def choose_subset(
    folder: Path, classes: int | None, images: int | None, seed: int = 0, synsets: Sequence[str] | None = None
) -> Subset:
    """Apply the rule above to ``folder`` (the train split).

    Args:
        folder: one folder per synset.
        classes: how many classes, None for all.
        images: training images per class, None for all.
        seed: of the choice.
        synsets: the classes to take instead of drawing them.

    Raises:
        UserError: when there are fewer classes or images than asked for, or a listed synset is absent.
    """
    present = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if synsets is not None:
        absent = [name for name in synsets if name not in present]
        if absent:
            raise UserError(
                f"{len(absent)} of the {len(synsets)} listed synsets are not in '{folder}', first: {absent[0]}"
            )
        chosen = list(synsets)
    elif classes is None:
        chosen = present
    else:
        if classes > len(present):
            raise UserError(f"data.classes_kept={classes} asks for more classes than the {len(present)} in '{folder}'")
        order = np.random.default_rng(seed).permutation(len(present))
        chosen = sorted(present[i] for i in order[:classes])
    return Subset(chosen, {name: _choose_files(folder / name, images, seed) for name in chosen})


def _choose_files(folder: Path, images: int | None, seed: int) -> list[str]:
    names = list_images(folder)
    if images is None:
        return names
    if images > len(names):
        raise UserError(f"'{folder}' holds {len(names)} images, fewer than the {images} per class asked for")
    order = np.random.default_rng((seed, zlib.crc32(folder.name.encode()))).permutation(len(names))
    return sorted(names[i] for i in order[:images])


def list_images(folder: Path) -> list[str]:
    """The image files in ``folder`` and below, sorted, relative to it; ``UserError`` if there is none."""
    found = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    names = sorted(str(p.relative_to(folder)) for p in found)
    if not names:
        raise UserError(f"'{folder}' holds no images ({', '.join(sorted(SUFFIXES))})")
    return names


class ImageFiles(Dataset[Sample]):
    """Files with class numbers.

    A training item is ``{"image": (3, *size) uint8, "label": int}``, resized, cropped and flipped at random; an evaluation
    item the centre crop.
    """

    def __init__(self, paths: Sequence[Path], labels: Sequence[int], size: T.Size, seed: int, train: bool) -> None:
        self.paths, self.labels, self.size, self.seed, self.train = [str(p) for p in paths], labels, size, seed, train

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: Key) -> Sample:
        image = T.read_image(Path(self.paths[key.item]))
        if self.train and key.epoch >= 0:
            rng = sample_rng(self.seed, key)
            (image,) = T.random_flip(rng, T.random_resized_crop(image, rng, self.size))
        else:
            image = T.centre_crop(image, self.size)
        return {"image": image.contiguous(), "label": self.labels[key.item]}


class ImageNet(DataModule):
    """Classification on ImageNet.

    Args:
        root: folder with ``train`` and ``val``.
        classes_kept: number of classes K (None: all).
        images_kept: training images per class M (None: all).
        subset_seed: of the choice of classes and images, apart from the run's seed.
        synsets: a text file with one synset a line, instead of drawing them.
        size: side of the network's input in pixels.
        common: see :class:`ncp.data.base.DataModule`.
    """

    task = "cls"

    def __init__(
        self,
        root: str | None = None,
        *,
        classes_kept: int | None = None,
        images_kept: int | None = None,
        subset_seed: int = 0,
        synsets: str | None = None,
        size: int = 224,
        eval_batch: int = 100,
        **common: Any,
    ) -> None:
        super().__init__(eval_batch=eval_batch, **common)
        if self.tiny:
            classes_kept, images_kept, size = 2, 2, 32
        self.root, self.synsets_file = root, synsets
        self.classes_kept, self.images_kept, self.subset_seed = classes_kept, images_kept, subset_seed
        self.size = self.eval_size = (size, size)
        self.subset = Subset([], {})

    def prepare(self) -> None:
        """Choose the subset; validation takes every image of the chosen classes."""
        root = find_root(self.root, ("train", "val"), "ImageNet")
        listed = read_synsets(self.synsets_file) if self.synsets_file else None
        self.subset = choose_subset(root / "train", self.classes_kept, self.images_kept, self.subset_seed, listed)
        if not self.subset.synsets:
            raise UserError(f"'{root / 'train'}' holds no class folders (n01440764, ...)")
        self.classes = self.subset.synsets
        absent = [name for name in self.classes if not (root / "val" / name).is_dir()]
        if absent:
            raise UserError(
                f"'{root / 'val'}' lacks {len(absent)} of the {len(self.classes)} chosen classes, first: {absent[0]}; "
                "validation images must lie in one folder per synset, as the training images do"
            )
        self.train_set = self._files(root / "train", self.subset.files, train=True)
        val_files = {name: list_images(root / "val" / name) for name in self.classes}
        self.val_set = self._files(root / "val", val_files, train=False)

    def _files(self, folder: Path, files: dict[str, list[str]], train: bool) -> ImageFiles:
        pairs = [(folder / name / file, i) for i, name in enumerate(self.classes) for file in files[name]]
        return ImageFiles([p for p, _ in pairs], [i for _, i in pairs], self.size, self.seed, train)

    def describe(self, folder: Path) -> None:
        """``synsets.txt`` (use it as ``data.synsets``) and ``train_images.txt``."""
        (folder / "synsets.txt").write_text("\n".join(self.subset.synsets) + "\n")
        lines = [f"{name}/{file}" for name in self.subset.synsets for file in self.subset.files[name]]
        (folder / "train_images.txt").write_text("\n".join(lines) + "\n")


def read_synsets(path: str) -> list[str]:
    """The synsets of a text file (one a line, what follows a space is ignored)."""
    try:
        lines = Path(path).expanduser().read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read data.synsets='{path}': {type(error).__name__}") from None
    names = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    if not names or len(set(names)) != len(names):
        raise UserError(f"data.synsets='{path}' must list synsets once each, found {len(names)} lines")
    return names
