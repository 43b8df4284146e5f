"""Probabilities and the likeliest classes, against scipy and torch."""

import numpy as np
import scipy.special
import torch

from ncp.inference.classification import softmax, top


def test_probabilities_are_scipys_also_of_large_logits():
    logits = np.random.default_rng(0).normal(0, 300, (4, 7)).astype(np.float32)
    ours = softmax(logits)
    np.testing.assert_allclose(ours, scipy.special.softmax(logits.astype(np.float64), axis=-1), rtol=1e-12)
    np.testing.assert_allclose(ours.sum(-1), 1)
    assert ours.dtype == np.float64


def test_the_likeliest_classes_are_torchs():
    values = np.random.default_rng(1).random(9)
    wanted = torch.topk(torch.from_numpy(values), 4)
    found = top(values, 4)
    assert [k for k, _ in found] == wanted.indices.tolist()
    assert [p for _, p in found] == wanted.values.tolist()
    assert top(np.array([0.5, 0.5]), 9) == [(0, 0.5), (1, 0.5)]  # equal ones in their order
