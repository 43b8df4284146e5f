"""Augmentation of clips: the same for all frames, the usual arithmetic."""

import numpy as np
import pytest
import torch

from ncp.data.clip_augmentation import CHANGES, ClipAugmentation
from ncp.errors import UserError

RNG = np.random.default_rng


def test_augmentation_is_the_same_for_all_frames_of_a_clip():
    picture = torch.from_numpy(RNG(0).integers(0, 256, (1, 3, 24, 32), dtype=np.uint8))
    clip = picture.expand(5, -1, -1, -1)
    how = ClipAugmentation()
    made = []
    for i in range(8):
        rng = RNG(i)
        window = how.crop(clip, rng, (16, 16))
        made.append(how.apply(window, how.draw(rng)))
    for x in made:
        assert x.shape == (5, 3, 16, 16)
        assert (x == x[:1]).all()
    assert len({float(x.float().mean()) for x in made}) == 8
    grey = [bool((x[:, 0] == x[:, 1]).all() and (x[:, 1] == x[:, 2]).all()) for x in made]
    assert 0 < sum(grey) < 8


def test_colours_are_the_usual_arithmetic():
    from torchvision.transforms.v2 import functional as F

    x = torch.from_numpy(RNG(0).integers(0, 256, (1, 3, 8, 8), dtype=np.uint8))
    for name, function in (("brightness", F.adjust_brightness), ("contrast", F.adjust_contrast),
                           ("saturation", F.adjust_saturation), ("hue", F.adjust_hue)):  # fmt: skip
        only = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0) | {name: 0.4}
        rng = RNG(3)
        order = list(rng.permutation(["brightness", "contrast", "saturation", "hue"]))
        amounts = [rng.uniform(-only[k], only[k]) for k in order]
        amount = amounts[order.index(name)]
        wanted = function(x / 255, amount if name == "hue" else 1 + amount) * 255
        how = ClipAugmentation(**only, greyscale=0.0)
        numbers = how.draw(RNG(3))
        assert [CHANGES[int(number)] for number in numbers[:-1:2]] == order
        got = how.apply(x, numbers)
        assert (got.float() - wanted).abs().max() <= 0.55, name
        assert (got.float() - x).abs().max() > 1


def test_augmentations_that_do_not_exist_are_refused():
    with pytest.raises(UserError, match=r"unknown key 'data.augmentation.flip' .* its keys: scale, brightness,"):
        ClipAugmentation.of({"flip": 0.5})
    with pytest.raises(UserError, match=r"data.augmentation.hue is in 0..0.5, given was 2"):
        ClipAugmentation.of({"hue": 2})
    with pytest.raises(UserError, match=r"scale is a range of shares"):
        ClipAugmentation.of({"scale": [0.5, 2]})
    with pytest.raises(UserError, match=r"data.augmentation must be keys with values, or null, given was 3"):
        ClipAugmentation.of(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["much", None, [0.1], True, float("nan"), -0.1])
def test_amounts_are_numbers_in_their_range(value):
    with pytest.raises(UserError, match=r"data.augmentation"):
        ClipAugmentation.of({"hue": value} if value is not None else {"scale": [0.1]})


def test_a_configuration_gives_what_it_says():
    made = ClipAugmentation.of({"scale": [0.5, 1], "greyscale": 0})
    assert (made.scale, made.greyscale, made.hue) == ((0.5, 1.0), 0.0, 0.25)
