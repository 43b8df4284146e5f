"""The segmentation's loss, worked out pixel by pixel."""

from collections import Counter
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

from ncp.metrics.segmentation import SegmentationScores
from ncp.tasks.segmentation import Segmentation


class Alone(Segmentation):
    """The task with logits that are given."""

    def __init__(self, logits, weights=None):
        nn.Module.__init__(self)
        self.given, self.class_weights = logits, weights
        self.classes = ["a", "b", "c"]
        self.scores = SegmentationScores(3, 255)
        self.sizes = Counter()

    def forward(self, batch):
        return self.given


LOGITS = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
LABEL = torch.randint(0, 3, (2, 8, 10), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
LABEL[:, :3] = 255


def by_hand(weights):
    logits = F.interpolate(LOGITS, (8, 10), mode="bilinear", align_corners=False).double()
    total = 0.0
    for b, i, j in (LABEL != 255).nonzero().tolist():
        k = int(LABEL[b, i, j])
        total += float(weights[k] * (torch.logsumexp(logits[b, :, i, j], 0) - logits[b, k, i, j]))
    return total / LABEL.numel()  # by all pixels, those that count not included


def test_the_loss_is_a_sum_over_labelled_pixels_by_the_number_of_all():
    batch = {"label": LABEL, "image": torch.zeros(2, 3, 16, 20)}
    loss, figures = Alone(LOGITS).loss(batch, report=True)
    torch.testing.assert_close(float(loss), by_hand(torch.ones(3)), rtol=1e-5, atol=0)
    weights = torch.tensor([1.0, 0.5, 3.0])
    loss, none = Alone(LOGITS, weights).loss(batch, report=False)
    torch.testing.assert_close(float(loss), by_hand(weights), rtol=1e-5, atol=0)
    assert set(figures) == {"mAcc", "aAcc"}
    assert none == {}


def test_an_evaluation_counts_pixels_and_sizes():
    task = Alone(LOGITS)
    task.score({"label": LABEL, "image": torch.zeros(2, 3, 16, 20)})
    guess = F.interpolate(LOGITS, (8, 10), mode="bilinear", align_corners=False).argmax(1)
    counted = LABEL != 255
    right = (guess == LABEL)[counted].float().mean()
    torch.testing.assert_close(float(task.scores.compute()["aAcc"]), 100 * float(right), rtol=1e-5, atol=0)
    assert task.sizes == {(16, 20): 2}
    assert torch.equal(task.predict({"label": LABEL}), guess)


def test_what_a_user_of_the_network_must_know():
    data = SimpleNamespace(palette=((1, 2, 3),), eval_short=None, short=64, eval_share=1.0)
    about = Alone(LOGITS).usage(data)
    assert (about["palette"], about["short"]) == ([[1, 2, 3]], 64)
