"""How freely a number may change: against brute force along each dimension, with a predictor whose values are known."""

import numpy as np
from toy_predictors import Toy

from ncp.search.limits import Budget
from ncp.search.objectives import Objectives, parse_objectives
from ncp.search.ranges import POINTS, SHARE, Range, in_words, price_in_words, ranges
from ncp.search.region import Region
from ncp.spaces.multires import SPACE

LABELS = list(SPACE.labels)
I1, O1 = LABELS.index("i1"), LABELS.index("o1")
# rises by 0.01 points a channel of i1, and not at all with the others
GOALS = Objectives(parse_objectives(["seg"]), {"seg": Toy("seg", lambda x: 70 + 0.01 * x[:, I1])})


def test_ranges_are_those_of_brute_force():
    code = SPACE.encode([SPACE.default()])[0].astype(np.int64)
    found = ranges(GOALS, Budget(Region(SPACE)), code)
    base = float(SPACE.cost(code[None]).macs[0])
    for label in ("i1", "o1", "b4"):
        i = LABELS.index(label)
        grid = np.arange(SPACE.lower[i], SPACE.upper[i] + 1, SPACE.step[i]).astype(int)
        tried = np.repeat(code[None], len(grid), 0)
        tried[:, i] = grid
        lost = 0.01 * (code[I1] - tried[:, I1])
        grown = np.asarray(SPACE.cost(tried).macs) / base - 1
        for kind, ok in (
            ("metric", lost <= POINTS),
            ("cost", np.abs(grown) <= SHARE),
            ("free", (lost <= POINTS) & (grown <= SHARE)),
        ):
            low, high = getattr(found[label], kind)
            inside = (grid >= low) & (grid <= high)
            assert ok[inside].all()
            beside = grid[(grid == low - SPACE.step[i]) | (grid == high + SPACE.step[i])]
            assert not ok[np.isin(grid, beside)].any()
    assert found["i1"].metric == (56, 128)  # one step of 8 channels is 0.08 points, two are 0.16


def test_in_words_the_widest_are_named_and_all_are_counted():
    one = {"i1": (64, 64), "i2": (56, 64), "c1_1": (8, 128), "b1": (1, 4), "n1_1": (1, 2), "o1": (8, 16)}
    found = {name: Range((0, 0), (0, 0), free) for name, free in one.items()}
    assert in_words(found) == "5 of 6 numbers, such as c1_1 8 to 128, b1 1 to 4, n1_1 1 to 2"
    assert in_words({"o1": found["o1"], "i1": found["i1"]}) == "1 of 2 numbers, o1 8 to 16"


def test_limits_and_fixed_dimensions_leave_nothing_free():
    code = SPACE.encode([SPACE.default()])[0].astype(np.int64)
    fixed = Region(SPACE, code.astype(float), [label for label in LABELS if label != "o1"])
    found = ranges(GOALS, Budget(fixed), code)
    assert set(found) == {"o1"}
    assert in_words({}) == ""


def test_a_similarity_may_lose_a_share_of_its_spread():
    """Values of -1..1 with a standard deviation of .02: a step of i1 that costs .00032 is within .0004, two are not."""
    name = "multires/normal"
    toy = Toy(name, lambda x: 0.5 + 0.00004 * x[:, I1], metrics=("valid_ssim",), mean=0.5, scale=0.02)
    code = SPACE.encode([SPACE.default()])[0].astype(np.int64)
    goals = Objectives(parse_objectives([name]), {name: toy})
    found = ranges(goals, Budget(Region(SPACE)), code)
    assert found["i1"].metric == (56, 128)
    assert found["o1"].metric == (8, 128)
    assert price_in_words(goals) == "loses at most 0.0004 of multires/normal.valid_ssim and costs at most 1 % more"
    assert price_in_words(GOALS) == "loses at most .1 points and costs at most 1 % more"
