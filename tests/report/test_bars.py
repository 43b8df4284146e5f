"""Bars of architectures, read back from the figure's artists."""

import numpy as np
from matplotlib.colors import to_hex

from ncp import spaces
from ncp.report import bars

SPACE = spaces.get("multires")


def test_bars_have_the_height_of_the_dimension_in_its_range():
    architectures = dict(zip("ab", SPACE.sample(2, np.random.default_rng(0)), strict=True))
    fig = bars.dimensions_figure(architectures, SPACE, "Found")
    assert len(fig.axes) == 2
    for ax, architecture in zip(fig.axes, architectures.values(), strict=True):
        heights = [bar.get_height() for bar in ax.patches]
        np.testing.assert_allclose(heights, np.array(architecture.code) / SPACE.upper)
        assert [t.get_text() for t in ax.texts] == [str(v) for v in architecture.code]
        kinds = {label[0]: to_hex(bar.get_facecolor()) for label, bar in zip(SPACE.labels, ax.patches, strict=True)}
        assert len(set(kinds.values())) == 4  # stem and output, blocks, units, channels
        assert kinds["i"] == kinds["o"]


def test_no_name_leaves_the_picture_however_long():
    names = ["short", "a training with a rather long name", SPACE.default().text]
    fig = bars.dimensions_figure(dict.fromkeys(names, SPACE.default()), SPACE, "Found")
    fig.canvas.draw()
    for ax in fig.axes:
        assert ax.yaxis.label.get_window_extent().x0 >= 0, ax.get_ylabel()
    assert fig.axes[0].get_ylabel() == "short"
