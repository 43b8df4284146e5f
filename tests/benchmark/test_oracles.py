"""The benchmark as a function: rows, predictors, limits, named dimensions."""

import numpy as np
import pytest

import ncp.predictors
from ncp.benchmark import oracle
from ncp.errors import UserError

SEG = ncp.predictors.load("seg")


def test_a_predictor_answers_alone_where_there_is_no_table(tmp_path):
    ask = oracle("seg", predictor=SEG, queries=3, store=tmp_path, budget={"macs": 1e9})
    default = ask.space.default()
    named = dict(zip(ask.space.labels, default.code, strict=True))
    for given in (default, list(default.code), default.text, named):
        if ask.queries == 3:
            with pytest.raises(UserError, match="1 more would be 4 queries of at most 3"):
                ask(given)
            continue
        answer = ask(given)
        assert answer["mIoU"] == pytest.approx(SEG.predict(default)["mIoU"][0])
        assert answer["macs"] == 1969946624  # stated in the README
        assert answer["excess"] == pytest.approx(0.969946624)
    assert (ask.metric, ask.sign) == ("mIoU", 1)
    many = oracle("seg", predictor=SEG, store=tmp_path)(ask.space.encode([default, default]))
    assert many["mIoU"].shape == (2,)
    assert "excess" not in many


def test_a_table_without_a_predictor_is_asked_for(tmp_path):
    with pytest.raises(UserError, match="action=import"):
        oracle("seg", store=tmp_path)
    with pytest.raises(UserError, match="an oracle's budget limits macs and params, given was watts"):
        oracle("seg", predictor=SEG, store=tmp_path, budget={"watts": 3})


def test_within_the_limits_nothing_is_exceeded(tmp_path):
    ask = oracle("seg", predictor=SEG, store=tmp_path, budget={"macs": 1e12, "params": None})
    assert ask(np.array(ask.space.default().code))["excess"] == 0
