"""TIFF files of any number of channels; Pillow wrote the files where it can."""

import struct

import numpy as np
import pytest
from PIL import Image

from ncp.data import tiff
from ncp.data.folder import reading
from ncp.errors import UserError

RNG = np.random.default_rng(0)
PICTURES = {
    "bytes": RNG.integers(0, 256, (37, 41, 3), dtype=np.uint8),
    "deep": RNG.integers(0, 65_536, (37, 41), dtype=np.uint16),
    "real": RNG.random((37, 41), dtype=np.float32),
}


# orientation of a picture as it is stored -> as it is meant (TIFF 6.0, tag 274)
UPRIGHT = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a.swapaxes(0, 1), 2), 8: np.rot90,
}  # fmt: skip


@pytest.mark.parametrize("packing", [None, "packbits", "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("kind", PICTURES)
def test_a_tiff_as_pillow_wrote_it(tmp_path, packing, kind):
    path, array = tmp_path / "a.tif", PICTURES[kind]
    options = {} if packing is None else {"compression": packing}
    predictor = {"bytes": 2, "deep": 2, "real": 3}[kind]
    for tags in ({}, {317: predictor}) if packing in ("tiff_lzw", "tiff_adobe_deflate") else ({},):
        Image.fromarray(array).save(path, tiffinfo=tags, **options)
        wanted = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        assert np.array_equal(tiff.read_tiff(path), wanted)
        assert tiff.tiff_head(path).size == (37, 41)


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("kind", PICTURES)
def test_a_turned_tiff_is_read_upright(tmp_path, number, kind):
    turn = Image.Exif()
    turn[274] = number
    Image.fromarray(PICTURES[kind]).save(tmp_path / "a.tif", exif=turn)
    array = UPRIGHT[number](PICTURES[kind])
    read = tiff.read_tiff(tmp_path / "a.tif")
    assert np.array_equal(read, array[None] if array.ndim == 2 else array.transpose(2, 0, 1))
    assert tiff.tiff_head(tmp_path / "a.tif").upright == read.shape[1:]
    assert reading.kind_of(tmp_path / "a.tif").size == read.shape[1:]


def write_tiff(path, array_CHW, order="<", apart=False, tile=None, large=False):
    """A plain TIFF by hand: any number of channels, together or apart, in one strip a plane or tiles, small or large."""
    count, height, width = array_CHW.shape
    data = array_CHW.astype(array_CHW.dtype.newbyteorder(order))
    planes = [data[i : i + 1] for i in range(count)] if apart else [data]
    parts = []
    for plane in planes:
        if tile is None:
            parts.append(plane.transpose(1, 2, 0).tobytes())
            continue
        down, across = -(-height // tile), -(-width // tile)
        padded = np.zeros((len(plane), down * tile, across * tile), data.dtype)
        padded[:, :height, :width] = plane
        for i in range(down):
            for j in range(across):
                parts.append(
                    padded[:, i * tile : (i + 1) * tile, j * tile : (j + 1) * tile].transpose(1, 2, 0).tobytes()
                )
    bits = data.dtype.itemsize * 8
    kind = {"u": 1, "i": 2, "f": 3}[data.dtype.kind]
    word = "Q" if large else "I"
    head = 16 if large else 8
    offsets, at = [], head
    for part in parts:
        offsets.append(at)
        at += len(part)
    sizes = [len(part) for part in parts]
    lists = [(322 + 2 if tile else 273, offsets), (325 if tile else 279, sizes)]
    tags = [(256, [width]), (257, [height]), (258, [bits] * count), (259, [1]), (262, [1]), (277, [count]), *lists]
    tags += [(284, [2 if apart else 1]), (338, [0] * (count - 1)), (339, [kind] * count)]
    tags += [(322, [tile]), (323, [tile])] if tile else [(278, [height])]
    tags = sorted(tag for tag in tags if tag[1])
    code, slot = (16, 8) if large else (4, 4)
    entries, extra = b"", b""
    table = at + (8 if large else 2) + len(tags) * (20 if large else 12) + slot
    for tag, values in tags:
        packed = struct.pack(f"{order}{len(values)}{word}", *values)
        if len(packed) > slot:
            place = struct.pack(f"{order}{word}", table + len(extra))
            extra += packed
        else:
            place = packed.ljust(slot, b"\0")
        entries += struct.pack(f"{order}HH{word}", tag, code, len(values)) + place
    mark = b"II" if order == "<" else b"MM"
    first = struct.pack(f"{order}HHHQ", 43, 8, 0, at) if large else struct.pack(f"{order}HI", 42, at)
    number = struct.pack(f"{order}{'Q' if large else 'H'}", len(tags))
    path.write_bytes(mark + first + b"".join(parts) + number + entries + b"\0" * slot + extra)


@pytest.mark.parametrize("channels", [1, 4, 7, 16])
@pytest.mark.parametrize(
    "options", [{}, {"apart": True}, {"tile": 16}, {"tile": 16, "apart": True}, {"order": ">"}, {"large": True}]
)
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4"])
def test_channels_in_every_arrangement(tmp_path, channels, options, dtype):
    array = RNG.integers(0, 120, (channels, 21, 35)).astype(dtype)
    write_tiff(tmp_path / "a.tif", array, **options)
    assert np.array_equal(tiff.read_tiff(tmp_path / "a.tif"), array)


def test_what_a_tiff_may_not_be(tmp_path):
    path = tmp_path / "a.tif"
    write_tiff(path, np.zeros((17, 8, 8), np.uint8))
    with pytest.raises(UserError, match="has 17 channels of 8 bits; up to 16"):
        tiff.read_tiff(path)
    write_tiff(path, np.zeros((2, 8, 8), np.uint16))
    whole = path.read_bytes()
    for cut in (0, 3, 7, 100, len(whole) - 40):
        path.write_bytes(whole[:cut])
        with pytest.raises(UserError, match=r"a.tif"):
            tiff.read_tiff(path)
    pages = [Image.fromarray(PICTURES["deep"])] * 2
    pages[0].save(path, save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match="several pictures"):
        tiff.read_tiff(path)
    huge = bytearray(whole)
    at = whole.index(struct.pack("<HHII", 256, 4, 1, 8))
    huge[at + 8 : at + 12] = struct.pack("<I", 2**31)
    path.write_bytes(huge)
    with pytest.raises(UserError, match="at most 100,000,000"):
        tiff.read_tiff(path)


def test_damaged_tiffs_are_refused_and_never_break(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(PICTURES["deep"]).save(path, compression="tiff_lzw")
    whole = path.read_bytes()
    refused = 0
    for _ in range(150):
        bad = bytearray(whole)
        for place in RNG.integers(0, len(bad), 4):
            bad[place] = RNG.integers(0, 256)
        path.write_bytes(bad)
        try:
            tiff.read_tiff(path)
        except UserError:
            refused += 1
    assert refused


def write_tags(path, *tags):
    """A TIFF of these tags: number, type, how many, and where or what."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4))
    return path


def test_tags_that_ask_for_too_much(tmp_path):
    path, side = tmp_path / "a.tif", ((256, 4, 1, 4), (257, 4, 1, 4))
    with pytest.raises(UserError, match="has 1 channels of 1 bits"):  # bits without a number
        tiff.read_tiff(write_tags(path, *side, (258, 3, 0, 0)))
    with pytest.raises(UserError, match="corrupt"):
        tiff.tiff_head(write_tags(path, *side, (258, 3, 2**20, 8)))
    tags = tiff.tiff_head(write_tags(path, *side, (50_000, 4, 2**31, 0), (256, 4, 1, 9))).tags
    assert tags == {256: (4,), 257: (4,)}  # others are not read, and a second one does not count
    path.write_bytes(b"II" + struct.pack("<HHHQ", 43, 8, 0, 2**62))
    with pytest.raises(UserError, match="corrupt or no TIFF"):
        tiff.tiff_head(path)


def test_parts_far_larger_than_the_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "BYTES", 10_000)
    sizes = ((256, 4, 1, 4), (257, 4, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (322, 4, 1, 2), (323, 4, 1, 4096))
    lists = ((324, 3, 2, 0), (325, 3, 2, 0x10001))
    with pytest.raises(UserError, match="it is cut off"):
        tiff.read_tiff(write_tags(tmp_path / "a.tif", *sizes, *lists))
    with pytest.raises(UserError, match="larger than it"):
        tiff.read_tiff(write_tags(tmp_path / "a.tif", (256, 4, 1, 2000), *sizes[1:], *lists))
