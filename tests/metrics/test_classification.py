"""Top-k against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score

from ncp.metrics.classification import TopK


@pytest.mark.parametrize("classes", [6, 50])
def test_equal_to_sklearn(classes):
    rng = np.random.default_rng(classes)
    logits, labels = rng.normal(size=(400, classes)), rng.integers(0, classes, 400)
    logits[np.arange(400), labels] += 1.0
    scores = TopK()
    for part in np.array_split(np.arange(400), 7):
        scores.update(torch.from_numpy(logits[part]), torch.from_numpy(labels[part]))
    got = scores.compute()
    for k in (1, 5):
        expected = top_k_accuracy_score(labels, logits, k=k, labels=np.arange(classes))
        assert float(got[f"top{k}"]) == pytest.approx(100 * expected, abs=1e-4)


def test_numbers_that_are_not_finite_or_equal_are_no_hits():
    scores = TopK((1, 2))
    scores.update(torch.full((3, 4), torch.nan), torch.tensor([0, 1, 2]))
    assert float(scores.compute()["top5"]) == 0
    scores.reset()
    scores.update(torch.zeros(4, 4), torch.arange(4))  # a constant output is right for one class in four
    assert float(scores.compute()["top1"]) == 25
