"""Images of any kind as a network's input."""

import numpy as np
import pytest
from PIL import Image

from ncp.data.folder import reading
from ncp.errors import UserError

RNG = np.random.default_rng(0)


def saved(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


KINDS = {
    "RGB": ("jpg", "png", "tif", "webp", "bmp"), "L": ("jpg", "png", "tif", "webp", "bmp", "gif"),
    "P": ("png", "tif", "bmp", "gif"), "CMYK": ("jpg", "tif"), "RGBA": ("png", "tif", "webp"), "LA": ("png", "tif"),
    "1": ("png", "tif"),
}  # fmt: skip


@pytest.mark.parametrize(("mode", "ending"), [(mode, ending) for mode, endings in KINDS.items() for ending in endings])
def test_photographs_of_8_bits_become_rgb(tmp_path, ending, mode):
    image = Image.fromarray(RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)).convert(mode)
    path = tmp_path / f"a.{ending}"
    image.save(path)
    assert reading.kind_of(path)[:3] == (3, True, (20, 30))
    read = reading.find([path])
    assert (read.channels, read.mean) == (3, reading.IMAGENET_MEAN)
    wanted = np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(read(path).numpy(), wanted)


def test_a_turned_photograph_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    Image.fromarray(RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path, exif=exif)
    assert reading.kind_of(path).size == (30, 20)
    assert reading.find([path])(path).shape == (3, 30, 20)


def test_grey_of_16_bits_keeps_what_its_upper_byte_would_lose(tmp_path):
    """A camera of 12 bits: all numbers are below 4,096, a sixteenth of what the file could hold."""
    array = RNG.integers(0, 4096, (64, 64), dtype=np.uint16)
    paths = [saved(tmp_path / "a.png", array), saved(tmp_path / "b.tif", array)]
    read = reading.find(paths)
    assert (read.channels, read.photo) == (1, False)
    assert 0 <= read.low[0] < 20
    assert 4076 < read.high[0] <= 4095
    for path in paths:
        wanted = np.clip((array - read.low[0]) / (read.high[0] - read.low[0]), 0, 1)
        assert np.abs(read(path)[0].numpy() / 255 - wanted).max() < 0.003
    assert abs(read.mean[0] - 0.5) < 0.02


def test_many_channels_follow(tmp_path):
    arrays = [RNG.normal(k, 1 + np.arange(7)[:, None, None], (7, 12, 33)) for k in range(3)]
    paths = []
    for i, array in enumerate(arrays):
        np.save(tmp_path / f"{i}.npy", array)
        paths.append(tmp_path / f"{i}.npy")
    read = reading.find(paths)
    assert read.channels == 7
    out = np.stack([read(path).numpy() / 255.0 for path in paths])
    assert np.allclose(out.mean((0, 2, 3)), read.mean, atol=0.01)  # measured on these very files
    assert np.allclose(out.std((0, 2, 3)), read.std, atol=0.01)
    assert (out.min((0, 2, 3)) == 0).all()
    assert (out.max((0, 2, 3)) == 1).all()
    given = reading.find(paths, channels=7, low=[0] * 7, high=[10] * 7, mean=[0.1] * 7, std=[1] * 7)
    wanted = (np.clip(arrays[0] / 10, 0, 1) * 255).round()
    assert np.abs(given(paths[0]).numpy() - wanted).max() <= 1
    assert reading.find(paths, **read.resolved()) == read  # as a checkpoint has it


def test_bytes_keep_their_range(tmp_path):
    array = RNG.integers(50, 200, (5, 10, 20), dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    read = reading.find([tmp_path / "a.npy"])
    assert np.array_equal(read(tmp_path / "a.npy").numpy(), array)


def test_what_is_no_number_is_the_lowest(tmp_path):
    array = np.linspace(0, 1, 600, dtype=np.float32).reshape(1, 20, 30)
    array[0, 0, 0] = np.nan
    np.save(tmp_path / "a.npy", array[0])
    out = reading.find([tmp_path / "a.npy"])(tmp_path / "a.npy")
    assert out[0, 0, 0] == 0
    assert out.max() == 255


def test_images_that_do_not_agree(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 20, 30)))
    np.save(tmp_path / "b.npy", np.zeros((5, 20, 30)))
    with pytest.raises(UserError, match=r"b.npy.* has 5 channels where .*a.npy.* has 4"):
        reading.find([tmp_path / "a.npy", tmp_path / "b.npy"])
    read = reading.find([tmp_path / "a.npy"])
    with pytest.raises(UserError, match="has 5 channels where the set has 4"):
        read(tmp_path / "b.npy")
    with pytest.raises(UserError, match=r"data.high must be above data.low"):
        reading.find([tmp_path / "a.npy"], low=[0] * 4, high=[0] * 4)
    with pytest.raises(UserError, match=r"data.std must be above 0"):
        reading.find([tmp_path / "a.npy"], std=[0] * 4)
    with pytest.raises(UserError, match=r"data.low needs a number for each of 4 channels"):
        reading.find([tmp_path / "a.npy"], low=[0], high=[1])


def test_large_images_are_measured_by_some_of_their_pixels(tmp_path, monkeypatch):
    smooth = np.add.outer(np.arange(120.0), np.arange(80.0))
    np.save(tmp_path / "a.npy", np.stack([smooth, 5 * smooth]))
    whole = reading.find([tmp_path / "a.npy"])
    monkeypatch.setattr(reading, "PIXELS", 400)
    some = reading.find([tmp_path / "a.npy"])
    assert some.high == pytest.approx(whole.high, rel=0.1)
    assert some.mean == pytest.approx(whole.mean, rel=0.1)
    assert reading._thinned(np.zeros((2, 120, 80))).shape == (2, 24, 16)
