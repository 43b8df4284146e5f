"""Sliding windows: every pixel is seen, and what is averaged row by row is what an average over all at once would be."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ncp import card
from ncp.errors import UserError
from ncp.inference import segmentation as S

KINDS = 3


class Averages:
    """Logits at a quarter of the input: a fixed mixture of the channels' means, and something that depends on the window."""

    card = card.NetworkCard("seg", "", ("a", "b", "c"), 3, (64, 64), (0.0,) * 3, (1.0,) * 3, card.Use())
    fixed = None
    device = "here"

    def __init__(self):
        self.batches = []

    def logits(self, x):
        self.batches.append(len(x))
        mixture = torch.tensor([[1.0, -0.5, 0.2], [-0.3, 1.1, 0.4], [0.2, 0.1, -0.9]])
        pooled = F.avg_pool2d(torch.from_numpy(x), 4, ceil_mode=True)
        within = pooled - pooled.mean((2, 3), keepdim=True) * 0.7
        return torch.einsum("kc,bchw->bkhw", mixture, within).numpy()


def all_at_once(network, x, size, window):
    """The mean of all windows' logits, enlarged by torch, and its largest."""
    x = x / np.float32(255)  # the card's mean is 0 and its deviation 1
    h, w = window.size
    pads = (0, max(0, w - x.shape[2]), 0, max(0, h - x.shape[1]))
    x = F.pad(torch.from_numpy(x), pads).numpy()
    total, count = np.zeros((KINDS, *x.shape[1:])), np.zeros(x.shape[1:])
    for top in S.places(x.shape[1], h, window.overlap):
        for left in S.places(x.shape[2], w, window.overlap):
            logits = torch.from_numpy(network.logits(x[None, :, top : top + h, left : left + w]))
            total[:, top : top + h, left : left + w] += F.interpolate(logits, (h, w), mode="bilinear")[0].numpy()
            count[top : top + h, left : left + w] += 1
    assert count.min() >= 1
    return (total / count).argmax(0)[: size[0], : size[1]]


@pytest.mark.parametrize(("size", "window", "overlap"), [
    ((100, 150), (48, 64), 0.25), ((100, 150), (48, 64), 0.6), ((64, 64), (64, 64), 0.0), ((40, 200), (64, 64), 0.5),
    ((129, 65), (32, 64), 0.0),
])  # fmt: skip
def test_rows_of_windows_are_all_windows(size, window, overlap):
    x = np.random.default_rng(1).uniform(0, 255, (3, *size)).astype(np.float32)
    network = Averages()
    found = S.through_window(network, x, size, S.Window(window, overlap), batch=2)
    assert max(network.batches) <= 2
    wanted = all_at_once(network, x, size, S.Window(window, overlap))
    assert found.labels.shape == size
    assert (found.labels == wanted).mean() > 0.999
    assert 1 / KINDS < found.confidence < 1


@pytest.mark.parametrize("length", [32, 33, 100, 517])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_windows_cover_all_and_share_enough(length, overlap):
    found = S.places(length, 32, overlap)
    assert found[0] == 0
    assert found[-1] == max(0, length - 32)
    steps = np.diff(found)
    assert (steps >= 1).all()
    assert (steps <= max(1, round(32 * (1 - overlap)))).all()


def test_labels_are_the_largest_of_enlarged_logits():
    logits = torch.randn(1, 19, 16, 24, generator=torch.Generator().manual_seed(0))
    for size in ((64, 96), (61, 99), (16, 24), (10, 11)):
        wanted = F.interpolate(logits, size, mode="bilinear")[0]
        assert S.enlarged(logits[0].numpy(), size) == pytest.approx(wanted.numpy(), abs=2e-5)
        assert (S.largest(logits[0].numpy(), size) == wanted.argmax(0).numpy()).mean() > 0.9999
    assert S.confidence(logits[0].numpy()) == pytest.approx(float(logits.softmax(1).amax(1).mean()), abs=1e-6)


def test_a_file_of_one_size_is_its_window():
    assert S.window_of(None, 0.25, (64, 128)) == S.Window((64, 128), 0.25)
    assert S.window_of(None, 0.25, None) is None
    with pytest.raises(UserError, match="this ONNX file reads images of 64x128 alone"):
        S.window_of([32, 32], 0.25, (64, 128))


def test_a_large_image_needs_a_window():
    network = Averages()
    image = np.zeros((3, 1, S.WHOLE + 1), np.uint8)
    with pytest.raises(UserError, match="see it through window="):
        S.prepared(image, network, None)
    assert S.prepared(image[:, :, :9], network, S.Window((32, 32), 0)).shape == (3, 1, 9)
