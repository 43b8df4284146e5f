"""The NAS-Bench-201 space: strings, one-hot codes, argmax, costs against recorded figures."""

import numpy as np
import pytest

from ncp.errors import UserError
from ncp.spaces.nasbench201 import EDGES, OPERATIONS, SPACE, Architecture

TEXT = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"
# one-hot over avg_pool_3x3, none, skip_connect, nor_conv_1x1, nor_conv_3x3 for edges 0>1 0>2 1>2 0>3 1>3 2>3
CODE = (0, 0, 0, 0, 1,  0, 1, 0, 0, 0,  0, 0, 1, 0, 0,  0, 0, 0, 1, 0,  0, 1, 0, 0, 0,  1, 0, 0, 0, 0)  # fmt: skip
# Rows of the released table: architecture, multiply-adds (M), params (M)
RECORDED = (
    ("|avg_pool_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|skip_connect~2|", 7.79, 0.079),
    ("|skip_connect~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|none~1|skip_connect~2|", 11.72, 0.107),
    ("|nor_conv_1x1~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|", 19.59, 0.163),
    ("|none~0|+|skip_connect~0|none~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|", 43.18, 0.322),
    ("|skip_connect~0|+|avg_pool_3x3~0|nor_conv_3x3~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|", 47.11, 0.35),
    ("|none~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|", 51.04, 0.378),
    ("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|avg_pool_3x3~0|skip_connect~1|nor_conv_3x3~2|", 78.57, 0.565),
    ("|nor_conv_1x1~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|none~2|", 82.5, 0.593),
    ("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|", 90.36, 0.649),
    ("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|", 220.13, 1.537),
)


@pytest.mark.parametrize(
    "form", [TEXT, list(CODE), CODE, np.array(CODE, dtype=np.float32), {"embedding": list(CODE)}, {"text": TEXT}]
)
def test_every_form_is_read(form):
    cell = Architecture.parse(form)
    assert (cell.text, cell.code) == (TEXT, CODE)
    assert [OPERATIONS[i] for i in cell.operations][:2] == ["nor_conv_3x3", "none"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (TEXT.replace("skip_connect~1", "skip_connect~0"), "edge 1>2 .*~1, given was 'skip_connect~0'"),
        (TEXT.replace("avg_pool_3x3~2", "max_pool~2"), "edge 2>3 must be one of avg_pool_3x3"),
        ("|none~0|", "names 6 edges, .* names 1"),
        (CODE[:-1], "30 numbers"),
        ((1, *CODE[1:]), "edge 0>1 must have one 1"),
        ((0.5, 0, 0, 0, 0.5, *CODE[5:]), "edge 0>1"),
        (3, "given was a whole number"),
        ({}, "needs code, text or embedding"),
    ],
)
def test_refusals(given, message):
    with pytest.raises(UserError, match=message):
        Architecture.parse(given)


def test_the_whole_space():
    cells = SPACE.all()
    assert len(set(cells)) == 15625
    assert len({cell.text for cell in cells}) == 15625
    for cell in cells[::97]:
        assert Architecture.parse(cell.text) == Architecture.parse(cell.code) == cell


def test_decoding_takes_the_largest_of_each_edge():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(200, 30))
    for continuous, cell, rounded in zip(codes, SPACE.decode(codes), SPACE.round(codes).tolist(), strict=True):
        assert tuple(rounded) == cell.code
        for edge, operation in enumerate(cell.operations):
            scores = continuous[5 * edge : 5 * edge + 5]
            assert scores[operation] == max(scores)
    with pytest.raises(UserError, match="30"):
        SPACE.decode(np.zeros((2, 27)))


def test_neighbours_change_one_edge():
    cell = Architecture.parse(TEXT)
    around = SPACE.neighbours(cell)
    assert len(set(around)) == 24
    assert all(sum(x != y for x, y in zip(a.operations, cell.operations, strict=True)) == 1 for a in around)


def test_sampling_is_seeded_and_uniform():
    cells = SPACE.sample(5000, np.random.default_rng(4))
    assert cells == SPACE.sample(5000, np.random.default_rng(4))
    operations = np.array([cell.operations for cell in cells])
    for edge in range(len(EDGES)):
        counts = np.bincount(operations[:, edge], minlength=5)
        assert ((counts - 1000) ** 2 / 1000).sum() < 25


def test_cost_of_recorded_cells():
    cost = SPACE.cost(np.array([Architecture.parse(text).code for text, _, _ in RECORDED]))
    assert [round(m / 1e6, 2) for m in cost.macs.tolist()] == [f for _, f, _ in RECORDED]
    assert [round(p / 1e6, 3) for p in cost.params.tolist()] == [p for _, _, p in RECORDED]


def test_cost_of_all_rows(shared):
    """All but 150 rows of the released table, whose figures belong to other cells."""
    from ncp.benchmark import pickles

    rows = pickles.read(shared / "nas-bench-mr" / "data" / "nas-bench-201" / "trainval.pkl")
    cost = SPACE.cost(np.array([row["embedding"] for row in rows]).astype(int))
    flops = np.abs(cost.macs / 1e6 - [row["Flops"] for row in rows]) < 0.00501
    params = np.abs(cost.params / 1e6 - [row["Params"] for row in rows]) < 0.000501
    assert (len(rows), int((flops & params).sum()), int((flops | params).sum())) == (15625, 15475, 15475)


