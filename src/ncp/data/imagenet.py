"""ImageNet in its ordinary layout (``train/<synset>/*``, ``val/<synset>/*``), whole or as one of the paper's subsets.

The paper's lists (section 3.3, appendix A.1) are not published, so the subsets are drawn here by a stated rule: the sorted
synsets are shuffled by the subset's seed and the first K are kept; in each, the sorted file names are shuffled by (seed,
synset) and the first M are kept. So the 10 classes are among the 50, and the 100 images among the 1,000. A file of synsets
replaces the first half of the rule. The chosen lists are written beside the run. What tools leave behind (names that begin with
a dot) is neither class nor image.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from ncp.data import transforms as T
from ncp.data.base import DataModule, Key, Sample, find_root, sample_rng
from ncp.data.images import SUFFIXES
from ncp.data.paths import PathList, folders, hidden
from ncp.data.problems import Problems
from ncp.errors import UserError
from ncp.files import printable, read_bytes, write_bytes


class Subset(NamedTuple):
    """The chosen classes and, for each, the training files (names inside the class's folder)."""

    synsets: list[str]
    files: dict[str, PathList]


def choose_subset(
    folder: Path,
    classes: int | None,
    images: int | None,
    seed: int = 0,
    synsets: Sequence[str] | None = None,
    problems: Problems | None = None,
) -> Subset:
    """Apply the rule above to ``folder`` (the train split).

    Args:
        folder: one folder per synset.
        classes: how many classes, None for all.
        images: training images per class, None for all.
        seed: of the choice.
        synsets: the classes to take instead of drawing them; what follows a space is ignored unless a folder is called so.
        problems: where classes without enough images are noted; None: they are raised here.

    Raises:
        UserError: when there are fewer classes or images than asked for, or a listed synset is absent.
    """
    present = folders(folder)
    if synsets is not None:
        chosen = [name if name in present else name.split()[0] for name in synsets]
        absent = [name for name in chosen if name not in present]
        if len(set(chosen)) != len(chosen):
            raise UserError(f"data.synsets must list synsets once each, found {len(chosen) - len(set(chosen))} twice")
        if absent:
            raise UserError(
                f"{len(absent)} of the {len(synsets)} listed synsets are not in '{printable(folder)}', "
                f"first: {printable(absent[0])}"
            )
    elif classes is None:
        chosen = present
    else:
        if classes > len(present):
            raise UserError(
                f"data.classes_kept={classes} asks for more classes than the {len(present)} in '{printable(folder)}'"
            )
        order = np.random.default_rng(seed).permutation(len(present))
        chosen = sorted(present[i] for i in order[:classes])
    if not chosen:
        raise UserError(f"'{printable(folder)}' holds no class folders (n01440764, ...)")
    noted = Problems(f"'{printable(folder)}'") if problems is None else problems
    files: dict[str, PathList] = {}
    for name in chosen:
        with noted.collecting():
            files[name] = _choose_files(folder / name, images, seed)
    if problems is None:
        noted.check()
    return Subset(chosen, files)


def _choose_files(folder: Path, images: int | None, seed: int) -> PathList:
    names = list_images(folder)
    if images is None:
        return PathList(names)
    if images > len(names):
        raise UserError(f"'{printable(folder)}' holds {len(names)} images, fewer than the {images} per class asked for")
    order = np.random.default_rng((seed, zlib.crc32(os.fsencode(folder.name)))).permutation(len(names))
    return PathList(sorted(names[i] for i in order[:images]))


def list_images(folder: Path) -> list[str]:
    """The image files in ``folder`` and below, sorted, relative to it, without hidden ones; ``UserError`` if there is none."""
    names = []
    for place, inner, files in os.walk(folder):
        inner[:] = [name for name in inner if not hidden(name)]
        below = os.path.relpath(place, folder)
        kept = [name for name in files if name.lower().endswith(SUFFIXES) and not hidden(name)]
        names += kept if below == "." else [f"{below}/{name}" for name in kept]
    if not names:
        raise UserError(f"'{printable(folder)}' holds no images ({', '.join(SUFFIXES)})")
    return sorted(names)


class ImageFiles(Dataset[Sample]):
    """Files with class numbers.

    A training item is ``{"image": (3, *size) uint8, "label": int}``, resized, cropped and flipped at random; an evaluation
    item the centre crop.

    Args:
        paths, labels: of the images.
        size, seed, train: of the crops, of the augmentation, and whether there is one.
        read: gives ``(C, H, W)`` uint8 of a path.
        scale: range of a random crop's area, as a share of the image.
        share: of the image's shorter side that the centre crop covers.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        labels: Sequence[int] | np.ndarray,
        size: T.Size,
        seed: int,
        train: bool,
        read: Callable[[Path], Tensor] = T.read_image,
        scale: tuple[float, float] = (0.08, 1.0),
        share: float = 0.875,
    ) -> None:
        self.paths = paths if isinstance(paths, PathList) else PathList(paths)
        self.labels = np.asarray(labels, dtype=np.int32)
        assert len(self.paths) == len(self.labels)
        self.size, self.seed, self.train = size, seed, train
        self.read, self.scale, self.share = read, scale, share

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: Key) -> Sample:
        image = self.read(Path(self.paths[key.item]))
        if self.train and key.epoch >= 0:
            rng = sample_rng(self.seed, key)
            (image,) = T.random_flip(rng, T.random_resized_crop(image, rng, self.size, self.scale))
        else:
            image = T.centre_crop(image, self.size, self.share)
        return {"image": image.contiguous(), "label": int(self.labels[key.item])}


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
        kept = (
            f"{classes_kept} classes" if classes_kept else "",
            f"{images_kept:,} images each" if images_kept else "",
        )
        self.source = ", ".join(part for part in ("ImageNet", *kept) if part)

    def prepare(self) -> None:
        """Choose the subset; validation takes every image of the chosen classes."""
        root = find_root(self.root, ("train", "val"), "ImageNet")
        problems = Problems(f"data.root='{printable(root)}'")
        listed = read_synsets(self.synsets_file) if self.synsets_file else None
        self.subset = choose_subset(
            root / "train", self.classes_kept, self.images_kept, self.subset_seed, listed, problems
        )
        self.classes = self.subset.synsets
        val_files = self._validation_files(root / "val", problems)
        problems.check()
        self.train_set = self._files(root / "train", self.subset.files, train=True)
        self.val_set = self._files(root / "val", val_files, train=False)

    def _validation_files(self, folder: Path, problems: Problems) -> dict[str, PathList]:
        absent = [name for name in self.classes if not (folder / name).is_dir()]
        if absent:
            problems.add(
                f"'{printable(folder)}' lacks {len(absent)} of the {len(self.classes)} chosen classes, first: "
                f"{printable(absent[0])}; validation images must lie in one folder per synset, as the training images do"
            )
        files: dict[str, PathList] = {}
        for name in self.classes:
            if name not in absent:
                with problems.collecting():
                    files[name] = PathList(list_images(folder / name))
        return files

    def _files(self, folder: Path, files: dict[str, PathList], train: bool) -> ImageFiles:
        paths = PathList.below((folder / name, files[name]) for name in self.classes)
        labels = np.repeat(np.arange(len(self.classes)), [len(files[name]) for name in self.classes])
        return ImageFiles(paths, labels, self.size, self.seed, train)

    def describe(self, folder: Path) -> None:
        """``synsets.txt`` (use it as ``data.synsets``) and ``train_images.txt``, names as the file system has them."""
        write_bytes(folder / "synsets.txt", os.fsencode("\n".join(self.subset.synsets) + "\n"))
        lines = [f"{name}/{file}" for name in self.subset.synsets for file in self.subset.files[name]]
        write_bytes(folder / "train_images.txt", os.fsencode("\n".join(lines) + "\n"))


def read_synsets(path: str) -> list[str]:
    """The lines of a text file of synsets, one a line; those that begin with # are comments."""
    try:
        text = os.fsdecode(read_bytes(Path(path).expanduser()))
    except UserError as error:
        raise UserError(f"cannot read data.synsets='{printable(path)}': {error}") from None
    names = [line.strip() for line in text.split("\n") if line.strip() and not line.startswith("#")]
    if not names or len(set(names)) != len(names):
        raise UserError(f"data.synsets='{printable(path)}' must list synsets once each, found {len(names)} lines")
    return names
