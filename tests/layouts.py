"""Small data sets in the very layouts of the real ones, written by the tests."""

from pathlib import Path

import numpy as np
from PIL import Image

CITIES = {"train": ("aachen", "bochum"), "val": ("frankfurt",)}


def picture(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """A smooth random colour image."""
    coarse = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)


def make_imagenet(root: Path, classes: int = 4, train: int = 3, val: int = 2, side: tuple[int, int] = (40, 52)) -> Path:
    """``train/<synset>/<synset>_<n>.JPEG`` and ``val/<synset>/ILSVRC2012_val_<n>.JPEG``."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for c in range(classes):
            synset = f"n{1440764 + 17 * c:08d}"
            folder = root / split / synset
            folder.mkdir(parents=True)
            for i in range(count):
                name = f"{synset}_{i}.JPEG" if split == "train" else f"ILSVRC2012_val_{100 * c + i:08d}.JPEG"
                picture(rng, *side).save(folder / name, "JPEG")
    return root


def make_cityscapes(root: Path, size: tuple[int, int] = (64, 128), frames: int = 2) -> Path:
    """``leftImg8bit`` and ``gtFine`` with labelIds 0..33."""
    rng = np.random.default_rng(1)
    for split, cities in CITIES.items():
        for city in cities:
            for i in range(frames):
                stem = f"{city}_{i:06d}_{19 * i:06d}"
                image = root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png"
                label = root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png"
                for path in (image, label):
                    path.parent.mkdir(parents=True, exist_ok=True)
                picture(rng, *size).save(image)
                ids = rng.integers(0, 34, (size[0] // 8, size[1] // 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
                Image.fromarray(ids).save(label)
    return root


def make_ade20k(root: Path, count: int = 3) -> Path:
    """``images`` and ``annotations`` of differing sizes, labels 0..150, and the table of names."""
    rng = np.random.default_rng(2)
    for split, name in (("training", "train"), ("validation", "val")):
        for i in range(count):
            height, width = 48 + 8 * i, 72
            image = root / "images" / split / f"ADE_{name}_{i + 1:08d}.jpg"
            label = root / "annotations" / split / f"ADE_{name}_{i + 1:08d}.png"
            for path in (image, label):
                path.parent.mkdir(parents=True, exist_ok=True)
            picture(rng, height, width).save(image, "JPEG")
            Image.fromarray(rng.integers(0, 151, (height, width), dtype=np.uint8)).save(label)
    names = [f"{i + 1}\t0.1\t1\t1\tthing {i + 1}, other word" for i in range(150)]
    (root / "objectInfo150.txt").write_text("Idx\tRatio\tTrain\tVal\tName\n" + "\n".join(names) + "\n")
    return root
