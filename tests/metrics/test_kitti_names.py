"""Figures of detection say at which overlap they were counted."""

import pytest

from ncp.metrics.kitti import MIN_OVERLAP
from ncp.metrics.kitti_names import SHORT, in_words

LOOSE = {"car": 0.5, "pedestrian": 0.25, "cyclist": 0.25}


@pytest.mark.parametrize(
    ("name", "overlap", "words"),
    [
        ("moderate", MIN_OVERLAP, "car 3D AP at IoU 0.7, moderate"),
        ("moderate", LOOSE, "car 3D AP at IoU 0.5, moderate"),
        ("ped-BEV", LOOSE, "pedestrian BEV AP at IoU 0.25, moderate"),
        ("car-AOS", MIN_OVERLAP, "car AOS at IoU 0.7, moderate"),
        ("cyclist/2d/hard", MIN_OVERLAP, "cyclist 2D AP at IoU 0.5, hard"),
        ("car/3d/easy/AP40", LOOSE, "car 3D AP at IoU 0.5, easy, AP40"),
        ("mIoU", MIN_OVERLAP, "mIoU"),
        ("box_loss", LOOSE, "box_loss"),
        ("moderate", {}, "moderate"),
        ("tram/3d/easy", MIN_OVERLAP, "tram/3d/easy"),
    ],
)
def test_words(name: str, overlap: dict[str, float], words: str) -> None:
    assert in_words(name, overlap) == words


def test_every_figure_of_the_tables_has_words_of_its_own() -> None:
    words = [in_words(name, LOOSE) for name in SHORT]
    assert len({*words} - {*SHORT}) == len(SHORT)
    assert all(" at IoU 0." in text for text in words)
