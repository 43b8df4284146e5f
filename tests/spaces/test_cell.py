"""Which edges of a cell are in use: against a walk along its graph, for all 64 patterns of open edges."""

import itertools

import numpy as np
import pytest

from ncp import spaces
from ncp.errors import UserError
from ncp.spaces.cell import EDGES, operations_of
from ncp.spaces.cell import in_use as used_edges

SPACE = spaces.get("nasbench201")


def reached(edges, start, forward=True):
    found = {start}
    for _ in range(4):
        found |= {(b if forward else a) for a, b in edges if (a if forward else b) in found}
    return found


def test_an_edge_is_in_use_where_it_lies_on_an_open_way():
    patterns = np.array(list(itertools.product((0, 1), repeat=6)))
    used, output = used_edges(patterns.astype(float))
    for row, pattern in enumerate(patterns):
        opened = [edge for edge, is_open in zip(EDGES, pattern, strict=True) if is_open]
        before, behind = reached(opened, 0), reached(opened, 3, forward=False)
        wanted = [bool(o) and a in before and b in behind for (a, b), o in zip(EDGES, pattern, strict=True)]
        assert [bool(u[row]) for u in used] == wanted
        assert bool(output[row]) == (3 in before)


def test_neighbours_differ_in_one_edge_and_all_are_all():
    cell = SPACE.sample(1, np.random.default_rng(3))[0]
    around = SPACE.neighbours(cell)
    assert len({n.operations for n in around}) == 6 * 4
    assert all(sum(a != b for a, b in zip(n.operations, cell.operations, strict=True)) == 1 for n in around)
    assert len({cell.operations for cell in SPACE.all()}) == 5**6


def test_an_unused_operation_changes_no_feature():
    none = SPACE.none
    dead = [(none, 1, 2, none, 3, 4), (none, 1, 4, none, 3, 4)]  # node 1 has no input: its edges say nothing
    codes = SPACE.one_hot(np.array(dead))
    first, second = SPACE.features(codes)
    np.testing.assert_array_equal(first, second)
    third = SPACE.features(SPACE.one_hot([[none, 2, 2, none, 3, 4]]))[0]
    assert (third != first).any()


def test_codes_that_are_no_cells_name_the_edge():
    code = np.zeros(30)
    with pytest.raises(UserError, match="edge 0>1 must have one 1 and four 0"):
        operations_of(code, 5)
    code[::5] = 1
    assert operations_of(code, 5) == (0,) * 6
    code[11] = 1
    with pytest.raises(UserError, match="edge 1>2"):
        operations_of(code, 5)
