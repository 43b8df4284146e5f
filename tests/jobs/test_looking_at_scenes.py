"""What is left of scenes and of whole videos under networks whose answers are known."""

import csv
import math
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_runs import write_lossless

from ncp.card import Anchor, Clips, NetworkCard, SeenSpace, Use
from ncp.errors import UserError
from ncp.inference.inputs import listed
from ncp.inference.network import Written
from ncp.inference.outputs import Results
from ncp.jobs.looking_at_scenes import WINDOWS, Scenes, Videos, kitti_type

SPACE = SeenSpace(
    limits=(0.0, -1.28, -3.0, 2.56, 1.28, 1.0), pillar=0.16, stride=2, max_pillars=100, max_points=10,
    anchors=[Anchor("Car", 3.9, 1.6, 1.5, -2.0), Anchor("Big dog", 0.8, 0.4, 0.6, -1.0)],
)  # fmt: skip
CELLS, KINDS = 8, 2  # 16 pillars a side, two to a cell


class OneBox:
    """A detector that is sure of one anchor of 8 x 8 x 2 x 2, as it stands: row 5, column 3, the dog's first."""

    fixed, device = None, "here"
    card = NetworkCard("det3d", "one", ["Car", "Big dog"], 4, (16, 16), (), (), Use(space=SPACE))

    def scene(self, points):
        self.points = points
        anchor = ((5 * CELLS + 3) * KINDS + 1) * 2
        classes = np.full((CELLS * CELLS * KINDS * 2, 2), -9.0, dtype=np.float32)
        classes[anchor, 1] = 2.0
        return Written(classes, np.zeros((len(classes), 7), np.float32), np.zeros((len(classes), 2), np.float32))


class Reds:
    """A video network that tells red clips from blue ones."""

    fixed, device = (16, 16), "here"
    card = NetworkCard(
        "video",
        "reds",
        ["red", "blue"],
        3,
        (16, 16),
        (0, 0, 0),
        (1, 1, 1),
        Use(share=1.0, clips=Clips("dense", 4, 1, 2)),
    )

    def logits(self, x):
        return 8 * x.mean((1, 3, 4))[:, [0, 2]]


def look(kind, network, folder, out, **given):
    inputs = listed(str(folder), network.card.task, out)
    results = Results(out, inputs)
    plain = {"batch": 2, "clips": None, "top": 5, "score": None, "calib": None, "pictures": False, "movies": False}
    looker = kind(network, SimpleNamespace(**{**plain, **given}), results)
    looker.run(inputs, lambda one: None)
    results.close(looker.heads())
    return results.lines


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_box_is_the_anchor_that_the_network_means(tmp_path):
    folder, network = tmp_path / "in", OneBox()
    folder.mkdir()
    points = np.array([[1, 0, -1, 0.5], [2, 1, 0, 0.1], [9, 0, 0, 0.1], [1, 0, 1.5, 0.2]], dtype=np.float32)
    np.save(folder / "a.npy", points)
    (line,) = look(Scenes, network, folder, tmp_path / "out")
    assert line["points"] == 2  # one is too far away, one too high
    np.testing.assert_array_equal(network.points, points[:2])
    (box,) = line["boxes"]
    assert (box["class"], box["score"]) == ("Big dog", pytest.approx(1 / (1 + math.exp(-2)), rel=1e-5))
    x, y, z, length, width, height, yaw = box["box"]
    assert [x, y, z] == pytest.approx([3.5 * 0.32, -1.28 + 5.5 * 0.32, -1.0 + 0.3], abs=1e-5)
    assert [length, width, height] == pytest.approx([0.8, 0.4, 0.6])
    assert math.sin(yaw) == pytest.approx(0, abs=1e-5)  # along x, either way
    (row,) = rows_of(tmp_path / "out" / "predictions.csv")
    assert (row["file"], row["class"], float(row["z"])) == ("a.npy", "Big dog", z)
    assert look(Scenes, network, folder, tmp_path / "sure", score=0.9)[0]["boxes"] == []


def test_a_class_is_one_word_in_kittis_files():
    assert [kitti_type(name) for name in ("Car", "Big  dog", "  ")] == ["Car", "Big_dog", "Misc"]
    assert len(kitti_type("x" * 100)) == 32


def test_a_videos_class_is_the_mean_of_its_clips(tmp_path):
    """Four red frames, then six blue ones: the first of two clips is red, the last blue."""
    folder = tmp_path / "in"
    folder.mkdir()
    frames = np.zeros((10, 3, 16, 16), dtype=np.uint8)
    frames[:4, 0], frames[4:, 2] = 255, 255
    write_lossless(folder / "a.mkv", frames)
    (line,) = look(Videos, Reds(), folder, tmp_path / "out")
    assert line["frames"] == 10
    assert [window["frames"] for window in line["windows"]] == [[0, 1, 2, 3], [6, 7, 8, 9]]
    assert [window["top"][0]["class"] for window in line["windows"]] == ["red", "blue"]
    assert [guess["probability"] for guess in line["top"]] == pytest.approx([0.5, 0.5], abs=1e-4)
    rows = rows_of(tmp_path / "out" / WINDOWS)
    assert [(row["window"], row["first_frame"], row["last_frame"]) for row in rows] == [
        ("0", "0", "3"),
        ("1", "6", "9"),
    ]
    assert float(rows[1]["blue"]) == pytest.approx(1 / (1 + math.exp(-8)), rel=1e-4)
    three = look(Videos, Reds(), folder, tmp_path / "three", clips=3, top=1)[
        0
    ]  # the middle one: 3 to 6, three of them blue
    assert (three["top"][0]["class"], len(three["top"]), len(three["windows"])) == ("blue", 1, 3)
    with pytest.raises(UserError, match="batch and top must be at least 1, given were 0 and 5"):
        look(Videos, Reds(), folder, tmp_path / "none", batch=0)
