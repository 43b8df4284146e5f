"""The multi-resolution space: rounding, sampling, neighbours, groups of dimensions."""

import numpy as np
import pytest

from ncp.errors import UserError
from ncp.spaces.multires import DIMENSIONS, SPACE, Architecture

CODE = (40, 48, 1, 4, 8, 3, 1, 2, 104, 56, 1, 3, 1, 1, 56, 32, 88, 2, 1, 1, 3, 4, 8, 64, 128, 128, 16)


def test_rounding_by_the_papers_rule():
    """ "The number of channels is a multiple of 8": to the nearest, halves up, within the bounds."""
    rounded = SPACE.round(np.array([[11.9, 12.0, 2.49, 2.5, -50, *CODE[5:25], 500, 127.9]]))[0]
    assert rounded.tolist() == [8, 16, 2, 3, 8, *CODE[5:25], 128, 128]
    rng = np.random.default_rng(1)
    wild = rng.uniform(-100, 300, size=(500, 27))
    for continuous, code in zip(wild, SPACE.round(wild).tolist(), strict=True):
        Architecture(tuple(code))
        inside = np.clip(continuous, SPACE.lower, SPACE.upper)
        assert (np.abs(inside - code) <= SPACE.step / 2).all()
    grid = SPACE.sample_codes(200, rng)
    assert np.array_equal(SPACE.round(grid), grid)
    assert [a.code for a in SPACE.decode(grid + 0.4)] == [tuple(code) for code in grid.tolist()]


@pytest.mark.parametrize("codes", [np.zeros(27), np.zeros((2, 26)), np.full((1, 27), np.nan)])
def test_decode_refuses(codes):
    with pytest.raises(UserError, match=r"\(N, 27\)"):
        SPACE.decode(codes)


def test_sampling_is_seeded_and_uniform():
    n = 8000
    codes = SPACE.sample_codes(n, np.random.default_rng(5))
    assert np.array_equal(codes, SPACE.sample_codes(n, np.random.default_rng(5)))
    assert not np.array_equal(codes, SPACE.sample_codes(n, np.random.default_rng(6)))
    assert [a.code for a in SPACE.sample(9, np.random.default_rng(5))] == [
        tuple(c) for c in SPACE.sample_codes(9, np.random.default_rng(5)).tolist()
    ]
    for i, dimension in enumerate(DIMENSIONS):
        allowed = range(1, 5) if dimension.kind in "bn" else range(8, 129, 8)
        values, counts = np.unique(codes[:, i], return_counts=True)
        assert values.tolist() == list(allowed)
        expected = n / len(allowed)
        chi2 = ((counts - expected) ** 2 / expected).sum()
        assert chi2 < 2.5 * len(allowed) + 12, (
            dimension.name
        )  # far beyond the 99.9% point of 3 or 15 degrees of freedom
    dependence = np.corrcoef(codes.T) - np.eye(27)
    assert np.abs(dependence).max() < 0.06
    assert np.abs((codes - SPACE.center) / SPACE.scale).mean() < 1
    assert ((codes - SPACE.center) / SPACE.scale).std(0) == pytest.approx(np.ones(27), abs=0.03)


def test_neighbours():
    inside = Architecture.parse(
        [64, 64, 2, 2, 64, 2, 2, 2, 64, 64, 2, 2, 2, 2, 64, 64, 64, 2, 2, 2, 2, 2, 64, 64, 64, 64, 64]
    )
    assert inside == SPACE.default()
    corner = Architecture(tuple(int(v) for v in SPACE.lower))
    assert (len(SPACE.neighbours(inside)), len(SPACE.neighbours(corner))) == (54, 27)
    for architecture in [corner, *SPACE.sample(20, np.random.default_rng(2))]:
        around = SPACE.neighbours(architecture)
        assert len(set(around)) == len(around)
        for other in around:
            different = [
                (x - y, d.step) for x, y, d in zip(other.code, architecture.code, DIMENSIONS, strict=True) if x != y
            ]
            assert len(different) == 1
            assert abs(different[0][0]) == different[0][1]
            assert architecture in SPACE.neighbours(other)


def test_groups_hold_every_dimension_once():
    assert sorted(i for group in SPACE.groups.values() for i in group) == list(range(27))
    assert len(SPACE.groups) == 8


def test_texts_of_many_codes():
    codes = SPACE.sample_codes(50, np.random.default_rng(0))
    assert SPACE.texts(codes) == [Architecture(tuple(code)).text for code in codes.tolist()]
