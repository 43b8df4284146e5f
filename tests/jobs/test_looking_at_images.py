"""What is left of images and frames under a network whose answer is known: the class of a colour is that colour."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tiny_runs import write_lossless

from ncp.card import NetworkCard, Use
from ncp.errors import UserError
from ncp.inference.inputs import listed
from ncp.inference.outputs import Results
from ncp.jobs.looking_at_images import Classes, Segments

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
STEEP = 8.0


class Colours:
    """Logits are the channels of the image, 0..8: of the mean of all pixels, or of each one."""

    fixed, device = None, "here"

    def __init__(self, task):
        use = Use(share=1.0, palette=[RED, GREEN, BLUE])
        self.card = NetworkCard(task, "colours", ["red", "green", "blue"], 3, (16, 16), (0, 0, 0), (1, 1, 1), use)
        self.batches = []

    def logits(self, x):
        self.batches.append(x.shape)
        return STEEP * (x if self.card.task == "seg" else x.mean((2, 3)))


def asked(**given):
    plain = {
        "batch": 2,
        "window": None,
        "overlap": 0.25,
        "every": 2,
        "clips": None,
        "top": 2,
        "score": None,
        "calib": None,
    }
    return SimpleNamespace(**{**plain, "pictures": False, "movies": False, **given})


def look(kind, task, folder, out, **given):
    """Lines, rows of the table, the network; every input is told of once a part."""
    inputs, watched = listed(str(folder), task, out), []
    results, network = Results(out, inputs), Colours(task)
    looker = kind(network, asked(**given), results)
    looker.run(inputs, watched.append)
    results.close(looker.heads())
    assert set(watched) == set(inputs)
    with (out / "predictions.csv").open() as file:
        return results.lines, list(csv.reader(file)), network


def painted(path, colour, size=(16, 16)):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((*size, 3), colour, dtype=np.uint8)).save(path)


def test_the_likeliest_classes_of_an_image_and_of_every_second_frame(tmp_path):
    folder = tmp_path / "in"
    painted(folder / "a.png", (51, 204, 0))
    frames = [np.full((16, 16, 3), colour, dtype=np.uint8) for colour in (RED, GREEN, BLUE, RED, GREEN)]
    write_lossless(folder / "b.mkv", np.stack(frames).transpose(0, 3, 1, 2))
    lines, rows, _ = look(Classes, "cls", folder, tmp_path / "out")
    first = lines[0]["top"]
    assert [guess["class"] for guess in first] == ["green", "red"]
    odds = np.exp(STEEP * np.array([0.8, 0.2, 0.0]))
    assert [guess["probability"] for guess in first] == pytest.approx((odds / odds.sum())[:2], rel=1e-4)
    assert "frame" not in lines[0]
    assert [(line["frame"], line["top"][0]["class"]) for line in lines[1:]] == [(0, "red"), (2, "blue"), (4, "green")]
    assert rows[0] == ["file", "frame", "class_1", "probability_1", "class_2", "probability_2"]
    assert [row[:3] for row in rows[1:3]] == [["a.png", "", "green"], ["b.mkv", "0", "red"]]


def test_every_pixel_has_the_class_of_its_colour_whole_or_through_a_window(tmp_path):
    folder = tmp_path / "in"
    painted(folder / "small.png", GREEN, (8, 8))
    halves = np.zeros((40, 70, 3), dtype=np.uint8)
    halves[:, :21], halves[:, 21:] = RED, BLUE
    Image.fromarray(halves).save(folder / "halves.png")
    for name, given in (("whole", {}), ("window", {"window": [32, 32]})):
        lines, rows, network = look(Segments, "seg", folder, tmp_path / name, **given)
        assert [line["shares"] for line in lines] == [pytest.approx({"red": 0.3, "blue": 0.7}), {"green": 1.0}]
        assert lines[0]["size"] == [40, 70]
        picture = Image.open(tmp_path / name / lines[0]["labels"])
        np.testing.assert_array_equal(np.asarray(picture), np.where(np.arange(70) < 21, 0, 2) + np.zeros((40, 1), int))
        assert picture.getpalette()[:9] == [*RED, *GREEN, *BLUE]
        assert rows[0][6:] == ["share of red", "share of green", "share of blue"]
        assert all(len(row) == len(rows[0]) for row in rows)
        if not given:  # images of two sizes are no batch; e^8 to 1 for the colour itself
            assert network.batches == [(1, 3, 40, 70), (1, 3, 8, 8)]
            assert lines[1]["confidence"] == pytest.approx(1 / (1 + 2 * np.exp(-STEEP)), rel=1e-5)


def test_what_cannot_be_asked_for_is_told(tmp_path):
    results = Results(tmp_path, [])
    with pytest.raises(UserError, match="every and batch must be at least 1, given were 0 and 2"):
        Classes(Colours("cls"), asked(every=0), results)
    with pytest.raises(UserError, match="top must be at least 1, given was 0"):
        Classes(Colours("cls"), asked(top=0), results)
    with pytest.raises(UserError, match="window is a height and a width of 32 to 16384 pixels"):
        Segments(Colours("seg"), asked(window=[8, 8]), results)
