"""Reading and writing KITTI's files; what is wrong is named with its line."""

import os
from pathlib import Path

import numpy as np
import pytest

from ncp.errors import UserError
from ncp.metrics import kitti_files

LABEL = "Car 0.00 1 1.85 387.63 181.54 423.81 203.12 1.67 1.87 3.69 -16.53 2.39 58.49 1.57"
DONT_CARE = "DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10"


def _file(folder: Path, *lines: str) -> Path:
    path = folder / "000007.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_columns(tmp_path: Path) -> None:
    objects = kitti_files.read(_file(tmp_path, LABEL, "", DONT_CARE), scores=False)
    assert objects.types.tolist() == ["Car", "DontCare"]
    assert (objects.truncation[0], objects.occlusion[0], objects.alpha[0]) == (0.0, 1.0, 1.85)
    np.testing.assert_array_equal(objects.image_boxes[0], [387.63, 181.54, 423.81, 203.12])
    np.testing.assert_array_equal(objects.size[0], [1.67, 1.87, 3.69])
    np.testing.assert_array_equal(objects.location[0], [-16.53, 2.39, 58.49])
    assert objects.rotation_y.tolist() == [1.57, -10]
    assert objects.unknown() == []
    assert kitti_files.read(_file(tmp_path, LABEL + " 0.25"), scores=True).score.tolist() == [0.25]


def test_written_files_read_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    found = kitti_files.results(
        ["Car", "Cyclist"], *(rng.uniform(0, 99, shape) for shape in (2, (2, 4), (2, 3), (2, 3), 2, 2))
    )
    kitti_files.write_objects(tmp_path / "r.txt", found)
    again = kitti_files.read(tmp_path / "r.txt", scores=True)
    assert again.types.tolist() == ["Car", "Cyclist"]
    np.testing.assert_allclose(again.values, found.values, atol=5.1e-5)
    np.testing.assert_allclose(again.score, found.score, atol=5.1e-7)
    kitti_files.write_objects(tmp_path / "none.txt", kitti_files.Objects(values=np.zeros((0, 15))))
    assert len(kitti_files.read(tmp_path / "none.txt", scores=True)) == 0


@pytest.mark.parametrize(
    ("line", "scores", "message"),
    [
        (LABEL, True, "line 2: 15 columns, a result .* has 16"),
        (LABEL + " 0.5", False, "line 2: 16 columns, a label .* has 15"),
        ("Car 0.00", False, "line 2: 2 columns"),
        (LABEL.replace("423.81", "x"), False, "line 2: 'x' for x2 is not a number"),
        (LABEL.replace("58.49", "nan"), False, "line 2: z is nan, it must be finite"),
        (LABEL.replace("58.49", "1e308"), False, "line 2: z is 1e308, it must be within 1,000,000 of 0"),
        (LABEL.replace("Car", "C" * 40), False, "line 2: a type of 40 characters; at most 32 are read"),
        (LABEL.replace("Car", "C\x1b[2J") + " 1", False, "line 2: 16 columns"),
        (LABEL.replace(" 1 ", " 0.5 "), False, "line 2: occluded is 0.5, it must be a whole number"),
    ],
)
def test_malformed_lines(tmp_path: Path, line: str, scores: bool, message: str) -> None:
    path = _file(tmp_path, "", line)
    with pytest.raises(UserError, match=message) as caught:
        kitti_files.read(path, scores)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_boxes_must_be_boxes_where_that_is_asked_for(tmp_path: Path) -> None:
    flat = LABEL.replace("1.67 1.87 3.69", "1.67 0 3.69")
    path = _file(tmp_path, LABEL, flat, DONT_CARE, flat)
    assert len(kitti_files.read(path, scores=False)) == 4
    assert len(kitti_files.read(path, scores=False, solid=("Pedestrian",))) == 4
    with pytest.raises(UserError, match=r"line 2: width of a Car is 0 m.* \(and 1 more lines of this file\)"):
        kitti_files.read(path, scores=False, solid=("car", "Pedestrian"))


def test_a_line_is_what_editors_number(tmp_path: Path) -> None:
    """Characters that only Python takes for ends of lines are none; files of Windows are read."""
    path = tmp_path / "000007.txt"
    path.write_bytes(f"{LABEL}\r\n{LABEL}\x0b\x1c\r\nCar 1\r\n".encode())
    with pytest.raises(UserError, match="line 3: 2 columns"):
        kitti_files.read(path, scores=False)


def test_which_have_a_box_in_the_image(tmp_path: Path) -> None:
    boxes = ("0 0 0 0", "-1 -1 -1 -1", "5 5 9 5", "5 5 5 9", "9 9 5 5", "5 5 9 9")
    lines = [LABEL.replace("387.63 181.54 423.81 203.12", box) for box in boxes]
    objects = kitti_files.read(_file(tmp_path, *lines, DONT_CARE), scores=False)
    assert objects.in_image.tolist() == [False] * 5 + [True] * 2
    assert objects.of(("CAR",)).tolist() == [True] * 6 + [False]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(UserError, match="no regular file"):
        kitti_files.read(tmp_path / "pipe.txt", scores=False)
    huge = tmp_path / "huge.txt"
    huge.touch()
    os.truncate(huge, 2**40)
    with pytest.raises(UserError, match="at most 16,777,216 are read"):
        kitti_files.read(huge, scores=True)
    with pytest.raises(UserError, match="there is no file"):
        kitti_files.read(tmp_path / "none.txt", scores=False)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UserError, match="no UTF-8 text"):
        kitti_files.read(tmp_path / "binary.txt", scores=False)
