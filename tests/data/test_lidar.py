"""The built-in LiDAR set, in KITTI's layout."""

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncp.data.base import Key
from ncp.data.kitti import frames_of
from ncp.data.kitti_frames import points_in_boxes
from ncp.data.lidar import Lidar, depth_picture
from ncp.errors import UserError


def _set(folder: Path, **changes: Any) -> Lidar:
    data = Lidar(**{"cache": folder, "scenes": 2, "val_scenes": 1, "workers": 0, **changes})
    data.setup()
    return data


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lidar")


def test_set_is_written_once_in_kittis_layout(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data = _set(tmp_path)
    assert (data.size, data.in_channels) == ((112, 112), 64)
    (folder,) = tmp_path.iterdir()
    for part, ending in (("velodyne", "bin"), ("label_2", "txt"), ("calib", "txt"), ("image_2", "png")):
        assert sorted(p.name for p in (folder / "training" / part).iterdir()) == [f"{i:06d}.{ending}" for i in range(3)]
    first = data.train_set[Key(-1, 0)]
    again = _set(tmp_path)
    assert caplog.text.count("simulating 3 LiDAR scenes") == 1
    np.testing.assert_array_equal(again.train_set[Key(-1, 0)]["points"], first["points"])
    assert "no image" not in caplog.text
    other = _set(tmp_path / "other", scenes=1, scene_seed=1)
    assert not np.array_equal(other.train_set[Key(-1, 0)]["points"][:5], first["points"][:5])


def test_damaged_scenes_are_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wanted = _set(tmp_path).train_set[Key(-1, 1)]
    (folder,) = tmp_path.iterdir()
    path = folder / "training" / "velodyne" / "000001.bin"
    path.write_bytes(path.read_bytes()[:-160])  # ten points less: a file that reads as well as the whole one
    found = _set(tmp_path).train_set[Key(-1, 1)]
    assert "velodyne/000001.bin is cut off or altered" in caplog.text
    np.testing.assert_array_equal(found["points"], wanted["points"])


def test_labels_are_like_kittis(cache: Path) -> None:
    data = _set(cache)
    for frame in (*frames_of(data.train_set).frames, *frames_of(data.val_set).frames):
        objects = frame.objects
        assert len(objects) >= 5
        assert ((objects.truncation >= 0) & (objects.truncation <= 1)).all()
        assert set(objects.occlusion.tolist()) <= {0, 1, 2, 3}
        points, _ = frame.scene()
        inside = points_in_boxes(points.points, points.boxes, margin=0.05).sum(1)
        whole = objects.truncation < 0.01
        assert (inside[whole] >= 4).all()
        seen = objects.occlusion == 0
        assert np.median(inside[seen]) > np.median(inside[~seen]) if (~seen).any() else True


def test_depth_picture_is_a_png(cache: Path) -> None:
    from PIL import Image

    frame = frames_of(_set(cache).train_set).frames[0]
    points, _ = frame.points()
    picture = np.asarray(Image.open(io.BytesIO(depth_picture(points, frame.calibration))))
    assert picture.shape == (375, 1242)
    assert 2000 < (picture > 0).sum() <= len(points)


def test_what_users_give(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.scenes and data.val_scenes must be at least 1"):
        Lidar(scenes=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the built-in scenes"):
        _set(tmp_path / "file")
