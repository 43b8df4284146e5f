"""Relations of dimensions, against brute force on small grids."""

import itertools

import numpy as np
import pytest

from ncp.errors import UserError
from ncp.search.relations import Order, parse_relations

LABELS = ("a", "b", "c", "d")
LOWER, UPPER, STEP = np.array([1.0, 1, 2, 8]), np.array([5.0, 4, 6, 24]), np.array([1.0, 1, 2, 8])


def order(*given):
    return Order(parse_relations(list(given), LABELS), LABELS, LOWER, UPPER, STEP.copy())


def everything():
    grids = [np.arange(lo, hi + 1, st) for lo, hi, st in zip(LOWER, UPPER, STEP, strict=True)]
    return np.array(list(itertools.product(*grids)))


def plainly(codes, given):
    column = {label: codes[:, i] for i, label in enumerate(LABELS)}
    checks = [eval(text.replace("=", "==").replace("<==", "<=").replace(">==", ">="), {}, column) for text in given]
    return np.logical_and.reduce(checks)


@pytest.mark.parametrize(
    "given", [("a<=b",), ("a<b", "b<c"), ("a=b", "b<=c"), ("c>=b", "b>a"), ("a<=b", "b<=a"), ("b<c", "c<=d")]
)
def test_bounds_and_repairs_are_those_of_brute_force(given):
    codes = everything()
    good = codes[plainly(codes, given)]
    found = order(*given)
    np.testing.assert_array_equal(found.lower, good.min(0))
    np.testing.assert_array_equal(found.upper, good.max(0))
    np.testing.assert_array_equal(found.kept(codes), plainly(codes, given))
    inside = codes[((codes >= found.lower) & (codes <= found.upper)).all(1)]
    repaired = found.repair(inside)
    assert plainly(repaired, given).all()
    np.testing.assert_array_equal(found.repair(good), good)  # what is kept stays


def test_the_projection_keeps_what_may_be_equal_and_leaves_what_is_good():
    found = order("a<=b", "b=c")
    rng = np.random.default_rng(0)
    moved = found.project(rng.uniform(0, 10, (200, 4)))
    assert (moved[:, 0] <= moved[:, 1] + 1e-12).all()
    np.testing.assert_allclose(moved[:, 1], moved[:, 2])
    good = np.array([[1.0, 2.5, 2.5, 9.0]])
    np.testing.assert_allclose(found.project(good), good)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("a<b", "b<a"), "contradict each other"),
        (("a<=3",), "a limit of one dimension is bounds"),
        (("a<=z",), "unknown dimension 'z'"),
        (("a<a",), "with itself"),
        (("d<a",), "cannot be kept"),
        (("a=d",), "no value in common"),
        ((3,), "a relation is DIMENSION<=DIMENSION"),
    ],
)
def test_what_cannot_be_is_told(given, line):
    with pytest.raises(UserError, match=line):
        order(*given)


def test_a_mapping_is_no_list():
    with pytest.raises(UserError, match="relations are a list"):
        parse_relations({"a": "b"}, LABELS)
    assert parse_relations(None, LABELS) == ()
    assert parse_relations("a>=b", LABELS)[0][:3] == (1, 0, "<=")
