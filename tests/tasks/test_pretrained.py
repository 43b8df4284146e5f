"""Which weights of another training are taken: all of the body, or none."""

import pytest
import torch
from torch import nn

from ncp.errors import UserError
from ncp.tasks import pretrained
from ncp.tasks.pretrained import body_of, is_body, load_pretrained


class Net(nn.Module):
    def __init__(self, width=4, classes=2, deeper=False):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), *([nn.Linear(width, 2)] * deeper))
        self.head = nn.Linear(width, classes)


class File:
    """A checkpoint as far as it is asked."""

    where = "'their.ckpt'"

    def __init__(self, network, architecture):
        self.network, self.own = network, type("Own", (), {"architecture": architecture})

    def weights(self):
        return self.network.state_dict()


@pytest.fixture
def start_from(monkeypatch):
    def load(theirs, ours, architecture="a", own="a"):
        monkeypatch.setattr(pretrained.checkpoint, "read", lambda path: File(theirs, architecture))
        load_pretrained(ours, "their.ckpt", lambda weights, network: weights, own)

    return load


def test_the_body_is_taken_and_the_head_stays(start_from):
    theirs, ours = Net(classes=7), Net()
    before = ours.head.weight.clone()
    start_from(theirs, ours)
    for key, value in theirs.backbone.state_dict().items():
        assert torch.equal(ours.backbone.state_dict()[key], value)
    assert torch.equal(ours.head.weight, before)


def test_a_head_that_fits_is_taken_too(start_from):
    theirs, ours = Net(), Net()
    start_from(theirs, ours)
    assert torch.equal(ours.head.weight, theirs.head.weight)


@pytest.mark.parametrize(
    ("theirs", "ours", "line"),
    [
        (Net(width=5), Net(), "7 of this network's 7 entries find no weights there"),
        (Net(), Net(deeper=True), "2 of this network's 9 entries find no weights there"),
        (Net(deeper=True), Net(), "2 of its entries have no place in this network, first: backbone.2.weight"),
    ],
)
def test_half_a_body_is_refused_and_nothing_changed(start_from, theirs, ours, line):
    before = {key: value.clone() for key, value in ours.state_dict().items()}
    if line.startswith("7"):
        line = line.replace("7 of", "6 of", 1)  # the count of batches is no weight of a width
    with pytest.raises(UserError, match=line):
        start_from(theirs, ours, architecture="b")
    assert all(torch.equal(before[key], value) for key, value in ours.state_dict().items())


def test_of_a_network_of_one_piece_all_but_its_classifier_is_body():
    import timm

    network = timm.create_model("resnet10t", num_classes=3)
    body = body_of(network)
    assert {name for name in network.state_dict() if name not in body} == {"fc.weight", "fc.bias"}
    assert is_body("layer1.9.conv.weight", body)
    assert not is_body("fc.weight", body)
