"""Point files: KITTI's four floats a point are read, every other layout is told from them and named."""

import os
from pathlib import Path

import numpy as np
import pytest

from ncp.data import kitti_points as kp
from ncp.errors import UserError


def _cloud(count: int, width: int, seed: int = 0, kind: str = "street") -> np.ndarray:
    """Points of ``width`` numbers: x, y, z, reflectance, and what other makers add (ring, time, normals)."""
    rng = np.random.default_rng(seed)
    if kind == "street":
        place = rng.uniform((0, -30, -1.8), (60, 30, 1.0), (count, 3))
    elif kind == "round":  # all around, from the beams of one turn
        angle, far = np.linspace(0, 2 * np.pi, count), rng.gamma(2, 9, count)
        place = np.column_stack([far * np.cos(angle), far * np.sin(angle), rng.normal(-1, 0.6, count)])
    else:
        place = rng.normal(0, (20, 20, 1), (count, 3))
    light = rng.integers(0, 256, count) if kind == "bytes" else rng.uniform(0, 1, count)
    ring, time = np.arange(count) % 64, np.sort(rng.uniform(0, 0.1, count))
    others = [ring, time, *rng.normal(0, 0.5, (2, count))]
    return np.column_stack([place, light, *others])[:, :width].astype("<f4")


def _write(folder: Path, values: np.ndarray) -> Path:
    path = folder / "000000.bin"
    path.write_bytes(values.tobytes())
    return path


@pytest.mark.parametrize("kind", ["street", "round", "normal", "bytes"])
@pytest.mark.parametrize("count", [0, 1, 5, 840, 4200])
def test_kittis_own_layout_is_read(tmp_path: Path, kind: str, count: int) -> None:
    points = _cloud(count, 4, kind=kind)  # 840 and 4,200 points are whole numbers of points of every other width too
    path = _write(tmp_path, points)
    found, bad = kp.read_points(path)
    np.testing.assert_array_equal(found, points)
    assert bad == 0
    assert kp.file_problem(path, path.stat().st_size) is None


@pytest.mark.parametrize("kind", ["street", "round", "normal", "bytes"])
@pytest.mark.parametrize(
    ("width", "count"), [(5, 1000), (5, 80), (5, 40_000), (3, 1000), (3, 120), (6, 1000), (7, 1000), (8, 1000)]
)
def test_other_layouts_are_named(tmp_path: Path, kind: str, width: int, count: int) -> None:
    """Their sizes are whole numbers of KITTI's points as well: a thousand of five numbers would be read as 1,250."""
    path = _write(tmp_path, _cloud(count, width, kind=kind))
    size = path.stat().st_size
    assert size % 16 == 0
    with pytest.raises(UserError, match=f"look like {count:,} points of {width} numbers") as caught:
        kp.read_points(path)
    assert str(path) in str(caught.value)
    assert f"{size // 16:,} would be read" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert kp.file_problem(path, size) == str(caught.value)


@pytest.mark.parametrize("fifth", ["zeros", "ones", "reflectance again", "ring", "label"])
def test_what_the_fifth_number_is_does_not_matter(tmp_path: Path, fifth: str) -> None:
    points = _cloud(1000, 4)
    column = {
        "zeros": np.zeros(1000), "ones": np.ones(1000), "reflectance again": points[:, 3],
        "ring": np.repeat(np.arange(50), 20), "label": np.random.default_rng(1).integers(0, 20, 1000),
    }[fifth]  # fmt: skip
    path = _write(tmp_path, np.column_stack([points, column]).astype("<f4"))
    with pytest.raises(UserError, match="look like 1,000 points of 5 numbers"):
        kp.read_points(path)


def test_sizes_that_are_no_whole_number_of_points(tmp_path: Path) -> None:
    path = _write(tmp_path, _cloud(3, 5))  # 60 bytes, too few to look at
    with pytest.raises(UserError, match=r"60 bytes are no whole number .* has it 3 or 5 numbers a point"):
        kp.read_points(path)
    path.write_bytes(_cloud(100, 4).tobytes()[:-1])
    with pytest.raises(UserError, match=r"1599 bytes are no whole number of points .*; is the file cut off"):
        kp.read_points(path)


def test_other_kinds_of_numbers_and_files(tmp_path: Path) -> None:
    path = _write(tmp_path, _cloud(1000, 4).astype("<f8"))
    with pytest.raises(UserError, match=r"have coordinates above 10,000 m or below 0.1 mm; .*no 8-byte ones"):
        kp.read_points(path)
    path.write_bytes(_cloud(1000, 4).astype(">f4").tobytes())
    with pytest.raises(UserError, match=r"000000.bin: "):
        kp.read_points(path)
    text = "# .PCD v0.7 - Point Cloud Data\n" + "".join(f"{x:.4f} {y:.4f}\n" for x, y in _cloud(900, 2).tolist())
    path.write_bytes(text.encode()[: len(text) // 16 * 16])
    with pytest.raises(UserError, match=r"no text or PCD file"):
        kp.read_points(path)


@pytest.mark.parametrize("beams", [2, 16, 64])
def test_beams_in_firing_order_are_no_points_of_eight_numbers(beams: int) -> None:
    """A turning LiDAR fires a low beam, a high beam, a low one: even and odd points differ, and are points all the same."""
    low, high = np.deg2rad(np.linspace(-20, -4, beams // 2)), np.deg2rad(np.linspace(-3, 9, beams // 2))
    number = np.arange(840)
    up = np.stack([low, high], 1).ravel()[number % beams]
    far = np.where(up < 0, np.minimum(1.73 / np.maximum(np.sin(-up), 0.05), 30.0), 22.0)
    across = number // beams * 0.01
    points = np.stack(
        [far * np.cos(up) * np.cos(across), far * np.cos(up) * np.sin(across), far * np.sin(up), up < 0], 1
    )
    assert kp.likely_width(points.astype("<f4").ravel(), 840 * 64) is None


def test_real_points_in_other_layouts(shared: Path, tmp_path: Path) -> None:
    """Three frames of a real LiDAR, as they are and rewritten, from many places in the file."""
    for source in sorted((shared / "kitti_sample" / "training" / "velodyne").glob("*.bin")):
        points = np.fromfile(source, "<f4").reshape(-1, 4)
        every = 4 * 840 * 16  # bytes that are whole points of all widths
        for start in range(0, len(points) - 840, 5000):
            part = points[start : start + 840]
            assert kp.likely_width(part.ravel(), every) is None
            ring = np.column_stack([part, np.arange(840) // 210])
            assert kp.likely_width(ring.ravel(), every) == 5
            assert kp.likely_width(part[:, :3].ravel(), every) == 3


def test_numbers_that_are_not_finite_are_left_out_and_counted(tmp_path: Path) -> None:
    points = _cloud(840, 4)
    points[::7, 2], points[1, 0] = np.nan, np.inf
    found, bad = kp.read_points(_write(tmp_path, points))
    assert (len(found), bad) == (840 - 121, 121)
    assert np.isfinite(found).all()


def test_pipes_folders_missing_and_huge_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.bin")
    huge = tmp_path / "huge.bin"
    huge.touch()
    os.truncate(huge, 2**40)  # takes no room on the disk
    for name, message in (
        ("pipe.bin", "no regular file"),
        ("none.bin", "there is no file"),
        (".", "is a folder"),
        ("huge.bin", "1,099,511,627,776 bytes; at most 268,435,456"),
    ):
        with pytest.raises(UserError, match=f"cannot read the points: .*{message}"):
            kp.read_points(tmp_path / name)
    assert "at most 268,435,456 are read" in str(kp.file_problem(huge, 2**40))
