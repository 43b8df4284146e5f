"""The bird's-eye picture shows what it says: forward up, left to the left, true and found boxes in their colours."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.text import Text

from ncp.data.lidar import Lidar
from ncp.models.anchors import Detections
from ncp.report.bev import FOUND, TRUE, detection_picture, draw

LIMITS = (0.0, -10.0, -3.0, 20.0, 10.0, 1.0)


def _scene(true: int = 1, found: int = 2) -> dict:  # type: ignore[type-arg]
    box = np.array([10.0, 4.0, -1.0, 4.0, 2.0, 1.5, 0.0])
    return {
        "points": np.array([[5.0, 2.0, 0.0, 0.5]]),
        "true": np.tile(box, (true, 1)),
        "found": np.tile(box + np.array([0.5, 0, 0, 0, 0, 0, np.pi / 2]), (found, 1)),
        "scores": np.linspace(0.9, 0.5, found),
        "names": ["Car"] * found,
        "title": "frame 000000",
    }


def test_boxes_are_where_they_belong() -> None:
    figure = draw([_scene()], LIMITS, "title")
    ax = figure.axes[0]
    lines: Any = [c for c in ax.collections if isinstance(c, LineCollection)]
    true, found = lines
    assert tuple(true.get_color()[0]) == to_rgba(TRUE)
    assert tuple(found.get_color()[0]) == to_rgba(FOUND)
    outline, front = true.get_segments()
    np.testing.assert_allclose(outline.min(0), [-5, 8])  # 4 m to the left is drawn at -4, 10 m ahead at 10
    np.testing.assert_allclose(outline.max(0), [-3, 12])
    np.testing.assert_allclose(front, np.array([[-4, 10], [-4, 12.6]]))  # heading forward is up
    assert len(found.get_segments()) == 4
    np.testing.assert_allclose(found.get_segments()[2][1], [-6.6, 10.5])  # a quarter turn to the left
    assert [t.get_text() for t in ax.texts] == ["Car 0.90"]  # the other would be written over it
    assert (ax.get_xlim(), ax.get_ylim()) == ((-10, 10), (0, 20))
    np.testing.assert_allclose(np.asarray(ax.collections[0].get_offsets()), [[-2, 5]])


def test_labels_are_told_apart_by_their_colours() -> None:
    """Of three boxes the first and the last are of one class; the legend names each class beside its colour."""
    one = _scene(3, 0) | {"labels": [1, 0, 1]}
    figure = draw([one], LIMITS, "title", found_too=False, classes=["Cart", "Forklift"])
    drawn: Any = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    colours = {tuple(c.get_color()[0]): len(c.get_segments()) // 2 for c in drawn}
    assert len(colours) == 2
    [legend] = figure.legends
    named = {
        text.get_text(): to_rgba(line.get_color())
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }
    assert colours == {named["Cart"]: 1, named["Forklift"]: 2}
    assert not {"labelled"} & set(named)


def test_empty_scenes_and_many() -> None:
    empty = _scene(0, 0)
    empty["points"] = np.zeros((0, 4))
    figure = draw([empty] * 5, LIMITS, "title", "subtitle", columns=3)
    assert sum(ax.get_visible() for ax in figure.axes) == 5
    figure.canvas.draw()


def test_the_picture_of_a_training_says_at_which_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built-in scenes count from .5 on, KITTI's rule from .7 on: the same figure is another one."""
    monkeypatch.setenv("NCP_CACHE", str(tmp_path))
    for overlap, text in (
        (None, "car 3D AP at IoU 0.5, moderate: 61.0%"),
        (0.7, "car 3D AP at IoU 0.7, moderate: 61.0%"),
    ):
        data = Lidar(scenes=1, val_scenes=1, workers=0, limits=(0, -5.12, -3, 10.24, 5.12, 1))
        if overlap is not None:
            data.min_overlap = {"car": overlap, "pedestrian": 0.5, "cyclist": 0.5}
        data.setup()
        options = SimpleNamespace(callbacks=SimpleNamespace(picture_samples=4))
        run: Any = SimpleNamespace(data=data, options=options, architecture="narrow", task=_Found(data))
        figure = detection_picture(run)
        texts = [found.get_text() for found in figure.findobj(Text)]  # type: ignore[union-attr]
        assert [t for t in texts if text in t], texts


class _Found:
    """A task that finds what is labelled."""

    def __init__(self, data: Lidar) -> None:
        self.latest, self.data = {"moderate": 61.0}, data

    def cpu(self) -> "_Found":
        return self

    float = eval = cpu

    def predict(self, batch: dict[str, Any]) -> list[Detections]:
        known = batch["labels"][0] >= 0
        return [Detections(batch["boxes"][0][known], batch["labels"][0][known], torch.ones(int(known.sum())))]
