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


def test_whole_vectors_are_the_multiply_adds_of_channels_rounded_up_to_sixteen():
    codes = SPACE.sample_codes(20, np.random.default_rng(1))
    channels = [i for i, name in enumerate(SPACE.labels) if name[0] in "ico"]
    full = codes.copy()
    full[:, channels] = -(-codes[:, channels] // 16) * 16
    vectors = ["vectors" in name for name in LABELS]
    exact = cost.count(full, size=(64, 96), head="classification", classes=50)
    columns = work(codes, size=(64, 96), head="classification", classes=50)
    np.testing.assert_allclose(columns[:, vectors].sum(1), exact.macs, rtol=1e-12)
    # of whole vectors they are those of the code itself, and a straight line leads from 16 to 24 channels
    twin = work(full, size=(64, 96), head="classification", classes=50)
    np.testing.assert_allclose(twin[:, vectors].sum(1), twin[:, ["macs" in name for name in LABELS]].sum(1), rtol=1e-12)
    wider = np.repeat(full[:1].astype(float), 3, 0)
    wider[:, SPACE.labels.index("o1")] = (16, 20, 24)
    first, middle, last = work(wider)[:, LABELS.index("head vectors")]
    assert middle - first == last - middle > 0
