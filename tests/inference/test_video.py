"""Scores of a video from those of its clips, and small pictures of frames."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.special

from ncp.inference.video import SHOWN, scores, thumb


class Network:
    """Logits that are sums over the clip: what it is given can be told from them."""

    card = SimpleNamespace(mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))

    def __init__(self):
        self.batches = []

    def logits(self, x):
        self.batches.append(len(x))
        totals = x.reshape(len(x), -1).sum(1) / 1000
        return np.stack([totals, -totals, np.zeros_like(totals)], 1)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_videos_scores_are_the_mean_of_its_clips(batch):
    clips = np.random.default_rng(0).integers(0, 255, (5, 2, 3, 4, 4), dtype=np.uint8)
    network = Network()
    found = scores(network, clips, batch)
    totals = clips.reshape(5, -1).sum(1) / 1000
    wanted = scipy.special.softmax(np.stack([totals, -totals, 0 * totals], 1), axis=1)
    np.testing.assert_allclose(found.clips, wanted, rtol=1e-4)
    np.testing.assert_allclose(found.video, wanted.mean(0), rtol=1e-4)
    assert sum(network.batches) == 5
    assert max(network.batches) <= batch


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 192, 300), (1, 50, 20), (5, 96, 96)])
def test_small_pictures_keep_the_aspect(channels, height, width):
    small = thumb(np.full((channels, height, width), 90, dtype=np.uint8))
    zoom = min(1, SHOWN / height)
    assert small.shape == (round(height * zoom), round(width * zoom), 3)
    assert (small == 90).all()
