"""A table as a function: it answers what the rows say, counts, and refuses what was never trained."""

import numpy as np
import pytest

from ncp import benchmark
from ncp.benchmark.oracles import Oracle, oracle
from ncp.errors import UserError
from ncp.spaces.multires import SPACE

CODES = SPACE.sample_codes(5, np.random.default_rng(0))
TABLE = benchmark.from_rows(
    [{"code": c.tolist(), "mIoU": 50.0 + i, "mAcc": 60.0, "aAcc": 90.0} for i, c in enumerate(CODES)], "seg"
)


def test_every_form_of_an_architecture_is_answered_and_counted():
    ask = Oracle(TABLE, queries=9)
    parsed = SPACE.parse(CODES[2].tolist())
    by_name = dict(zip(SPACE.labels, CODES[2].tolist(), strict=True))
    for form in (CODES[2].tolist(), parsed, parsed.text, by_name):
        assert ask(form)["mIoU"] == 52
    many = ask(CODES)
    assert many["mIoU"].tolist() == [50, 51, 52, 53, 54]
    np.testing.assert_array_equal(many["macs"], SPACE.cost(CODES).macs)
    assert ask.queries == 9
    with pytest.raises(UserError, match="1 more would be 10 queries of at most 9"):
        ask(parsed)
    assert (ask.metric, ask.sign) == ("mIoU", 1.0)
    assert ask([]) == {}


def test_what_was_never_trained_is_refused_unless_a_predictor_knows():
    other = SPACE.sample(1, np.random.default_rng(9))[0]
    with pytest.raises(UserError):
        Oracle(TABLE)(other)

    class Knows:
        metrics = ("mIoU", "mAcc", "aAcc")

        def predict(self, codes):
            return {"mIoU": np.array([33.0]), "mAcc": np.array([44.0]), "aAcc": np.array([55.0])}

        def predict_std(self, codes, noise=True):
            return {"mIoU": np.array([1.0]), "mAcc": np.array([1.0]), "aAcc": np.array([1.0])}

    assert Oracle(TABLE, Knows())(other)["mIoU"] == 33


def test_it_is_opened_by_name(tmp_path):
    benchmark.store.write(TABLE, tmp_path / "seg.parquet")
    assert oracle("seg", store=tmp_path)(CODES[0].tolist())["mIoU"] == 50
    with pytest.raises(UserError, match="no table of 'video'"):
        oracle("video", store=tmp_path)
