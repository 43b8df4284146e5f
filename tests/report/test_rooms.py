"""Pictures of rooms with their labels."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ncp.data.indoor.data import Indoor
from ncp.data.views import LABELS
from ncp.report import rooms


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made = Indoor(labels=list(LABELS), cache=str(tmp_path_factory.mktemp("rooms")), scenes=3, val_scenes=1, size=48)
    made.setup()
    return made


def test_a_row_a_room_and_a_column_a_label(data):
    figure = rooms.picture(data, [0, 2])
    assert len(figure.axes) == 2 * 6
    titles = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert {"image", "surface normals", "jigsaw"} <= set(titles)
    assert any("%" in text for text in titles)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == list(data.names("segmentsemantic"))
    few = Indoor(labels=["normal"], cache=data.cache, scenes=3, val_scenes=1, size=48)
    few.setup()
    assert len(rooms.picture(few, [1]).axes) == 2


def test_pieces_lie_in_their_order_with_gaps():
    tiles = np.arange(9, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 8, 8), np.uint8)
    picture = rooms.puzzle(tiles)
    assert picture.shape == (26, 26, 3)
    assert picture[4::9, 4::9, 0].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert (picture[8] == 255).all()


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (0.4, 0.0), (-0.6, -0.25), (0.2, 0.3)])
def test_the_floor_from_above_is_that_of_the_box(yaw, pitch):
    """By the box's corners in the camera's coordinates and scipy's rotations, brought back to the level."""
    size = np.array([5.0, 3.0, 2.6])
    # the camera's axes in the room: right, up, back; it looks along the room's x, turned by yaw to the left
    ahead = np.array([math.cos(pitch) * math.cos(yaw), math.cos(pitch) * math.sin(yaw), math.sin(pitch)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    turn = np.stack([right, np.cross(right, ahead), -ahead], 1)
    eye = np.array([1.2, 0.9, 1.4])
    angles = Rotation.from_matrix(turn).as_euler("xyz")
    corners, angle = rooms.outline(np.array([*(turn.T @ (size / 2 - eye)), *angles, *size]))
    level = np.stack([right[:2], np.array([math.cos(yaw), math.sin(yaw)])])
    floor = np.array([[0, 0], [5, 0], [5, 3], [0, 3]]) - eye[:2]
    np.testing.assert_allclose(corners, floor @ level.T, atol=1e-9)
    assert angle == pytest.approx(-yaw)
