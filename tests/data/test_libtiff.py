"""Damaged TIFFs are told by one line of ours, and by nothing that a library writes to the terminal on its own."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from ncp.data import images, tiff
from ncp.errors import UserError


@pytest.mark.skipif(sys.platform != "linux", reason="Pillow's libraries are found as Linux lists them")
@pytest.mark.parametrize("reader", [images.read_image, images.read_label, tiff.read_tiff])
@pytest.mark.parametrize(("packing", "kind"), [("tiff_lzw", "L"), ("tiff_adobe_deflate", "L"), ("group4", "1")])
def test_a_damaged_tiff_is_silent(tmp_path, capfd, reader, packing, kind):
    written = io.BytesIO()
    picture = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)
    Image.fromarray(picture).convert(kind).save(written, "TIFF", compression=packing)
    told = []
    for i in range(8, len(written.getvalue()), 37):
        content = bytearray(written.getvalue())
        content[i : i + 3] = b"\xff\x00\xff"
        (tmp_path / "a.tif").write_bytes(content)
        try:
            reader(tmp_path / "a.tif")
        except UserError as error:
            told.append(str(error))
    assert told
    assert all("a.tif" in line for line in told)
    assert capfd.readouterr() == ("", "")
