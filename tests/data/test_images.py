"""Every kind of image and label is read as Pillow or a hand-written file says, or refused by name; damaged ones do no harm."""

import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ncp.data.images import PIXELS, SUFFIXES, image_size, read_array, read_codes, read_image, read_label
from ncp.errors import UserError

ORIENTATION = 0x0112
RNG = np.random.default_rng


def picture(height=36, width=48, seed=0):
    """Smooth colours and a little noise."""
    coarse = Image.fromarray(RNG(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray(np.clip(smooth + RNG(seed).integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8))


def write_png(path, size, depth, colour, rows, palette=b""):
    """A PNG by hand: ``rows`` are the packed bytes of each row."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", size[1], size[0], depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"PLTE", palette) if palette else b""]
    parts += [chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def packed(numbers_HW, depth):
    """Rows of numbers of 1, 2, 4, 8 or 16 bits as bytes, the first in the highest bits."""
    places = np.arange(depth)[::-1]
    bits = (numbers_HW[:, :, None] >> places & 1).reshape(len(numbers_HW), -1).astype(np.uint8)
    return [row.tobytes() for row in np.packbits(bits, axis=1)]


def hwc(image_CHW):
    return image_CHW.permute(1, 2, 0).numpy()


# ---- images


KINDS = {
    "png": ("RGB", "L", "1", "P", "RGBA", "LA"),
    "jpg": ("RGB", "L", "CMYK", "YCbCr"),
    "gif": ("RGB", "L", "1", "P"),
    "bmp": ("RGB", "L", "1", "P", "RGBA"),
    "tif": ("RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr"),
    "webp": ("RGB", "RGBA"),
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in KINDS.items() for mode in modes])
def test_images_are_rgb_whatever_their_kind(tmp_path, kind, mode):
    path = tmp_path / f"a.{kind}"
    picture().convert(mode).save(path)
    image = read_image(path)
    assert image.dtype == torch.uint8
    assert np.array_equal(hwc(image), np.asarray(Image.open(path).convert("RGB")))
    assert image_size(path) == (36, 48)
    assert np.array_equal(read_array(path), image.numpy())


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 97}, {"optimize": True}])
def test_jpegs_are_the_same_numbers_as_pillows(tmp_path, options):
    picture(51, 67).save(tmp_path / "a.jpg", **options)
    assert np.array_equal(hwc(read_image(tmp_path / "a.jpg")), np.asarray(Image.open(tmp_path / "a.jpg")))


@pytest.mark.parametrize("colour", [0, 2])
def test_the_upper_8_of_16_bits_are_kept(tmp_path, colour):
    channels = 1 if colour == 0 else 3
    numbers = RNG(0).integers(0, 65536, (5, 7, channels))
    path = write_png(tmp_path / "a.png", (5, 7), 16, colour, packed(numbers.reshape(5, -1), 16))
    assert np.array_equal(hwc(read_image(path)), np.broadcast_to(numbers >> 8, (5, 7, 3)))


def test_the_ending_of_a_name_says_nothing(tmp_path):
    picture().save(tmp_path / "a.JPEG", "PNG")  # ImageNet holds one
    assert read_image(tmp_path / "a.JPEG").shape == (3, 36, 48)
    assert set(SUFFIXES) >= {".jpg", ".png", ".webp"}


@pytest.mark.parametrize("number", range(1, 9))
def test_images_and_labels_are_turned_as_their_exif_says(tmp_path, number):
    exif = Image.Exif()
    exif[ORIENTATION] = number
    for kind in ("jpg", "png", "webp", "tif"):
        picture().save(tmp_path / f"a.{kind}", exif=exif)
        upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / f"a.{kind}")).convert("RGB"))
        assert np.array_equal(hwc(read_image(tmp_path / f"a.{kind}")), upright)
        assert image_size(tmp_path / f"a.{kind}") == upright.shape[:2]
    label = Image.fromarray(RNG(0).integers(0, 9, (6, 9), dtype=np.uint8))
    label.save(tmp_path / "label.png", exif=exif)
    assert np.array_equal(read_label(tmp_path / "label.png").numpy(), np.asarray(ImageOps.exif_transpose(
        Image.open(tmp_path / "label.png"))))  # fmt: skip


def test_damaged_exif_is_no_reason_to_refuse_a_photograph(tmp_path):
    picture().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_image(tmp_path / "a.jpg").shape == (3, 36, 48)


# ---- labels


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("colour", [0, 3])
def test_labels_are_the_numbers_in_the_file(tmp_path, depth, colour):
    numbers = RNG(depth).integers(0, 2**depth, (7, 13))
    palette = RNG(1).integers(0, 256, 3 * 2**depth, dtype=np.uint8).tobytes() if colour == 3 else b""
    path = write_png(tmp_path / "a.png", (7, 13), depth, colour, packed(numbers, depth), palette)
    label = read_label(path)
    assert label.dtype == torch.uint8
    assert np.array_equal(label.numpy(), numbers)


@pytest.mark.parametrize("kind", ["png", "tif", "gif", "bmp"])
@pytest.mark.parametrize("mode", ["L", "P"])
def test_labels_of_other_formats_too(tmp_path, kind, mode):
    numbers = RNG(0).integers(0, 151, (9, 11), dtype=np.uint8)
    label = Image.fromarray(numbers)
    if mode == "P":
        label.putpalette(RNG(1).integers(0, 256, 768, dtype=np.uint8).tobytes())
    label.save(tmp_path / f"a.{kind}", optimize=False)
    read = read_label(tmp_path / f"a.{kind}").numpy()
    assert np.array_equal(read, np.asarray(Image.open(tmp_path / f"a.{kind}")))
    assert np.array_equal(read, numbers)


def test_labels_of_16_bits_hold_up_to_255(tmp_path):
    numbers = RNG(0).integers(0, 256, (5, 6))
    path = write_png(tmp_path / "a.png", (5, 6), 16, 0, packed(numbers, 16))
    assert np.array_equal(read_label(path).numpy(), numbers)
    numbers[2, 3] = 300
    write_png(path, (5, 6), 16, 0, packed(numbers, 16))
    with pytest.raises(UserError, match=r"a.png' holds the number 300; labels hold 0 to 255"):
        read_label(path)


def test_labels_that_would_be_other_numbers_are_refused(tmp_path):
    picture().save(tmp_path / "colour.png")
    with pytest.raises(UserError, match=r"colour.png' must be an 8-bit image of one channel, found 3 channels"):
        read_label(tmp_path / "colour.png")
    picture().convert("L").save(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"a.jpg' is a JPEG, which does not keep a label's numbers"):
        read_label(tmp_path / "a.jpg")
    picture().convert("LA").save(tmp_path / "alpha.png")
    with pytest.raises(UserError, match=r"alpha.png' must be an 8-bit image of one channel, found 2 channels"):
        read_label(tmp_path / "alpha.png")
    picture().convert("L").save(tmp_path / "white.tif", tiffinfo={262: 0})  # 0 is white: Pillow turns the numbers round
    with pytest.raises(UserError, match=r"white.tif' must be"):
        read_label(tmp_path / "white.tif")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.webp", {"quality": 60}, "a lossy WebP"),
        ("b.webp", {"quality": 60, "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}, "a lossy WebP"),  # in an extended file
        ("a.tif", {"compression": "jpeg"}, "a TIFF packed as jpeg"),
    ],
)
def test_masks_that_were_packed_with_a_loss_are_refused(tmp_path, name, options, message):
    image = picture() if name.endswith("webp") else picture().convert("L")
    image.save(tmp_path / name, **options)
    for read, what in ((read_label, "label"), (read_codes, "mask")):
        with pytest.raises(UserError, match=rf"{name}' is {message}, which does not keep a {what}'s numbers"):
            read(tmp_path / name)
    kept = {"lossless": True} if name.endswith("webp") else {"compression": "tiff_lzw"}
    image.save(tmp_path / name, **kept)
    colours, _ = read_codes(tmp_path / name)
    wanted = np.asarray(image)
    assert np.array_equal(colours.numpy(), wanted.transpose(2, 0, 1) if wanted.ndim == 3 else wanted)


def test_a_mask_of_16_bits_with_transparency_is_refused(tmp_path):
    numbers = RNG(0).integers(0, 300, (5, 6))
    both = np.stack([numbers, np.full_like(numbers, 65_535)], axis=-1).reshape(5, 12)
    path = write_png(tmp_path / "a.png", (5, 6), 16, 4, packed(both, 16))
    with pytest.raises(UserError, match=r"a.png' is grey of 16 bits with transparency"):
        read_codes(path)


# ---- what is refused


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tif"])
def test_animations_and_pages_are_refused_by_name(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    picture().save(path, save_all=True, append_images=[picture(seed=1)])
    for read in (read_image, read_label, image_size):
        with pytest.raises(UserError, match=rf"a.{kind}' holds several pictures"):
            read(path)


def test_kinds_of_pixels_without_a_rule_are_refused(tmp_path):
    Image.fromarray(RNG(0).random((5, 6)).astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a.tif' has pixels of the kind F"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("side", [30_000, 10_001])
@pytest.mark.parametrize("read", [read_image, read_label, image_size])
def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, read, side):
    assert side * side > PIXELS
    path = write_png(tmp_path / "a.png", (side, side), 8, 0, [])
    with pytest.raises(UserError, match=r"a.png' has .*100,000,000"):
        read(path)


def test_a_jpeg_that_asks_for_thousands_of_passes_is_refused(tmp_path):
    picture().save(tmp_path / "a.jpg", progressive=True)
    content = (tmp_path / "a.jpg").read_bytes()
    at = content.index(b"\xff\xda")
    scan = content[at : content.index(b"\xff", at + 2)]
    (tmp_path / "a.jpg").write_bytes(content[:at] + scan * 2000 + content[at:])
    with pytest.raises(UserError, match=r"a.jpg' is a JPEG of more than 500 scans"):
        read_image(tmp_path / "a.jpg")


def test_files_that_are_missing_or_none_are_named(tmp_path):
    with pytest.raises(UserError, match=r"there is no file '.*gone.png'"):
        read_image(tmp_path / "gone.png")
    (tmp_path / "bad.jpg").write_bytes(b"this is no picture")
    with pytest.raises(UserError, match=r"bad.jpg' is corrupt or no image \(of an unknown format\)"):
        read_image(tmp_path / "bad.jpg")
    (tmp_path / "two\nlines.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"two\\nlines.png' is corrupt"):
        read_image(tmp_path / "two\nlines.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match=r"pipe.png' is no regular file"):
        read_label(tmp_path / "pipe.png")


# ---- damage


@pytest.mark.parametrize("at", range(3, 60, 4))
def test_every_damaged_part_of_a_png_is_noticed(tmp_path, at):
    """A wrong checksum: damaged data often decodes to something."""
    for kind, mode in (("label", "P"), ("image", "RGB")):
        path = tmp_path / f"{kind}.png"
        picture().convert(mode).save(path)
        content = bytearray(path.read_bytes())
        data = content.index(b"IDAT") + 4
        content[data + at] ^= 16
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"{kind}.png' is corrupt or no image"):
            (read_label if kind == "label" else read_image)(path)


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "tif", "webp"])
def test_damaged_files_are_read_or_refused_by_name(tmp_path, kind):
    rng = RNG(zlib.crc32(kind.encode()))
    whole = []
    for mode in KINDS[kind]:
        picture().convert(mode).save(tmp_path / f"a.{kind}")
        whole.append((tmp_path / f"a.{kind}").read_bytes())
    path, said = tmp_path / f"x.{kind}", []
    for turn in range(160):
        content = bytearray(whole[turn % len(whole)])
        start, end = sorted(rng.integers(0, len(content), 2).tolist())
        if turn % 4 == 0:
            content = content[:end]
        elif turn % 4 == 1:
            content = content[:start] + content[end:]
        else:
            near = 100 if turn % 4 == 2 else len(content)
            for place in rng.integers(0, near, 5):
                content[place] = rng.integers(0, 256)
        path.write_bytes(content)
        for read in (read_image, read_label):
            try:
                read(path)
            except UserError as error:
                said.append(str(error))
    assert len(said) > 40
    assert all(str(path) in line and "\n" not in line for line in said)
