"""Pictures of predictions show what was found, in the classes' colours."""

import numpy as np
import pytest
from matplotlib.text import Text

from ncp.report import predictions as P
from ncp.report import style


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def test_an_overlay_mixes_image_and_colours_and_names_them():
    image = np.full((3, 40, 600), 100, np.uint8)
    labels = np.zeros((40, 600), np.uint16)
    labels[:, 300:] = 2
    palette = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    drawn = np.asarray(P.overlay(image, labels, palette, ["road", "never", "sky"]))
    for column, colour in ((0, palette[0]), (599, palette[2])):
        assert drawn[0, column] == pytest.approx(0.45 * 100 + 0.55 * np.array(colour), abs=1)
    key = drawn[40:].reshape(-1, 3)
    seen = {tuple(pixel) for pixel in key.tolist()}
    assert palette[0] in seen
    assert palette[2] in seen
    assert palette[1] not in seen
    assert drawn.shape[0] > 50


def test_a_small_image_is_enlarged_and_other_channels_are_left_out():
    drawn = P.overlay(np.zeros((5, 30, 100), np.float32), np.zeros((30, 100), int), [(1, 2, 3)], ["a" * 200])
    assert drawn.width == 400
    assert P.as_rgb(np.full((1, 2, 2), 300.0)).tolist() == [[[255] * 3] * 2] * 2


def rgb(colour):
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_page_shows_every_guess(count):
    picture = np.full((9, 12, 3), (9, 99, 9), np.uint8)
    one = P.Guess(picture, "a\n$b$.png", ["cat", "\x1b[2J" + "d" * 99], [0.75, 0.25])
    drawn = np.asarray(P.page([one] * count, "The 2 likeliest classes"))
    first = (drawn == rgb(style.BLUE)).all(2)
    second = (drawn == rgb(style.SKY)).all(2)
    assert first.sum() == pytest.approx(3 * second.sum(), rel=0.05)  # 75 % and 25 %
    assert np.diff(first.astype(int), axis=1).clip(0).sum(1).max() == min(2, count)  # bars beside each other
    image = (drawn == (9, 99, 9)).all(2)
    assert image.sum() == count * P.SIDE * round(P.SIDE * 12 / 9) or image.sum() == count * P.WIDEST * round(
        P.WIDEST * 9 / 12
    )


@pytest.mark.parametrize("clips", [1, 3, 40])
def test_a_strip_shows_the_clips_scores(clips):
    scores = np.tile([0.1, 0.7, 0.2], (clips, 1))
    thumbs = [np.zeros((16, 24, 3), np.uint8)] * clips
    numbers = np.arange(clips)[:, None] * 2 + np.arange(4)
    figure = P.clips(thumbs, numbers, scores, [1, 2], ["a", "b", "c"], "v.mp4", 99)
    shown = texts(figure)
    assert "b, 70.0%" in shown
    assert "0-3" in shown
    assert shown.count("0.70") == (clips if clips <= P.MOST_CLIPS else 0)
    figure.canvas.draw()


def test_a_scene_shows_boxes_from_a_score_on():
    boxes = np.array([[2, 0, 0, 4, 2, 1.5, 0], [6, 1, 0, 4, 2, 1.5, 1]], float)
    figure = P.scene(
        np.zeros((5, 4)),
        boxes,
        np.array([0, 1]),
        np.array([0.9, 0.2]),
        ["Car", "Cyclist"],
        (0, -8, -3, 16, 8, 1),
        0.3,
        "s",
    )
    shown = texts(figure)
    assert "Car 0.90" in shown
    assert not any("Cyc" in text for text in shown)
    assert "1 box, 1 of lower scores not drawn" in shown
    assert "labelled" not in shown
