"""Small data sets in the very layouts of the real ones, written by the tests."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CITIES = {"train": ("aachen", "bochum"), "val": ("frankfurt",)}


def picture(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """A smooth random colour image."""
    coarse = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)


def set_up(kind: Any, root: Path | str, **options: Any) -> Any:
    """A data set of a class over a folder, prepared; its samples are loaded by the test's own process."""
    data = kind(str(root), workers=0, **options)
    data.setup()
    return data


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


def write_video(path: Path, frames: int, key_every: int = 12, size: tuple[int, int] = (32, 48)) -> Path:
    """An MPEG-4 file in an AVI container, as HMDB51's; frame k is ``10 + 6 k`` bright, with noise."""
    import av

    rng = np.random.default_rng(frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30, options={"g": str(key_every), "sc_threshold": "1000000000"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_000_000
        for k in range(frames):
            picture = (10 + min(6 * k, 235) + rng.integers(-9, 10, (*size, 3))).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def make_hmdb51(root: Path) -> Path:
    """``videos`` and ``splits`` of two classes: three for training (the second longer), one for testing, one for neither."""
    for c in ("cartwheel", "wave"):
        lines = []
        for i, (frames, mark) in enumerate([(12, 1), (40, 1), (12, 1), (12, 2), (12, 0)]):
            name = f"film ({i})!_{c}_f_cm_np1_{mark}_{i}.avi"
            write_video(root / "videos" / c / name, frames)
            lines.append(f"{name} {mark} ")
        (root / "splits").mkdir(exist_ok=True)
        (root / "splits" / f"{c}_test_split1.txt").write_text("\n".join(lines) + "\n")
    return root


def make_ucf101(root: Path) -> Path:
    """``videos`` and ``splits`` of two classes: two training videos and one for testing in each."""
    (root / "splits").mkdir(parents=True)
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for label, c in enumerate(("Archery", "HandstandWalking"), start=1):
        for i in range(3):
            name = f"{c}/v_{c}_g0{i}_c01.avi"
            write_video(root / "videos" / name, 10)
            lists["train" if i else "test"].append(f"{name} {label}" if i else name)
    for part, lines in lists.items():
        (root / "splits" / f"{part}list01.txt").write_text("\n".join(lines) + "\n")
    return root


def make_kitti(root: Path, train: int = 4, val: int = 2) -> Path:
    """``training/{velodyne,label_2,calib,image_2}`` and ``ImageSets``: a car, a pedestrian and a cyclist full of points each."""
    rng = np.random.default_rng(3)
    parts = ("velodyne", "label_2", "calib", "image_2")
    for part in parts:
        (root / "training" / part).mkdir(parents=True)
    sizes = {"Car": (1.5, 1.6, 3.9), "Pedestrian": (1.7, 0.6, 0.8), "Cyclist": (1.7, 0.6, 1.8)}  # height, width, length
    for i in range(train + val):
        lines, points = [], [rng.uniform((0, -30, -1.8, 0), (60, 30, -1.6, 1), (500, 4))]
        for k, (name, (height, width, length)) in enumerate(sizes.items()):
            x, z, low = -6 + 6 * k + rng.uniform(-1, 1), rng.uniform(10, 40), 1.7  # camera: to the right, ahead, down
            box = (
                621 + 700 * (x - 2) / z,
                187 + 700 * (low - height) / z,
                621 + 700 * (x + 2) / z,
                187 + 700 * low / z,
            )
            numbers = (0, 0, 0, *box, height, width, length, x, low, z, -1.57)
            lines.append(f"{name} " + " ".join(f"{number:.2f}" for number in numbers))
            middle = np.array([z, -x, height / 2 - low, 0.5])  # LiDAR: ahead, to the left, up
            points.append(middle + rng.uniform(-0.5, 0.5, (60, 4)) * (length, width, height, 1))
        lines.append("DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10")
        folder, name = root / "training", f"{i:06d}"
        (folder / "velodyne" / f"{name}.bin").write_bytes(np.concatenate(points).astype("<f4").tobytes())
        (folder / "label_2" / f"{name}.txt").write_text("\n".join(lines) + "\n")
        (folder / "calib" / f"{name}.txt").write_text(
            "P2: 700 0 621 0 0 700 187 0 0 0 1 0\nR0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0\n"
        )
        Image.new("RGB", (1242, 375)).save(folder / "image_2" / f"{name}.png")
    (root / "ImageSets").mkdir()
    names = [f"{i:06d}\n" for i in range(train + val)]
    (root / "ImageSets" / "train.txt").write_text("".join(names[:train]))
    (root / "ImageSets" / "val.txt").write_text("".join(names[train:]))
    return root


def make_own_images(root: Path, classes: tuple[str, ...] = ("ash", "elm", "oak"), count: int = 6) -> Path:
    """``CLASS/*.jpg`` of differing sizes."""
    rng = np.random.default_rng(4)
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(count):
            picture(rng, 40 + i, 52).save(root / name / f"{i:02d}.jpg")
    return root


def make_own_masks(root: Path, count: int = 8, size: tuple[int, int] = (48, 64)) -> Path:
    """``images/*.png`` and ``masks/*.png`` of three classes (0: ground, 1: a box, 2: a strip), with a border of 255."""
    rng = np.random.default_rng(5)
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for i in range(count):
        picture(rng, *size).save(root / "images" / f"{i:03d}.png")
        Image.fromarray(own_mask(i, size)).save(root / "masks" / f"{i:03d}.png")
    return root


def own_mask(number: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """The mask of that number."""
    mask = np.zeros(size, dtype=np.uint8)
    mask[8:24, 4 + number : 24 + number], mask[36:], mask[:2] = 1, 2, 255
    return mask


def make_own_videos(root: Path, ending: str = "avi", count: int = 4) -> Path:
    """``CLASS/*`` of two classes."""
    for name in ("jump", "wave"):
        for i in range(count):
            write_video(root / name / f"{i}.{ending}", 10 + i)
    return root


def make_own_frames(root: Path, count: int = 6) -> Path:
    """KITTI's layout at the top of the folder, with forklifts, workers and carts in the place of its classes, and no lists."""
    made = make_kitti(root.with_name(f"{root.name}-kitti"), count - 2, 2)
    (made / "training").rename(root)
    names = {"Car ": "Forklift ", "Pedestrian ": "Worker ", "Cyclist ": "Cart "}
    for path in (root / "label_2").iterdir():
        text = path.read_text()
        for old, new in names.items():
            text = text.replace(old, new)
        path.write_text(text)
    return root
