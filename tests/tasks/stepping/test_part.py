"""Steps whose network is recorded against steps that run kernel by kernel, on the tape of ``taped.py``."""

import copy

import pytest
import torch
from taped import TapedGraphs
from torch import nn
from torch.nn import functional as F

from ncp.models.recorded import Recorded
from ncp.tasks.stepping.graphs import WARM
from ncp.tasks.stepping.part import Part, PartGraphs


class Between(nn.Module):
    """As many rows as there are on one side, a network on maps of one shape on the other."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.before = nn.Linear(3, 4)
        self.network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1))

    def maps(self, x):
        out = self.network(x)
        return out, out.mean((2, 3))

    def forward(self, rows):
        cells = torch.zeros(2 * 36, 4).index_copy(0, torch.arange(len(rows)), self.before(rows))
        return self.maps(cells.view(2, 6, 6, 4).permute(0, 3, 1, 2))


def trained(net, batches, passes=1, tape=None, told=None):
    def loss(batch, report):
        out, mean = net(batch["rows"])
        return out.square().mean() + F.mse_loss(mean, batch["wanted"]), {}

    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    part = Part(lambda x: Between.maps(net, x), list(net.network.parameters()), lambda call: setattr(net, "maps", call))
    stepping = PartGraphs(loss, part, passes > 1, tape, told or pytest.fail) if tape else None
    losses = []
    for i in range(0, len(batches), passes):
        for j in range(passes):
            if stepping is None:
                found, _ = loss(batches[i + j], False)
                if j == 0:
                    optimizer.zero_grad()
                found.backward()
            else:
                found, _ = stepping.forward(batches[i + j], False, j == 0)
                if j == 0:
                    stepping.clear(optimizer)
                stepping.backward(found)
            losses.append(float(found.detach()))
        if stepping is None:
            optimizer.step()
        else:
            stepping.finish(optimizer, lambda: None)
    return losses, stepping


def batches(number):
    draw = torch.Generator().manual_seed(1)
    return [
        {"rows": torch.randn(20 + i, 3, generator=draw), "wanted": torch.randn(2, 2, generator=draw)}
        for i in range(number)
    ]


@pytest.mark.parametrize("passes", [1, 2])
def test_a_recorded_network_learns_what_others_do(passes):
    tape, net, given = TapedGraphs(), Between(), batches(8 * passes)
    other = copy.deepcopy(net)
    wanted, _ = trained(other, given, passes)
    found, stepping = trained(net, given, passes, tape)
    assert found == pytest.approx(wanted, rel=1e-6)
    assert len(set(found)) == len(found)
    for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)
    assert (tape.recorded, tape.run) == (2, 2 * passes * (8 - WARM))  # a forward and a backward pass
    # evaluations run as ever, and afterwards everything does
    with torch.no_grad():
        net(given[0]["rows"])
    assert tape.run == 2 * passes * (8 - WARM)
    stepping.close()
    assert not stepping.records
    net(given[0]["rows"])[0].sum().backward()
    assert tape.run == 2 * passes * (8 - WARM)


def test_what_cannot_be_recorded_runs_as_ever_and_is_told():
    class Waits(Between):
        def maps(self, x):
            assert float(x.detach().sum()) != 7.5
            return super().maps(x)

    told, net, given = [], Waits(), batches(6)
    tape = TapedGraphs()

    def loss_path(net, tape):
        part = Part(
            lambda x: Waits.maps(net, x), list(net.network.parameters()), lambda call: setattr(net, "maps", call)
        )
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        stepping = PartGraphs(lambda b, r: (net(b["rows"])[0].square().mean(), {}), part, False, tape, told.append)
        out = []
        for batch in given:
            found, _ = stepping.forward(batch, False, True)
            stepping.clear(optimizer)
            stepping.backward(found)
            stepping.finish(optimizer, lambda: None)
            optimizer.step()
            out.append(float(found.detach()))
        return out

    assert len(loss_path(net, tape)) == 6
    assert tape.run == 0
    assert told == [
        "further steps run kernel by kernel: operation not permitted when stream is capturing: _local_scalar_dense"
    ]


def test_inference_is_recorded_for_each_shape_and_its_results_are_the_callers():
    net, tape = Between().eval(), TapedGraphs()
    recorded = Recorded(net.maps, tape)
    maps = [torch.randn(2, 4, 6, 6) for _ in range(5)] + [torch.randn(1, 4, 8, 6)]  # the last shape comes once
    with torch.no_grad():
        found = [recorded(x) for x in maps]
        for (out, mean), x in zip(found, maps, strict=True):
            wanted = net.maps(x)
            torch.testing.assert_close(out, wanted[0])
            torch.testing.assert_close(mean, wanted[1])
    assert (tape.recorded, tape.run) == (1, 3)
    assert recorded(maps[0])[0].requires_grad  # with gradients it runs as ever
    assert (tape.recorded, tape.run) == (1, 3)


def test_a_network_that_waits_is_not_recorded():
    def waits(x):
        return x * float(x.sum())

    recorded = Recorded(waits, TapedGraphs())
    x = torch.ones(2, 2)
    with torch.no_grad():
        for _ in range(4):
            torch.testing.assert_close(recorded(x), 4 * x)
    assert "_local_scalar_dense" in recorded.refused
