"""Which frames make a clip, and augmentation that is the same for all of them."""

import numpy as np
import pytest
import torch

from ncp.data.clips import Augmentation, Sampling
from ncp.errors import UserError

RNG = np.random.default_rng


def test_dense_clips_by_hand():
    sampling = Sampling("dense", frames=3, stride=4, clips=2)
    assert sampling.evaluation(20).tolist() == [[0, 4, 8], [11, 15, 19]]
    assert Sampling("dense", 3, 4).evaluation(20).tolist() == [[5, 9, 13]]
    starts = {int(sampling.train(11, RNG(i))[0, 0]) for i in range(60)}
    assert starts == {0, 1, 2}
    # too short for the stride: all of it, evenly
    assert sampling.train(5, RNG(0)).tolist() == [[0, 2, 4]]
    assert sampling.evaluation(1).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_segments_take_one_frame_of_each_part():
    sampling = Sampling("segments", frames=4, clips=2)
    assert sampling.evaluation(16).tolist() == [[1, 5, 9, 13], [3, 7, 11, 15]]
    seen = np.concatenate([sampling.train(16, RNG(i)) for i in range(200)])
    assert all(set(seen[:, k]) == set(range(4 * k, 4 * k + 4)) for k in range(4))
    assert sampling.evaluation(2).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


def test_the_default_window_fits_the_shortest_training_video():
    sampling = Sampling()
    span = sampling.train(64, RNG(0))[0]
    assert (np.diff(span) == 8).all()
    assert span[-1] < 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "sparse"}, "data.sampling must be one of dense, segments, given was 'sparse'"),
        ({"frames": 0}, "data.frames must be a whole number of at least 1, given was 0"),
        ({"clips": 1.5}, "data.clips must be a whole number of at least 1, given was 1.5"),
    ],
)
def test_impossible_samplings(options, message):
    with pytest.raises(UserError, match=message):
        Sampling(**options)


def test_augmentation_is_the_same_for_all_frames_of_a_clip():
    picture = torch.from_numpy(RNG(0).integers(0, 256, (1, 3, 24, 32), dtype=np.uint8))
    clip = picture.expand(5, -1, -1, -1)
    made = [Augmentation()(clip, RNG(i), (16, 16)) for i in range(8)]
    for x in made:
        assert x.shape == (5, 3, 16, 16)
        assert (x == x[:1]).all()
    assert len({float(x.float().mean()) for x in made}) == 8
    grey = [bool((x[:, 0] == x[:, 1]).all() and (x[:, 1] == x[:, 2]).all()) for x in made]
    assert 0 < sum(grey) < 8


def test_colours_are_the_usual_arithmetic():
    from torchvision.transforms.v2 import functional as F

    x = torch.rand(1, 3, 8, 8) * 255
    for name, function in (("brightness", F.adjust_brightness), ("contrast", F.adjust_contrast),
                           ("saturation", F.adjust_saturation), ("hue", F.adjust_hue)):  # fmt: skip
        only = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0) | {name: 0.4}
        rng = RNG(3)
        order = list(rng.permutation(["brightness", "contrast", "saturation", "hue"]))
        amounts = [rng.uniform(-only[k], only[k]) for k in order]
        amount = amounts[order.index(name)]
        wanted = function(x / 255, amount if name == "hue" else 1 + amount) * 255
        got = Augmentation(**only).colours(x, RNG(3))
        assert torch.allclose(got, wanted, atol=0.05), name
        assert not torch.allclose(got, x, atol=1)


def test_augmentations_that_do_not_exist_are_refused():
    with pytest.raises(UserError, match=r"data.augmentation: got an unexpected keyword argument 'flip'"):
        Augmentation.of({"flip": 0.5})
    with pytest.raises(UserError, match=r"data.augmentation.hue is in 0..0.5, given was 2"):
        Augmentation.of({"hue": 2})
    with pytest.raises(UserError, match=r"scale is a range of shares"):
        Augmentation.of({"scale": [0.5, 2]})
