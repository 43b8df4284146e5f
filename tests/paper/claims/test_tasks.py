"""Verdicts on one task and several, where what each network is worth is written down."""

import numpy as np
import pytest
from made_lab import MadeLab, codes, width

from ncp.paper import printed
from ncp.paper.claims import tasks
from ncp.paper.claims.claim import HOLDS, NOT, PART

# what is a network worth: for classification the width of branch 1, for segmentation that of branch 4 of the last stage
JUDGE = {"cls-50-1000": width("c4_1"), "seg": width("c4_4")}


@pytest.mark.parametrize(
    ("joint", "verdict", "gains"),
    [
        ({"c4_1": 72, "c4_4": 80, "b4": 1}, HOLDS, (0.8, 1.6)),  # better in both, and cheaper
        ({"c4_1": 72, "c4_4": 56, "b4": 1}, PART, (0.8, -0.8)),
        ({"c4_1": 56, "c4_4": 56, "b4": 4}, NOT, (-0.8, -0.8)),
    ],
)
def test_a_joint_search_gains_what_the_judge_says(joint, verdict, gains):
    found = tasks.cls_and_seg(MadeLab({("cls-50-1000", "seg"): codes(**joint)}, judge=JUDGE))
    assert found.verdict == verdict
    assert (found.figures["cls"], found.figures["seg"]) == pytest.approx(gains)
    assert (found.figures["less"] > 0) == (joint["b4"] == 1)


def test_seg_and_video_hinder_only_where_both_lose():
    judge = {"seg": width("c4_4"), "video": width("c4_1")}
    for joint, verdict in (
        (codes(c4_4=8, c4_1=8), HOLDS),
        (codes(c4_4=8, c4_1=72), PART),
        (codes(c4_4=72, c4_1=72), NOT),
    ):
        assert tasks.seg_and_video(MadeLab({("seg", "video"): joint}, judge=judge)).verdict == verdict


@pytest.mark.parametrize(("sign", "verdict"), [(1, HOLDS), (-1, NOT)])
def test_correlated_takes_all_pairs_against_figure_4(sign, verdict):
    """A lab in which the gain of a pair is its correlation, or the opposite."""
    stated = printed.statistics()

    class ByFigure4(MadeLab):
        def ends(self, *objectives, starts=None, lam=0.5):
            i, *rest = (stated.settings.index(name) for name in objectives)
            return np.full((self.seeds, 1), sign * stated.spearman[i, rest[0]] if rest else 0.0)

        def judge(self, of, setting):
            return of[:, 0]

    found = tasks.correlated(ByFigure4())
    assert found.figures["correlation"] == pytest.approx(sign)
    assert found.verdict == verdict
    assert found.text.startswith("36 pairs: ")


def test_four_tasks_are_moderate_between_the_worst_and_the_own():
    names = tuple(tasks.TASKS.values())
    ends = {name: codes(o1=8 * (i + 1)) for i, name in enumerate(names)}
    judge = {name: width("o1") for name in names}
    between, above = ({**ends, names: codes(o1=value)} for value in (16, 128))
    found = tasks.four(MadeLab(between, judge=judge))
    assert found.verdict == HOLDS
    assert found.figures["seg"] == pytest.approx(61.6)
    assert "(networks of one task 60.80 to 63.20)" in found.text
    assert tasks.four(MadeLab(above, judge=judge)).verdict == NOT


def test_ade20k_is_counted_as_printed():
    """By hand from Table 3: Cls 32.74, Seg 33.32, Video 25.84, 3dDet 23.28; the pair of Cls and Video has 30.43."""
    found = tasks.ade20k(MadeLab())
    assert found.figures["better"] == 4
    assert "cls+video" not in found.text
    assert "6 better than the two on average" in found.text
