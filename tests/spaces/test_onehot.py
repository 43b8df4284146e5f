"""One-hot codes: the projection against scipy's constrained optimum, rounding, and what counts as a bit."""

import numpy as np
import pytest
from scipy.optimize import minimize

from ncp.errors import UserError
from ncp.spaces.onehot import OneHotSpace, bit, stacked, vector

SPACE = OneHotSpace(["a", "b"], ["x", "y", "z"], ["First", "Second"])


def test_names_and_statistics_of_uniform_codes():
    assert SPACE.labels == ("a x", "a y", "a z", "b x", "b y", "b z")
    assert SPACE.groups == {"First": (0, 1, 2), "Second": (3, 4, 5)}
    drawn = SPACE.one_hot(np.random.default_rng(0).integers(0, 3, (40_000, 2)))
    np.testing.assert_allclose(drawn.mean(0), SPACE.center, atol=0.01)
    np.testing.assert_allclose(drawn.std(0), SPACE.scale, atol=0.01)


def test_the_projection_is_the_nearest_point_of_the_simplex():
    rng = np.random.default_rng(1)
    for code in rng.normal(0, 1, (6, 6)):
        ours = SPACE.project(code[None])[0]
        for part in (slice(0, 3), slice(3, 6)):
            best = minimize(
                lambda x, part=part, code=code: ((x - code[part]) ** 2).sum(),
                np.full(3, 1 / 3),
                bounds=[(0, 1)] * 3,
                constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
                options={"ftol": 1e-12},
            )
            np.testing.assert_allclose(ours[part], best.x, atol=1e-4)


def test_rounding_takes_the_largest_and_keeps_valid_codes():
    assert SPACE.round(np.array([[0.2, 0.5, 0.3, 3, -1, 2.9]])).tolist() == [[0, 1, 0, 1, 0, 0]]
    valid = SPACE.one_hot([[2, 0], [1, 1]])
    np.testing.assert_array_equal(SPACE.round(valid), valid)
    np.testing.assert_array_equal(SPACE.project(valid), valid)
    np.testing.assert_array_equal(SPACE.choices(valid), [[2, 0], [1, 1]])


@pytest.mark.parametrize(
    ("value", "wanted"), [(1, 1), (0.0, 0), (True, None), ("1", None), (0.5, None), (np.int8(1), 1)]
)
def test_bits(value, wanted):
    assert bit(value) == wanted


def test_other_shapes_are_refused():
    with pytest.raises(UserError, match=r"shape \(N, 6\)"):
        SPACE.checked([[1, 0, 0]])
    with pytest.raises(UserError, match="finite"):
        SPACE.checked([[np.nan] * 6])
    with pytest.raises(UserError, match="has 6 numbers"):
        vector(np.zeros((6, 1)), 6, "a code")
    import torch

    joined = stacked([torch.ones(2, 1), torch.zeros(2, 2)], torch.ones(2, 1))
    assert joined.tolist() == stacked([np.ones((2, 1)), np.zeros((2, 2))], np.ones(1)).tolist() == [[1, 0, 0]] * 2
