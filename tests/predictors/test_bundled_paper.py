"""The weights of the paper's predictor that ship with the package."""

import numpy as np
import pytest

from ncp.benchmark import settings
from ncp.predictors import base
from ncp.spaces.multires import SPACE

FOLDER = base.WEIGHTS / base.FAMILIES["paper"]


def test_all_nine_settings_are_there_and_small() -> None:
    files = {file.stem: file.stat().st_size for file in FOLDER.glob("*.safetensors")}
    assert set(files) == set(settings.PAPER)
    assert sum(files.values()) <= 3_000_000


@pytest.mark.parametrize("name", settings.PAPER)
def test_the_card_says_where_it_comes_from_and_how_good_it_is(name: str) -> None:
    predictor = base.load(name, family="paper")
    card, setting = predictor.card, settings.get(name)
    assert (card.kind, card.setting, card.metrics) == ("mlp", name, (*setting.metrics, "flops", "params"))
    assert 1300 < card.rows <= 2507
    assert "cross-validation" in card.protocol
    assert card.source.startswith("github.com/dingmyu/NCP data/")
    assert "BSD-2-Clause" in card.licence
    assert "commercial use: ask its authors" in card.licence
    for metric in card.metrics:
        assert 0.5 < card.errors[metric]["calibration"] < 1.0
        assert card.errors[metric]["mae"] < float(predictor.output_std[card.metrics.index(metric)])
    # the network learns the recorded costs well, and the spread it states is the error it was measured to have
    assert card.errors["flops"]["kendall"] > 0.8
    np.testing.assert_allclose(
        predictor.predict_std(SPACE.default())[setting.main], card.errors[setting.main]["rmse"], rtol=1e-4
    )


def test_3ddet_states_its_rule_and_both_results() -> None:
    protocol = base.load("det3d", family="paper").card.protocol
    assert "112 pixels, without trainings below 60 AP" in protocol
    assert "on all rows" in protocol


def test_no_row_of_the_table_is_inside() -> None:
    """The largest tensors are the layers' own: nothing has the length of a table."""
    for name in settings.PAPER:
        predictor = base.load(name, family="paper")
        assert not any(predictor.card.rows in value.shape for value in predictor.arrays.values())


NARROW = "8_24-2_1_1_8-1_2_2_2_64_40-2_3_1_1_2_40_48_24-1_4_2_1_1_1_40_8_56_56-40"
WIDE = "32_48-2_1_1_112-1_2_2_3_112_16-2_3_1_3_3_32_16_128-3_4_4_4_4_4_112_128_80_96-112"
MIDDLE = "64_48-3_1_4_80-2_2_3_2_64_32-2_3_2_3_4_32_80_80-1_4_4_2_2_2_112_32_96_64-64"


@pytest.mark.parametrize(
    ("setting", "measured"),
    [
        ("seg", {NARROW: 66.90, WIDE: 78.14, MIDDLE: 74.31}),
        ("cls-50-1000", {NARROW: 80.48, WIDE: 84.92, MIDDLE: 82.68}),
        ("video", {NARROW: 23.932, WIDE: 21.441, MIDDLE: 22.687}),
    ],
)
def test_recorded_rows_are_predicted_within_three_points(setting: str, measured: dict[str, float]) -> None:
    """Figures of the release, in its units: the weights are those of this setting and in this order of dimensions."""
    predictor = base.load(setting, family="paper")
    predicted = predictor.predict([SPACE.parse(text) for text in measured])
    np.testing.assert_allclose(predicted[settings.get(setting).main], list(measured.values()), atol=3)
    np.testing.assert_allclose(predicted["flops"], [0.4146, 5.7264, 3.5865], atol=1)
