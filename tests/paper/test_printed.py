"""What the paper prints, as the package holds it: against each other, against the public codes, and against the space."""

import numpy as np
import pytest

from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.paper import printed, searches
from ncp.spaces import cost, found


def test_every_row_names_things_that_exist():
    for number, table in printed.tables().items():
        assert len({row.name for row in table.rows}) == len(table.rows), number
        for row in table.rows:
            assert row.search is None or row.search in searches.SEARCHES
            assert row.network is None or row.network in found.FOUND
            for name in row.figures:
                setting, _, metric = name.rpartition(".")
                if setting in settings.PAPER:
                    assert metric in settings.SETTINGS[setting].metrics
                assert 0 < row.figures[name] < 100
    with pytest.raises(UserError, match="table is one of 2, 3, 4, 5, 8, 9, 10, given was 7"):
        printed.table(7)


def test_tables_agree_where_the_paper_prints_a_network_twice():
    """Table 3's Seg and Video are the first networks of Tables 8 and 9, with parameters and figures alike."""
    for search, other in (("seg", 8), ("video", 9)):
        here, there = printed.table(3).of(search), printed.table(other).of(search)
        assert here.params_m == there.params_m
        shared = set(here.figures) & set(there.figures)
        assert len(shared) >= 3
        assert all(here.figures[name] == there.figures[name] for name in shared)
    # and Table 4's networks before a transfer are Table 3's, but for one figure
    other = {}
    for row in printed.table(4).rows:
        (name,) = row.figures
        source = printed.table(3).of(searches.get(row.search).start)
        if source.figures[name] != row.same:
            other[row.search] = (row.same, source.figures[name])
    assert other == {"cls-to-seg": (75.42, 75.65)}


@pytest.mark.parametrize("name", ["ncp_seg", "ncp_video", "ncp_det3d"])
def test_costs_of_the_public_networks_are_those_of_table_3(name):
    row = next(row for row in printed.table(3).rows if row.network == name)
    flops_g, params_m = cost.paper_units([list(found.get(name).code)])
    assert abs(flops_g[0] - row.flops_g) < 0.006
    assert abs(params_m[0] - row.params_m) < 0.006
    table = printed.table(8 if name == "ncp_seg" else 3)
    expected = 29.34 if name == "ncp_seg" else row.flops_g
    assert searches.flops_of(found.get(name), table) == pytest.approx(expected, rel=0.02)


def test_statistics_are_those_of_nine_settings():
    stated = printed.statistics()
    assert stated.settings == tuple(settings.PAPER)
    np.testing.assert_array_equal(stated.spearman, stated.spearman.T)
    np.testing.assert_array_equal(np.diag(stated.spearman), 1)
    np.testing.assert_array_equal(stated.epoch_spearman, stated.epoch_spearman.T)
    i, j = stated.settings.index("seg"), stated.settings.index("video")
    assert stated.spearman[i, j] == -0.003  # section 4.3
    assert stated.spearman.shape == (9, 9)
