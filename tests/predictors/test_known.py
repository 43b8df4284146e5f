"""What is known already: which predictors stand by, and which are refused."""

import numpy as np
import pytest
import torch
from toy_predictors import Toy

from ncp import predictors as shelf
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.predictors import known
from ncp.spaces.multires import SPACE


def test_all_but_ones_own():
    assert known.bundled("multires") == settings.PAPER
    found = known.predictors("all", "seg", "multires")
    assert set(found) == set(settings.PAPER) - {"seg"}
    assert known.predictors("none", "seg", "multires") == {}
    assert known.predictors("all", "transnas-micro/jigsaw", "transnas-micro") == {}


def test_they_predict_their_main_metric_as_ever():
    codes = SPACE.sample_codes(5, np.random.default_rng(0))
    (found,) = known.predictors(["cls"], "seg", "multires").values()
    whole = shelf.load("cls-50-1000").predict(codes)["top1"]
    np.testing.assert_allclose(found.predict(codes)["top1"], whole, rtol=1e-5)
    assert found.metrics == ("top1",)


def test_one_of_ones_own_and_a_second_of_the_same_name():
    toy = Toy("video", lambda x: x[:, 0])
    found = known.predictors([toy, "video"], "seg", "multires")
    assert list(found) == ["video", "video'"]
    codes = torch.from_numpy(SPACE.sample_codes(2, np.random.default_rng(0)))
    assert found["video"].posterior(codes.double())[0].shape == (2, 1)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["seg"], "known names seg itself"),
        (["sge"], "for which no predictor is bundled; bundled are cls-50-1000"),
        ([3], "known is all, none or a list"),
        (3, "known is all, none or a list"),
        ([Toy("x", lambda x: x[:, 0], space="nasbench201")], "is of space nasbench201, not multires"),
    ],
)
def test_what_cannot_be_known(given, line):
    with pytest.raises(UserError, match=line):
        known.predictors(given, "seg", "multires")
