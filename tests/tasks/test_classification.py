"""Classification: its loss and hits against torch's own, its count of operations against the network's."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ncp import models
from ncp.metrics.classification import TopK
from ncp.spaces.multires import SPACE
from ncp.tasks.base import counted_macs
from ncp.tasks.classification import Classification

LOGITS = torch.randn(6, 7, generator=torch.Generator().manual_seed(0))
LABEL = torch.tensor([0, 1, 2, 3, 6, 6])


class Alone(Classification):
    """The task with logits that are given."""

    def __init__(self, weights=None, smoothing=0.1):
        nn.Module.__init__(self)
        self.class_weights, self.recipe = weights, SimpleNamespace(label_smoothing=smoothing)
        self.ks = (1, 5)
        self.scores = TopK(self.ks)

    def forward(self, batch):
        return LOGITS


def test_the_loss_is_torchs_with_smoothing():
    loss, none = Alone().loss({"label": LABEL}, report=False)
    torch.testing.assert_close(loss, nn.CrossEntropyLoss(label_smoothing=0.1)(LOGITS, LABEL))
    assert none == {}
    weights = torch.tensor([1.0, 2, 3, 4, 5, 6, 7])
    each = F.cross_entropy(LOGITS, LABEL, reduction="none") * weights[LABEL]
    loss, _ = Alone(weights, smoothing=0.0).loss({"label": LABEL}, report=False)
    torch.testing.assert_close(loss, each.mean())


def test_hits_are_counted():
    task = Alone()
    _, figures = task.loss({"label": LABEL}, report=True)
    top5 = LOGITS.topk(5).indices
    wanted = {
        "top1": 100 * float((LOGITS.argmax(1) == LABEL).float().mean()),
        "top5": 100 * float((top5 == LABEL[:, None]).any(1).float().mean()),
    }
    assert {key: pytest.approx(float(value)) for key, value in figures.items()} == wanted
    task.score({"label": LABEL})
    assert {key: pytest.approx(float(value)) for key, value in task.scores.compute().items()} == wanted
    assert task.predict({}).tolist() == LOGITS.argmax(1).tolist()


def test_operations_are_those_of_the_network():
    architecture = SPACE.sample(1, np.random.default_rng(0))[0]
    with torch.device("meta"):
        network = models.build(architecture, "cls", classes=7, in_channels=2)
    data = SimpleNamespace(classes="abcdefg", in_channels=2, eval_size=(32, 64), size=(8, 8))
    assert Alone().macs(architecture, data) == counted_macs(network, (1, 2, 32, 64))
