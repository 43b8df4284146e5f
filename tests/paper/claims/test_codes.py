"""What the appendix reads in found codes, on codes in which it is there, and on others in which it is not."""

import pytest
from made_lab import MadeLab, codes

from ncp.paper.claims import codes as claims
from ncp.paper.claims.claim import HOLDS, NOT, PART


def test_most_and_least_go_by_means():
    lab = MadeLab({"seg": codes(c4_3=[8, 8, 8, 128]), "video": codes(c4_3=40)})
    values = claims._means(lab, "c4_3")
    assert {task: float(value.mean()) for task, value in values.items()} == {
        "cls": 64,
        "seg": 38,
        "video": 40,
        "3ddet": 64,
    }
    assert (claims.most(values), claims.least(values)) == ("cls", "seg")


@pytest.mark.parametrize(("late", "early", "verdict"), [(128, 8, HOLDS), (128, 128, PART), (8, 128, NOT)])
def test_high_level_counts_late_and_early_channels(late, early, verdict):
    found = claims.high_level(MadeLab({"seg": codes(c4_3=late, c4_4=late), "video": codes(c1_1=early, c2_1=early)}))
    assert found.verdict == verdict
    assert found.figures["late seg"] == 2 * late
    assert found.figures["early video"] == 2 * early + 64  # c2_2 as in the default code


def test_fourth_branch_follows_each_walk_from_its_start():
    """Begun at 64: a mean that grows is not enough where three of four walks shrink."""
    lab = MadeLab({"seg": codes(c4_4=104), "cls-50-1000": codes(c4_4=16), "video": codes(c4_4=72)})
    assert claims.fourth_branch(lab).verdict == HOLDS
    mixed = {**lab._ends, "seg": codes(c4_4=[56, 56, 56, 128])}
    found = claims.fourth_branch(MadeLab(mixed))
    assert found.verdict == PART
    assert "grows (or stays) in 25% of the walks" in found.text
    assert "shrinks (or stays) in 100%" in found.text


def test_depth_is_blocks_times_units_over_all_branches():
    deep = codes(b1=4, n1_1=4, b4=3, n4_2=4)
    found = claims.depth(MadeLab({"cls-50-1000": deep, "seg": codes()}))
    default = 2 * (2 + 2 * 2 + 3 * 2 + 4 * 2)
    assert found.figures["units seg"] == default
    assert found.figures["units cls"] == default + (16 - 4) + (3 * (4 + 3 * 2) - 2 * 8)
    assert found.verdict == PART  # deeper, with as many channels at low resolution


def test_both_sizes_are_held_against_the_two_alone():
    ends = {"seg": codes(n1_1=4), "seg-4x": codes(n1_1=2), ("seg", "seg-4x"): codes(n1_1=1, b2=3)}
    found = claims.both_sizes(MadeLab(ends))
    assert found.verdict == HOLDS
    assert found.figures == {"units": pytest.approx(1 - 3), "blocks": pytest.approx(1)}