def test_cost_through_torch():
    import torch

    codes = SPACE.encode(SPACE.sample(6, np.random.default_rng(1)))
    x = torch.tensor(codes, requires_grad=True)
    cost = SPACE.cost(x)
    assert cost.macs.tolist() == SPACE.cost(codes.astype(int)).macs.tolist()
    (gradient,) = torch.autograd.grad(cost.macs.sum(), x)
    step = np.zeros(30)
    step[4] = 1  # 3x3 convolution on the first edge
    rise = SPACE.cost(codes + step).macs - SPACE.cost(codes).macs
    assert gradient[:, 4].numpy() == pytest.approx(rise)
    assert (gradient[:, 1] == 0).all()


def test_features_tell_what_is_in_use():
    """Hand-worked: edges 0>1 (conv), 0>2 (none), 1>2 (skip), 0>3 (conv), 1>3 (none), 2>3 (pool)."""
    (f,) = SPACE.features(np.array([CODE], dtype=float))
    assert f.shape == (48,)
    edges, use = f[:30].reshape(6, 5), f[30:35]
    assert edges.sum(1).tolist() == [1, 0, 1, 1, 0, 1]
    assert dict(zip(OPERATIONS, use.tolist(), strict=True)) == {
        "avg_pool_3x3": 1, "none": 0, "skip_connect": 1, "nor_conv_1x1": 1, "nor_conv_3x3": 1,
    }  # fmt: skip
    # output fed; paths 0>1>2>3, 0>1>3, 0>2>3, 0>3: open, convolutions, all skips
    assert f[35:].tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0]


def test_features_of_cells_that_are_one_network_agree():
    dead_end = Architecture.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|none~1|none~2|")
    bare = Architecture.parse("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    nothing = Architecture.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|")
    a, b, c = SPACE.features(SPACE.encode([dead_end, bare, nothing]))
    assert (a == b).all()
    assert (c == 0).all()


def test_sequences_count_paths_that_do_the_same_work():
    """A skip moves an operation to another edge, or another pair of edges, without changing what the cell computes."""
    early = Architecture.parse("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|none~0|none~1|skip_connect~2|")
    late = Architecture.parse("|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|avg_pool_3x3~2|")
    direct = Architecture.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|avg_pool_3x3~1|none~2|")
    turned = Architecture.parse("|avg_pool_3x3~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|")
    a, b, c, d = SPACE.sequences(SPACE.encode([early, late, direct, turned]))
    assert a.sum() == 1
    assert (a == b).all()
    assert (a == c).all()
    assert d.sum() == 1
    assert (a != d).any()


def test_features_of_every_cell_against_a_walk_through_its_graph():
    """An edge is in use if a path without ``none`` runs through it from node 0 to node 3, here found by enumeration."""
    routes = [[(0, 1), (1, 2), (2, 3)], [(0, 1), (1, 3)], [(0, 2), (2, 3)], [(0, 3)]]
    cells = SPACE.all()[::7]
    features = SPACE.features(SPACE.encode(cells))
    for cell, row in zip(cells, features, strict=True):
        name = {edge: OPERATIONS[op] for edge, op in zip(EDGES, cell.operations, strict=True)}
        opened = [r for r in routes if all(name[e] != "none" for e in r)]
        used = [float(any(e in r for r in opened)) for e in EDGES]
        assert row[:30].reshape(6, 5).sum(1).tolist() == used
        assert row[35] == float(bool(opened))


def test_features_through_torch():
    import torch

    inside = np.random.default_rng(2).uniform(0.1, 0.9, size=(5, 30))
    x = torch.tensor(inside, requires_grad=True)
    assert SPACE.features(x).detach().numpy() == pytest.approx(SPACE.features(inside))
    weights = np.random.default_rng(3).normal(size=48)
    (gradient,) = torch.autograd.grad((SPACE.features(x) @ torch.tensor(weights)).sum(), x)
    for d in range(30):
        step = np.eye(30)[d] * 1e-6
        slope = (SPACE.features(inside + step) - SPACE.features(inside - step)) @ weights / 2e-6
        assert gradient[:, d].numpy() == pytest.approx(slope, abs=1e-6)


def test_projection_is_the_nearest_point_of_each_edges_simplex():
    rng = np.random.default_rng(0)
    codes = rng.normal(0.2, 0.7, (50, 30))
    near = SPACE.project(codes)
    shares = near.reshape(-1, 6, 5)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(-1), 1)
    np.testing.assert_allclose(SPACE.project(near), near, atol=1e-12)
    others = rng.dirichlet(np.ones(5), (50, 2000, 6)).reshape(50, 2000, 30)  # no point of the simplexes is nearer
    distance = np.linalg.norm(others - codes[:, None], axis=-1).min(1)
    assert (np.linalg.norm(near - codes, axis=-1) <= distance).all()
    valid = SPACE.encode(SPACE.sample(20, rng))
    np.testing.assert_array_equal(SPACE.project(valid), valid)


def test_texts_of_many_codes():
    cells = SPACE.sample(30, np.random.default_rng(0))
    assert SPACE.texts(SPACE.encode(cells)) == [cell.text for cell in cells]
