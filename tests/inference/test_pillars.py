"""Points and pillars outside of the network are those inside."""

import numpy as np
import pytest
import torch

from ncp.card import Anchor, SeenSpace
from ncp.inference.pillars import chosen
from ncp.models.pillars import Grid, pillarise

LIMITS = (0.0, -5.12, -3.0, 10.24, 5.12, 1.0)


@pytest.mark.parametrize(("points", "pillars"), [(100, 40_000), (3, 40_000), (100, 50), (2, 20), (1, 1)])
def test_the_same_points_are_kept(points, pillars):
    rng = np.random.default_rng(points)
    cloud = rng.normal((5, 0, -1, 0), (4, 4, 1.5, 1), (4000, 4)).astype(np.float32)
    cloud[:50, :2] = (3.2, 1.6)  # on a border
    cloud[60] = np.nan
    space = SeenSpace(LIMITS, 0.16, 2, [Anchor("a", 1, 1, 1, 0)], pillars, points)
    found, cells = chosen(cloud, space)
    grid = Grid(LIMITS, 0.16, (64, 64))
    wanted = pillarise(torch.from_numpy(cloud), torch.tensor([len(cloud)]), grid, pillars, points)
    assert np.array_equal(found, wanted.points.numpy())
    assert np.array_equal(cells, np.repeat(wanted.cells.numpy(), wanted.lengths.numpy()))


def test_no_points():
    found, cells = chosen(np.zeros((0, 4), np.float32), SeenSpace(LIMITS, 0.16, 2, [Anchor("a", 1, 1, 1, 0)], 10, 10))
    assert found.shape == (0, 4)
    assert cells.shape == (0,)
