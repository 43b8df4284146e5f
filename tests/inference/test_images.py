"""Images are cut and normalised as an evaluation does it."""

import numpy as np
import pytest
import torch

from ncp import card
from ncp.data import transforms as T
from ncp.errors import UserError
from ncp.inference import images


def smooth(channels, height, width, seed=0):
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, channels, 4, 5)))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0]
    return fine.clamp(0, 255).round().to(torch.uint8)


@pytest.mark.parametrize(("height", "width", "size", "share"), [
    (51, 67, (32, 32), 0.875), (67, 51, (48, 32), 1.0), (20, 30, (32, 32), 0.875), (400, 301, (224, 224), 0.875),
    (32, 32, (32, 32), 1.0),
])  # fmt: skip
@pytest.mark.parametrize("channels", [3, 5])
def test_the_window_is_the_evaluations(height, width, size, share, channels):
    image = smooth(channels, height, width)
    wanted = T.centre_crop(image, size, share).numpy().astype(int)
    found = images.centred(image.numpy(), size, share)
    assert found.dtype == np.uint8
    assert np.abs(found - wanted).max() <= 1  # Pillow rounds between its two passes


def test_numbers_are_normalised_as_in_training():
    about = card.NetworkCard("cls", "", ("a",), 3, (8, 8), (0.1, 0.5, 0.4), (0.2, 0.25, 0.3), card.Use())
    image = smooth(3, 8, 8)
    wanted = T.normalise(image[None], about.mean, about.std, torch.float32)[0].numpy()
    assert images.normalised(image.numpy(), about) == pytest.approx(wanted, abs=1e-6)


def test_numbers_of_other_ranges_become_bytes(tmp_path):
    use = card.Use(low=[0.0, -1.0], high=[1000.0, 1.0])
    about = card.NetworkCard("cls", "", ("a",), 2, (8, 8), (0.5,) * 2, (0.2,) * 2, use)
    deep = np.stack([np.full((4, 4), 500), np.full((4, 4), 2)]).astype(np.int32)
    np.save(tmp_path / "a.npy", deep)
    assert images.read(tmp_path / "a.npy", about)[:, 0, 0].tolist() == [128, 255]
    np.save(tmp_path / "b.npy", np.full((3, 4, 4), 0xABCD, np.uint16))
    plain = card.NetworkCard("cls", "", ("a",), 3, (8, 8), (0.5,) * 3, (0.2,) * 3, card.Use())
    with pytest.raises(UserError, match=r"b\.npy' holds uint16, the network was trained on photographs of 8 bits"):
        images.read(tmp_path / "b.npy", plain)
    np.save(tmp_path / "c.npy", np.zeros((5, 8, 8), np.uint8))
    with pytest.raises(UserError, match="has 5 channels, the network reads 3"):
        images.read(tmp_path / "c.npy", plain)
