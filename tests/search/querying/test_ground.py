"""What strategies may ask: rows of a whole table, of a sparse one, any architecture of a space."""

import numpy as np
import pytest

from ncp import spaces
from ncp.search.querying.choices import Choices
from ncp.search.querying.ground import OpenGround, TableGround

MICRO, MACRO, MULTIRES = (spaces.get(name) for name in ("transnas-micro", "transnas-macro", "multires"))


def whole(space):
    codes = space.encode(space.all()).astype(np.int64)
    return TableGround(space, codes, np.arange(len(codes), dtype=float))


@pytest.mark.parametrize("space", [MICRO, MACRO, MULTIRES], ids=lambda space: space.name)
def test_choices_describe_architectures(space):
    choices = Choices(space)
    codes = space.encode(space.sample(50, np.random.default_rng(0))).astype(np.int64)
    options = choices.of(codes)
    assert options.shape == (50, choices.length)
    assert choices.open[np.arange(choices.length), options].all()
    np.testing.assert_array_equal(choices.codes(options), codes)


def test_mutations_of_a_whole_table_are_the_spaces_own():
    ground = whole(MACRO)
    rng = np.random.default_rng(0)
    start = int(ground.nearest(np.array([MACRO.parse("64-224131-basic").code]))[0])
    ends = ground.mutate(np.full(4000, start), rng.random((4000, 2)))
    kinds = MACRO.mutations(MACRO.parse("64-224131-basic"))
    assert len(kinds) == 2  # of six modules none is added
    drawn = {tuple(code): n for code, n in zip(*np.unique(ground.codes(ends), axis=0, return_counts=True), strict=True)}
    allowed = {other.code for kind in kinds for other in kind}
    assert set(drawn) == allowed
    deleted = {other.code for other in kinds[0]}
    assert abs(sum(n for code, n in drawn.items() if code in deleted) / 4000 - 0.5) < 0.03  # the kind first
    assert {tuple(code) for code in ground.codes(ground.near(start)).tolist()} == allowed


def test_a_sparse_table_goes_to_its_nearest_rows():
    codes = np.unique(MULTIRES.sample_codes(300, np.random.default_rng(1)), axis=0)
    ground = TableGround(MULTIRES, codes, np.zeros(len(codes)))
    near = ground.near(7)
    far = np.abs((codes - codes[7]) / MULTIRES.scale) ** 2
    assert set(near.tolist()) == set(np.argsort(far.sum(1), kind="stable")[1:13].tolist())
    other = codes[7].copy()
    other[0] += 8 if other[0] < 128 else -8
    np.testing.assert_array_equal(ground.nearest(np.stack([codes[3], other])), [3, 7])
    # a controller ends at a row whatever it chooses
    rng, made = np.random.default_rng(2), np.zeros((20, 0), dtype=np.int64)
    for step in range(ground.choices.length):
        open_ = ground.open_options(made, step)
        assert open_.any(1).all()
        pick = np.array([rng.choice(np.flatnonzero(row)) for row in open_])
        made = np.concatenate([made, pick[:, None]], axis=1)
    assert (ground.steps.index.find(ground.choices.codes(made)) >= 0).all()


def test_open_options_are_those_that_can_be_completed():
    ground = whole(MACRO)
    open_ = ground.open_options(np.array([[1, 1, 1], [4, 4, 4]]), 3)
    # after three plain modules one that changes both must come if it is the last: with others after it any may
    assert open_[0].tolist() == [False, True, True, True, True]
    assert open_[1].tolist() == [False, True, False, True, False]  # a fourth doubling is one too many
    assert ground.open_options(np.array([[1, 1, 1, 4]]), 4)[0].all()  # none: it may end here


def test_an_open_ground_answers_each_architecture_once():
    asked = []

    def answer(codes):
        asked.extend(map(tuple, codes.tolist()))
        return codes.sum(1)

    ground = OpenGround(MULTIRES, answer, sample=10)
    rng = np.random.default_rng(0)
    handles = ground.draw(5, rng)
    values = ground.fitness(np.concatenate([handles, handles]))
    np.testing.assert_array_equal(values[:5], ground.codes(handles).sum(1))
    assert len(asked) == 5
    child = ground.mutate(handles, rng.random((5, 2)))
    changed = (ground.codes(child) != ground.codes(handles)).sum(1)
    np.testing.assert_array_equal(changed, 1)
    assert len(ground.candidates(rng)) == 10
