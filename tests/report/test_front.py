"""The picture of a front: every architecture where it lies, the proposed one marked."""

from types import SimpleNamespace

import numpy as np

from ncp.report import front
from ncp.search.trade import Axis

METRIC = Axis("seg.mIoU", "mIoU of seg", "%", 1.0, 1.0)
MACS = Axis("macs", "multiply-adds", "G", 1e9, -1.0)
PARAMS = Axis("params", "parameters", "M", 1e6, -1.0)


class Made(SimpleNamespace):
    def __len__(self):
        return len(self.values)


def made(axes, values, chosen):
    return Made(axes=axes, values=np.array(values, dtype=float), chosen=chosen)


def test_two_quantities_are_one_panel_by_cost():
    figure = front.figure(made((METRIC, MACS), [[70, 2e9], [60, 1e9], [75, 4e9]], 0))
    (panel,) = figure.axes
    np.testing.assert_allclose(panel.collections[0].get_offsets(), [[2, 70], [1, 60], [4, 75]])
    np.testing.assert_allclose(panel.collections[1].get_offsets(), [[2, 70]])
    np.testing.assert_allclose(panel.lines[0].get_xdata(), [1, 2, 4])  # joined in the order of cost
    assert panel.get_xscale() == "log"
    assert panel.get_yscale() == "linear"
    assert [text.get_text() for text in panel.texts] == ["70 % at 2 G"]


def test_three_quantities_are_a_panel_a_pair():
    figure = front.figure(made((METRIC, MACS, PARAMS), [[70, 2e9, 3e6], [60, 1e9, 4e6]], 1))
    assert len(figure.axes) == 3
    np.testing.assert_allclose(figure.axes[2].collections[0].get_offsets(), [[3, 2], [4, 1]])
    assert "2 architectures that none beats in mIoU of seg, multiply-adds, parameters" in "".join(
        text.get_text() for text in figure.texts
    )
