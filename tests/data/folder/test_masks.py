"""Masks as people save them: the same classes from numbers, palettes, colours and arrays, by Pillow's own reading."""

import numpy as np
import pytest
import torch
from PIL import Image

from ncp.data.folder.classes import Entry
from ncp.data.folder.masks import MaskMap, read_codes
from ncp.errors import UserError

LABELS = np.array([[0, 1, 2], [2, 1, 255]], dtype=np.uint8)
COLOURS = {0: (0, 0, 0), 1: (128, 64, 128), 2: (70, 70, 70), 255: (255, 255, 255)}
ENTRIES = [
    Entry(0, "void", (0, 0, 0), True),
    Entry(1, "road", (128, 64, 128), False),
    Entry(2, "house", (70, 70, 70), False),
]
WANTED = [[255, 0, 1], [1, 0, 255]]


def saved(tmp_path, kind):
    path = tmp_path / f"mask.{'npy' if kind == 'array' else 'png'}"
    if kind == "array":
        np.save(path, LABELS.astype(np.int64))
    elif kind == "colours":
        Image.fromarray(np.array([[COLOURS[v] for v in row] for row in LABELS.tolist()], dtype=np.uint8)).save(path)
    else:
        picture = Image.fromarray(LABELS, mode="P" if kind == "palette" else "L")
        if kind == "palette":
            picture.putpalette([c for v in range(256) for c in COLOURS.get(v, (1, 2, 3))])
        picture.save(path)
    return path


@pytest.mark.parametrize(
    ("kind", "by_colour"), [("numbers", False), ("palette", False), ("palette", True), ("array", False)]
)
def test_all_kinds_mean_the_same(tmp_path, kind, by_colour):
    mapped = MaskMap(ENTRIES, by_colour)
    if by_colour:  # white is no class
        with pytest.raises(UserError, match="holds the colour #ffffff in 1 pixels"):
            mapped(saved(tmp_path, kind))
        return
    assert mapped(saved(tmp_path, kind)).tolist() == WANTED


def test_colours_are_looked_up(tmp_path):
    known = [*ENTRIES, Entry(9, "border", (255, 255, 255), True)]
    assert MaskMap(known, True)(saved(tmp_path, "colours")).tolist() == WANTED
    codes = read_codes(saved(tmp_path, "colours"), True)
    assert codes.coloured
    assert codes.numbers[0, 1].item() == 128 * 65536 + 64 * 256 + 128


def test_what_stands_for_no_class_is_named(tmp_path):
    Image.fromarray(np.full((2, 2), 7, dtype=np.uint8)).save(tmp_path / "x.png")
    with pytest.raises(UserError, match=r"x\.png.*7"):
        MaskMap(ENTRIES, False)(tmp_path / "x.png")
    for array in (np.zeros((3, 2, 2)), np.full((2, 2), -1), np.full((2, 2), 0.5)):
        np.save(tmp_path / "y.npy", array)
        with pytest.raises(UserError, match="must hold whole numbers from 0 up"):
            MaskMap(ENTRIES, False)(tmp_path / "y.npy")
    assert MaskMap(ENTRIES, False).table.dtype == torch.uint8
