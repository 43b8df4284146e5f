"""The picture of a latency model: predicted over measured, and the reference beside it."""

from types import SimpleNamespace

import numpy as np

from ncp import spaces
from ncp.latency.card import MachineCard
from ncp.report import latency

SPACE = spaces.get("nasbench201")
TEXTS = [cell.text for cell in SPACE.sample(4, np.random.default_rng(0))]
MODEL = SimpleNamespace(
    space=SPACE,
    card=MachineCard("nasbench201", task="cls", device="cpu", median_error=0.031, held=2),
    predict=lambda cells: np.array([10.0 + TEXTS.index(cell.text) for cell in cells]),
)


def test_every_network_stands_where_it_was_measured():
    rows = {"kind": ["fit", "check", "fit", "check"], "code": TEXTS, "ms": [9.0, 12.0, 11.0, 14.0]}
    figure = latency.figure(MODEL, rows)
    (panel,) = figure.axes
    fitted, checked = panel.collections
    np.testing.assert_allclose(fitted.get_offsets(), [[9, 10], [11, 12]])
    np.testing.assert_allclose(checked.get_offsets(), [[12, 11], [14, 13]])
    assert panel.get_xscale() == panel.get_yscale() == "log"
    assert any("median error 3.1 % on 2 unseen networks" in text.get_text() for text in figure.texts)


def test_the_reference_has_a_panel_of_its_own():
    rows = {"kind": ["fit", "reference", "fit", "reference"], "code": TEXTS, "ms": [9.0, 5.0, 11.0, 5.5]}
    _, other = latency.figure(MODEL, rows).axes
    np.testing.assert_allclose(other.lines[0].get_ydata(), [5, 5.5])
    assert other.get_ylim()[0] == 0
