"""What a machine is given to do: its multiply-adds and weights are those that cost counts, and all of it has a gradient."""

import numpy as np
import torch

from ncp.spaces import cost
from ncp.spaces.multires import SPACE
from ncp.spaces.work import LABELS, work


def test_multiply_adds_and_weights_are_the_exact_ones():
    codes = SPACE.sample_codes(20, np.random.default_rng(0))
    columns = work(codes, size=(64, 96), head="classification", classes=50)
    exact = cost.count(codes, size=(64, 96), head="classification", classes=50)
    macs = columns[:, ["macs" in name for name in LABELS]].sum(1)
    np.testing.assert_allclose(macs, exact.macs, rtol=1e-12)
    weights = columns[:, LABELS.index("weights")]
    assert (weights < exact.params).all()  # which hold biases and norms too
    assert (weights > 0.98 * exact.params).all()
    assert (columns > 0).all()


def test_more_channels_are_more_work_also_for_the_gradient():
    code = torch.tensor(SPACE.encode([SPACE.default()]), requires_grad=True)
    work(code).sum().backward()
    assert bool((code.grad > 0).all())
