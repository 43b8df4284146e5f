"""The built-in digits: all of them, once, moved in training alone."""

import numpy as np
import pytest
import torch

from ncp.data.base import Key
from ncp.data.digits import Digits
from ncp.errors import UserError


def test_digits_are_all_there_once():
    data = Digits()
    data.setup()
    assert len(data.train_set) + len(data.val_set) == 1797
    assert len(data.val_set) == 360
    labels = np.bincount(data.train_set.labels + data.val_set.labels)  # scikit-learn's documentation: about 180
    assert labels.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    item = data.val_set[Key(-1, 3)]
    assert item["image"].shape == (3, 40, 40)
    assert item["image"].dtype == torch.uint8


def test_digits_keep_their_pixels_in_evaluation_and_move_in_training():
    from sklearn.datasets import load_digits

    data = Digits(size=32, seed=1)
    data.setup()
    small = data.val_set[Key(-1, 2)]["image"][0].float().view(8, 4, 8, 4).mean((1, 3)) / 255 * 16
    original = load_digits().images[10]
    assert np.corrcoef(small.numpy().ravel(), original.ravel())[0, 1] > 0.97
    first = data.train_set[Key(0, 2)]["image"]
    assert torch.equal(first, data.train_set[Key(0, 2)]["image"])
    assert not torch.equal(first, data.train_set[Key(1, 2)]["image"])
    with pytest.raises(UserError, match=r"at least 32"):
        Digits(size=8)
