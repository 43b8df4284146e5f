"""What a search hands back: costs, opinions and ranges against what the predictors and the space say themselves."""

import numpy as np
import pytest
import torch
from toy_predictors import Toy, capacity

from ncp.search import search
from ncp.search.judges import PredictorPanel
from ncp.search.objectives import Objectives, parse_objectives
from ncp.search.result import candidates, opinions
from ncp.spaces import cost
from ncp.spaces.multires import SPACE

CODES = SPACE.sample_codes(5, np.random.default_rng(0))
WEIGHTS = np.random.default_rng(5).uniform(0.2, 2.0, 27) * SPACE.lower
NOISE = 0.75
ASKED = Toy("seg", capacity(WEIGHTS), std=lambda x: x[:, 0] / 64)
ASKED.noise_std += NOISE
OTHER = Toy("seg", lambda x: 60 + x[:, 1] / 8)


def panel(predictor):
    return PredictorPanel({"seg": predictor}, {"seg": "toy"})


def test_candidates_cost_what_they_cost_and_are_told_by_both_panels():
    goals = Objectives(parse_objectives(["seg"]), {"seg": ASKED})
    found = candidates(goals, panel(ASKED), panel(OTHER), CODES)
    counted = cost.count(CODES)
    assert [c.macs for c in found] == counted.macs.tolist()
    assert [c.params for c in found] == counted.params.tolist()
    assert [c.architecture.code for c in found] == [tuple(code) for code in CODES.tolist()]
    predicted = [c.predicted.value["seg"]["mIoU"] for c in found]
    np.testing.assert_allclose(predicted, 80 - (WEIGHTS / CODES).sum(1))
    np.testing.assert_allclose([c.judged.value["seg"]["mIoU"] for c in found], 60 + CODES[:, 1] / 8)
    assert [c.others for c in found] == [{}] * 5


def test_doubt_and_noise_add_up_to_the_whole_in_squares():
    for code, opinion in zip(CODES, opinions(panel(ASKED), CODES), strict=True):
        doubt, noise, std = (part["seg"]["mIoU"] for part in (opinion.doubt, opinion.noise, opinion.std))
        assert doubt == pytest.approx(code[0] / 64)
        assert noise == pytest.approx(NOISE)
        assert std == pytest.approx(np.hypot(code[0] / 64, NOISE))


def test_known_is_what_lies_within_the_rows_of_all_that_were_asked():
    narrow = Toy("seg", ASKED.function)
    upper = SPACE.upper.copy()
    upper[0] = np.sort(CODES[:, 0])[2]
    narrow.card.region = {"lower": SPACE.lower.tolist(), "upper": upper.tolist()}
    goals = Objectives(parse_objectives(["seg"]), {"seg": ASKED})
    for panels in ((panel(narrow), panel(ASKED)), (panel(ASKED), panel(narrow))):
        assert [c.known for c in candidates(goals, *panels, CODES)] == (CODES[:, 0] <= upper[0]).tolist()


def test_a_results_short_names_and_ranges():
    flat = Toy("seg", lambda x: 70 + 0.02 * (x[:, 0] - 64) - torch.relu(x[:, 1] - 64))  # i1 by 8 steps: .16 points
    found = search(["seg"], predictor={"seg": flat}, starts=2, iterations=2, floor={"seg": 70}, kappa=0)
    assert (found.macs, found.params) == (found.found.macs, found.found.params)
    assert found.architecture is found.found.architecture
    assert found.start.code == SPACE.default().code
    assert found.before.predicted.value["seg"]["mIoU"] == pytest.approx(70)
    code = np.array(found.architecture.code)
    grid = np.arange(SPACE.lower[0], SPACE.upper[0] + 1, SPACE.step[0])
    tried = np.repeat(code[None], len(grid), 0)
    tried[:, 0] = grid
    value = flat.predict(tried)["mIoU"]
    near = grid[value >= flat.predict(code[None])["mIoU"][0] - 0.1]
    assert found.ranges["i1"].metric == (near.min(), near.max())
