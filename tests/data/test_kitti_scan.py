"""Splits and frames of a KITTI folder: every fault is named with file and line, all of them at once, before a training begins."""

import logging
import os
import re
import time
from pathlib import Path

import layouts
import numpy as np
import pytest
import torch

from ncp.data.base import Key
from ncp.data.kitti import Kitti, frames_of
from ncp.data.kitti_scan import read_frames, read_split
from ncp.errors import UserError
from ncp.metrics.detection import KittiScores

NAMES = [f"{i:06d}" for i in range(4)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return layouts.make_kitti(tmp_path / "kitti", train=3, val=1)


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def _refused(root: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_frames(root, NAMES)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_good_folder_is_read_without_a_word(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = read_frames(root, NAMES)
    assert [frame.name for frame in frames] == NAMES
    assert [frame.image for frame in frames] == [(375, 1242)] * 4
    assert [frame.objects.types.tolist() for frame in frames] == [["Car", "Pedestrian", "Cyclist", "DontCare"]] * 4
    assert caplog.text == ""
    assert frames[0].calibration is frames[3].calibration  # equal files are kept once


# --- splits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "..",
        "00 0001",
        "²",
        "٣",
        "x",
        "000001.bin",
        "-1",
        "\x1b[31m",
        "0" * 30,
    ],
)
def test_names_of_frames_are_plain_numbers(root: Path, line: str) -> None:
    (root / "ImageSets" / "train.txt").write_text(f"000000\n\n{line}\n", encoding="utf-8")
    if line == "00 0001":
        assert read_split(root, "ImageSets/train.txt") == ["000000", "00", "0001"]
        return
    with pytest.raises(UserError, match=r"train\.txt', line 3, holds '.*', which is no frame number") as caught:
        read_split(root, "ImageSets/train.txt")
    assert "\x1b" not in str(caught.value)


def test_split_files_of_every_kind(root: Path) -> None:
    path = root / "ImageSets" / "train.txt"
    path.write_bytes(b"\xef\xbb\xbf000000\r\n000002\r\n")  # as some editors on Windows write it
    assert read_split(root, "ImageSets/train.txt") == ["000000", "000002"]
    path.write_bytes(b"\xff\xfe0\x000\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_split(root, "ImageSets/train.txt")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match="no regular file"):
        read_split(root, "ImageSets/train.txt")


def test_every_frame_means_no_hidden_files(root: Path) -> None:
    (root / "training" / "velodyne" / "._000001.bin").write_bytes(b"Mac OS X")
    assert read_split(root, "all") == NAMES
    with pytest.raises(UserError, match=r"velodyne' holds no frames"):
        read_split(root / "ImageSets", "all")
    (root / "training" / "velodyne" / "a\x1bb.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"the name of a frame .* cannot be part of a path"):
        read_split(root, "all")


# --- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (8, "0", "height of a Car is 0 m, it must be above 0 and at most 100"),
        (8, "-1", "height of a Car is -1 m"),
        (9, "0.00", "width of a Car is 0 m"),
        (10, "-3.9", "length of a Car is -3.9 m"),
        (10, "390", "length of a Car is 390 m"),
        (8, "nan", "height is nan, it must be finite"),
        (8, "inf", "height is inf, it must be finite"),
        (9, "1e300", "width is 1e300, it must be within 1,000,000 of 0"),
        (11, "-1000", "x of a Car is -1000 m, it must be nearer than 1,000 m"),
        (13, "99999", "z of a Car is 99999 m"),
        (14, "-10", "rotation_y of a Car is -10, it must be an angle in radians"),
        (14, "90", "rotation_y of a Car is 90"),
        (8, "tall", "'tall' for height is not a number"),
    ],
)
def test_boxes_that_are_none_are_named_with_their_line(root: Path, column: int, value: str, message: str) -> None:
    path = root / "training" / "label_2" / "000002.txt"
    lines = path.read_text().splitlines()
    words = lines[0].split()
    words[column] = value
    path.write_text("\n".join([lines[1], "", " ".join(words), *lines[2:]]) + "\n")
    found = _refused(root)
    assert found.startswith(f"{path}, line 3: ")
    assert message in found


def test_other_types_may_have_no_box(root: Path) -> None:
    path = root / "training" / "label_2" / "000002.txt"
    for kind in ("Van", "Misc", "Truck"):
        path.write_text(path.read_text() + f"{kind} -1 -1 -10 5 5 9 9 -1 -1 -1 -1000 -1000 -1000 -10\n")
    assert len(read_frames(root, NAMES)[2].objects) == 7
    path.write_text("cAR 0 0 0 5 5 9 9 0 1 3 1 1 9 0\n")  # any spelling is a car
    assert "height of a cAR is 0 m" in _refused(root)


def test_more_wrong_lines_of_a_file_are_counted(root: Path) -> None:
    (root / "training" / "label_2" / "000001.txt").write_text("Car 1\nCar 2\nCar 3\n")
    assert _refused(root).endswith(
        "000001.txt, line 1: 2 columns, a label (15 columns, no score) has 15 (and 2 more lines of this file)"
    )


def test_empty_label_files_are_frames_without_objects(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "training" / "label_2" / "000001.txt").write_text("\n  \n")
    assert [len(frame.objects) for frame in read_frames(root, NAMES)] == [4, 0, 4, 4]
    assert "1 of 4 label files are empty" in caplog.text


def test_labels_without_boxes_in_the_image_count_by_the_projected_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Perfect detections have the same AP with the image boxes of the labels and without them; it is said how."""
    scores = []
    for with_boxes in (True, False):
        root = layouts.make_kitti(tmp_path / str(with_boxes), train=1, val=12)
        if not with_boxes:
            for path in (root / "training" / "label_2").iterdir():
                lines = [line.split() for line in path.read_text().splitlines()]
                known = [[*w[:4], "0", "0", "0", "0", *w[8:]] if w[0] != "DontCare" else w for w in lines]
                path.write_text("".join(" ".join(w) + "\n" for w in known))
        caplog.clear()
        data = Kitti(root=root, counts=None, workers=0)
        data.setup()
        assert ("36 labelled objects have no box in the image" in caplog.text) == (not with_boxes)
        frames = frames_of(data.val_set)
        metric = KittiScores(frames)
        for index in range(len(frames)):
            sample = data.val_set[Key(-1, index)]
            metric.update(index, sample["boxes"], sample["labels"], torch.full((3,), 0.5 + 0.01 * index))
        scores.append({name: value for name, value in metric.compute().items() if "AOS" not in name})
    assert scores[0] == scores[1]
    assert min(scores[0].values()) > 20


# --- calibrations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("P2: 700 0 621", "P2: 0 0 621", "line 1: P2 projects nothing"),
        ("P2: 700 0 621", "P2: -700 0 621", "line 1: P2 projects nothing"),
        ("0 0 1 0\nR0", "0 0 0 0\nR0", "line 1: P2 projects nothing"),
        ("P2: 700", "P2: 7e300", "line 1: P2 holds 7e\\+300; numbers up to 1,000,000 are read"),
        ("P2: 700", "P2: inf", "line 1: P2 needs 12 finite numbers"),
        ("R0_rect: 1 0 0", "R0_rect: 2 0 0", "line 2: R0_rect is not a rotation"),
        ("R0_rect: 1 0 0 0 1 0 0 0 1", "R0_rect: 1 0 0 0 1 0 0 0 -1", "line 2: R0_rect is not a rotation"),
        ("R0_rect: 1 0 0", "R0_rect: 1 0", "line 2: R0_rect needs 9 finite numbers, given were 8"),
        ("cam: 0 -1 0 0 0 0 -1 0 1 0 0 0", "cam: 1 0 0 0 0 1 0 0 0 0 1 0", "line 3: Tr_velo_to_cam turns .* 90 degrees"),
        ("cam: 0 -1 0 0 0 0 -1 0 1", "cam: 0 1 0 0 0 0 1 0 1", "line 3: Tr_velo_to_cam turns .* 180 degrees"),
        ("Tr_velo_to_cam:", "Tr_velo_cam", "lines missing: Tr_velo_to_cam"),
        ("R0_rect:", "P2: 1\nR0_rect:", "line 2: a second P2"),
    ],
)  # fmt: skip
def test_calibrations_that_cannot_be_are_named_with_their_line(root: Path, old: str, new: str, message: str) -> None:
    path = root / "training" / "calib" / "000001.txt"
    _change(path, old, new)
    found = _refused(root)
    assert str(path) in found
    assert re.search(message, found)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["velodyne", "label_2", "calib", "image_2"])
def test_pipes_do_not_hang(root: Path, part: str) -> None:
    path = next(iter(sorted((root / "training" / part).iterdir())))
    path.unlink()
    os.mkfifo(path)
    found = _refused(root)
    assert path.name in found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GIF89a" + bytes(40), "is not a PNG image"),
        (b"\x89PNG\r\n\x1a\n", "is not a PNG image"),
        (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + bytes(8), "an image of 0 x 0 pixels"),
        (
            b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\x7f\xff\xff\xff" * 2,
            "an image of 2147483647 x 2147483647 pixels",
        ),
    ],
)
def test_images_that_are_none(root: Path, content: bytes, message: str) -> None:
    path = root / "training" / "image_2" / "000003.png"
    path.write_bytes(content)
    found = _refused(root)
    assert str(path) in found
    assert message in found


def test_points_of_five_numbers_are_found_before_the_training(root: Path) -> None:
    path = root / "training" / "velodyne" / "000002.bin"
    points = np.fromfile(path, "<f4").reshape(-1, 4)[:680]
    np.column_stack([points, np.arange(680) % 64]).astype("<f4").tofile(path)
    assert f"{path}: 13,600 bytes look like 680 points of 5 numbers" in _refused(root)


def test_large_files_are_not_read(root: Path) -> None:
    for part, ending in (("velodyne", "bin"), ("label_2", "txt"), ("calib", "txt")):
        os.truncate(root / "training" / part / f"000000.{ending}", 2**33)  # of zeros, which take no room on the disk
    started = time.perf_counter()
    found = _refused(root)
    assert time.perf_counter() - started < 5
    assert found.count("8,589,934,592 bytes") == 3


def test_all_problems_are_told_at_once_and_bounded(root: Path) -> None:
    _change(root / "training" / "calib" / "000000.txt", "P2", "P3")
    (root / "training" / "velodyne" / "000000.bin").write_bytes(bytes(17))
    (root / "training" / "label_2" / "000000.txt").write_text("Car\n")
    (root / "training" / "label_2" / "000001.txt").write_text("Car\n")
    (root / "training" / "image_2" / "000002.png").write_bytes(b"")
    (root / "training" / "calib" / "000003.txt").unlink()
    found = _refused(root)
    assert found.startswith(
        f"KITTI in '{root}' has 6 problems: (1) 1 of 4 frames have no file in '{root}/training/calib'"
    )
    for text in (
        "000000.bin: 17 bytes",
        "000000.txt: lines missing: P2",
        "000000.txt, line 1",
        "000001.txt, line 1",
        "000002.png is not a PNG",
    ):
        assert text in found
    for name in NAMES:
        for part in ("label_2", "calib"):
            (root / "training" / part / f"{name}.txt").write_text("Car\n")
            (root / "training" / "velodyne" / f"{name}.bin").write_bytes(bytes(17))
    assert "has 13 problems: " in (found := _refused(root))
    assert found.endswith("; and 3 more")


def test_both_splits_are_looked_at_before_anything_is_said(root: Path) -> None:
    (root / "ImageSets" / "train.txt").write_text("000000\n000001\nx\n")
    (root / "training" / "label_2" / "000003.txt").write_text("Car\n")
    with pytest.raises(UserError) as caught:
        Kitti(root=root, counts=None).setup()
    for text in ("has 2 problems", "train.txt', line 3, holds 'x'", "000003.txt, line 1: 1 columns"):
        assert text in str(caught.value)


@pytest.mark.slow
def test_kittis_7481_frames_take_seconds(root: Path) -> None:
    """Of the processor; every frame here is a second name of the same files."""
    for part, ending in (("velodyne", "bin"), ("label_2", "txt"), ("calib", "txt"), ("image_2", "png")):
        folder = root / "training" / part
        for i in range(4, 7481):
            os.link(folder / f"{i % 4:06d}.{ending}", folder / f"{i:06d}.{ending}")
    started = time.process_time()
    assert len(read_frames(root, read_split(root, "all"))) == 7481
    assert time.process_time() - started < 20  # three on an idle machine


def test_log_lines_do_not_carry_escapes(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    path = root / "training" / "label_2" / "000000.txt"
    path.write_text(path.read_text() + "\x1b[31mCar" + " 0" * 14 + "\n")
    read_frames(root, NAMES)
    assert "types that KITTI does not have" in caplog.text
    assert "\x1b" not in caplog.text
