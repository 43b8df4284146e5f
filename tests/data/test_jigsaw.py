"""Permutations that are far apart, and cutting images into tiles."""

import numpy as np
import pytest
import torch

from ncp.data import jigsaw
from ncp.errors import UserError


def _distances(rows):
    return (rows[:, None] != rows[None]).sum(2)[~np.eye(len(rows), dtype=bool)]


@pytest.mark.parametrize(
    ("count", "least"), [(2, 9), (9, 9), (10, 8), (24, 8), (72, 8), (73, 7), (504, 7), (505, 6), (1000, 6)]
)
def test_permutations_are_as_far_apart_as_is_promised(count, least):
    rows = jigsaw.permutations(count, seed=3)
    assert rows.shape == (count, 9)
    assert (np.sort(rows, 1) == np.arange(9)).all()
    assert _distances(rows).min() >= least == jigsaw.least_distance(count)


def test_whole_groups_are_sharply_transitive():
    """72 maps send two places anywhere exactly once, 504 send three."""
    for count, places in ((72, 2), (504, 3)):
        rows = jigsaw.permutations(count)
        assert len(np.unique(rows[:, :places], axis=0)) == count


def test_permutations_follow_from_the_seed():
    assert np.array_equal(jigsaw.permutations(24, 1), jigsaw.permutations(24, 1))
    assert not np.array_equal(jigsaw.permutations(24, 1), jigsaw.permutations(24, 2))
    for count in (1, 1513):
        with pytest.raises(UserError, match=r"from 2 to 1,512 permutations"):
            jigsaw.permutations(count)


def test_a_file_of_permutations(tmp_path):
    path, rows = tmp_path / "p.npy", jigsaw.permutations(30)
    np.save(path, rows.astype(np.uint8))
    assert np.array_equal(jigsaw.read_permutations(path), rows)
    np.save(path, rows + 1.0)  # the release of another project counts from 1
    assert np.array_equal(jigsaw.read_permutations(path), rows)
    for wrong, says in (
        (np.tile(rows[0], (2, 1)), "different permutations"),
        (rows[:, :8], "different permutations"),
        (rows + 2, "different permutations"),
        (rows + 0.5, "no whole numbers"),
        (rows[0], "2 axes of at most"),
    ):
        np.save(path, wrong)
        with pytest.raises(UserError, match=says):
            jigsaw.read_permutations(path)
    np.save(path, np.array([[print]]), allow_pickle=True)
    with pytest.raises(UserError, match="whole or real numbers"):
        jigsaw.read_permutations(path)


@pytest.mark.parametrize(("side", "tile"), [(256, 64), (255, 64), (96, 24), (64, 16)])
def test_tile_i_comes_from_the_field_that_the_permutation_names(side, tile):
    rows, columns = np.mgrid[0:side, 0:side] * 3 // side
    fields = torch.from_numpy((28 * (3 * rows + columns)).astype(np.uint8))
    image = torch.stack([fields, 255 - fields, fields // 2])
    permutation = jigsaw.permutations(24)[5]
    tiles = jigsaw.cut(image, permutation, np.random.default_rng(0))
    assert tiles.shape == (9, 3, tile, tile)
    middle = tiles[:, 0].flatten(1).float().median(1).values
    assert torch.equal((middle / 28).round().long(), torch.from_numpy(permutation))


def test_tiles_lie_at_random_within_the_centred_nine_tenths():
    ramp = torch.arange(255).expand(255, 255)
    image = torch.stack([ramp, ramp.T, ramp]).to(torch.uint8)
    rng = np.random.default_rng(1)
    lefts = np.array([jigsaw.cut(image, np.arange(9), rng)[:, 0, 0, 0].tolist() for _ in range(60)])
    # columns 12.75 to 242.25 become the whole; in the first field tiles begin at columns 0..21 of 85, so at 13 to 32
    assert lefts[:, 0].min() >= 12
    assert lefts[:, 0].max() <= 33
    assert len(np.unique(lefts[:, 0])) > 10
    assert lefts[:, 2].min() >= 165
    assert lefts[:, 2].max() <= 186
