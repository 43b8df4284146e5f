"""Reading and writing KITTI's files; what is wrong is named with its line."""

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
    kitti_files.write(tmp_path / "r.txt", found)
    again = kitti_files.read(tmp_path / "r.txt", scores=True)
    assert again.types.tolist() == ["Car", "Cyclist"]
    np.testing.assert_allclose(again.values, found.values, atol=5.1e-5)
    np.testing.assert_allclose(again.score, found.score, atol=5.1e-7)
    kitti_files.write(tmp_path / "none.txt", kitti_files.Objects(values=np.zeros((0, 15))))
    assert len(kitti_files.read(tmp_path / "none.txt", scores=True)) == 0


@pytest.mark.parametrize(
    ("line", "scores", "message"),
    [
        (LABEL, True, "line 2: 15 columns, a result .* has 16"),
        (LABEL + " 0.5", False, "line 2: 16 columns, a label .* has 15"),
        ("Car 0.00", False, "line 2: 2 columns"),
        (LABEL.replace("423.81", "x"), False, "line 2: 'x' for x2 is not a number"),
        (LABEL.replace("58.49", "nan"), False, "line 2: z is nan, it must be finite"),
        (LABEL.replace(" 1 ", " 0.5 "), False, "line 2: occluded is 0.5, it must be a whole number"),
    ],
)
def test_malformed_lines(tmp_path: Path, line: str, scores: bool, message: str) -> None:
    path = _file(tmp_path, "", line)
    with pytest.raises(UserError, match=message) as caught:
        kitti_files.read(path, scores)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        kitti_files.read(tmp_path / "none.txt", scores=False)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UserError, match="no UTF-8 text"):
        kitti_files.read(tmp_path / "binary.txt", scores=False)
