"""Walks and their table: every column can be worked out from the codes."""

import numpy as np
from toy_predictors import Toy

from ncp.search.objectives import Objectives, parse_objectives
from ncp.search.trajectory import Trajectory, Walk, predict
from ncp.spaces.multires import SPACE

TOY = Toy("seg", lambda x: 60 + x[:, 0] / 8, std=lambda x: x[:, 1] / 64)
GOALS = Objectives(parse_objectives(["seg"]), {"seg": TOY})


def walk(number, steps, reason="ended"):
    rounded = SPACE.sample_codes(steps, np.random.default_rng(number))
    return Walk(rounded + 0.25, rounded, np.arange(steps, dtype=float), reason, number=number)


def test_the_best_walk_and_its_ends():
    found = Trajectory(GOALS, [walk(0, 3), walk(7, 4, "no improvement")], (1, 2), queries=9, broken="budget.macs")
    assert found.best_code.tolist() == found.walks[1].rounded[2].tolist()
    assert found.last_code.tolist() == found.walks[1].rounded[3].tolist()
    assert found.reason == "no improvement; budget.macs"
    assert (len(found), found.starts) == (4, 2)
    np.testing.assert_allclose(found.predicted["seg.mIoU"], 60 + found.walk.codes[:, 0] / 8)
    np.testing.assert_allclose(found.predicted_rounded["seg.mIoU"], 60 + found.walk.rounded[:, 0] / 8)


def test_the_table_has_a_row_a_step():
    walks = [walk(0, 3), walk(7, 4)]
    found = Trajectory(GOALS, walks, (1, 2))
    table = found.to_table("all")
    rounded = np.concatenate([w.rounded for w in walks])
    assert {len(column) for column in table.values()} == {7}
    assert table["start"].tolist() == [0] * 3 + [7] * 4
    assert table["step"].tolist() == [0, 1, 2, 0, 1, 2, 3]
    np.testing.assert_array_equal(table["macs"], SPACE.cost(rounded).macs)
    np.testing.assert_array_equal(table["rounded.i1"], rounded[:, 0])
    np.testing.assert_allclose(table["code.i1"] - table["rounded.i1"], 0.25)
    np.testing.assert_allclose(table["rounded.std.seg.mIoU"], rounded[:, 1] / 64)
    assert len(found.to_table()["step"]) == 4  # the best walk alone


def test_predictions_name_their_setting():
    mean, std = predict(GOALS, SPACE.sample_codes(2, np.random.default_rng(0)))
    assert list(mean) == list(std) == ["seg.mIoU"]
