"""Rows are found by their codes, against a dictionary."""

import numpy as np
import pytest

from ncp.benchmark.index import RowIndex


@pytest.mark.parametrize("n", [0, 1, 500])
def test_equal_to_a_dictionary(n):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, size=(n, 6))  # with many repeats
    asked = rng.integers(0, 3, size=(300, 6))
    first = {}
    for row, code in enumerate(map(tuple, codes.tolist())):
        first.setdefault(code, row)
    index = RowIndex(codes)
    assert index.find(asked).tolist() == [first.get(tuple(code), -1) for code in asked.tolist()]
    assert np.flatnonzero(index.first()).tolist() == sorted(first.values())


def test_codes_that_mix_alike_are_told_apart():
    codes = np.array([[1, 2], [2, 1], [3, 0], [2, 1]])
    index = RowIndex(codes)
    index._weights = np.array([1, 1])  # all mix into 3
    index._mixed, index._order = np.full(4, 3), np.arange(4)
    assert index.find(np.array([[3, 0], [2, 1], [0, 3]])).tolist() == [2, 1, -1]
