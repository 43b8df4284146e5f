"""Few rows: what a user's values must be, folds that see nothing of what they answer for, and where an answer holds."""

import fit_rows
import numpy as np
import pytest
import torch

from ncp.errors import UserError
from ncp.predictors import few, known, transfer_fit
from ncp.predictors.rows import Rows
from ncp.spaces.multires import SPACE

ARCHITECTURES = SPACE.sample(9, np.random.default_rng(0))
CODES = SPACE.encode(ARCHITECTURES)
VALUES = np.arange(9.0)


def test_architectures_codes_and_texts_are_the_same_rows():
    for given in (ARCHITECTURES, CODES, [a.text for a in ARCHITECTURES], [ARCHITECTURES[0].text, *ARCHITECTURES[1:]]):
        rows = few.rows_of(given, {"mIoU": VALUES, "mAcc": (VALUES + 1).tolist()})
        np.testing.assert_array_equal(rows.codes, CODES)
        np.testing.assert_array_equal(rows.targets, np.stack([VALUES, VALUES + 1], 1))
        assert (rows.metrics, rows.setting, rows.space) == (("mIoU", "mAcc"), "mine", "multires")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "values are given by metric"),
        (VALUES, "values are given by metric"),
        ({"mIoU": VALUES[:8]}, r"9 architectures need as many numbers of mIoU; given was \(8,\)"),
        ({"mIoU": VALUES[:, None]}, r"given was \(9, 1\)"),
        ({"mIoU": ["many"] * 9}, "9 architectures need as many numbers of mIoU"),
        ({"mIoU": [*VALUES[:8], np.nan]}, "numbers that are not finite"),
    ],
)
def test_values_that_do_not_fit(values, message):
    with pytest.raises(UserError, match=message):
        few.rows_of(ARCHITECTURES, values)


def test_a_settings_name_is_a_files_name():
    with pytest.raises(UserError, match="setting"):
        few.rows_of(ARCHITECTURES, {"mIoU": VALUES}, setting="../mine")


def test_eight_rows_are_enough():
    rows = few.rows_of(ARCHITECTURES, {"mIoU": VALUES})
    few.check_number(rows)
    few.check_number(rows.subset(slice(8)))
    with pytest.raises(UserError, match="7 rows of mine are too few"):
        few.check_number(rows.subset(slice(7)))


def test_no_row_is_answered_by_a_fit_that_saw_its_value():
    """Another value of one row changes nothing of its own fold's answers but by the standardisation, which is kept here."""
    rows = fit_rows.make(12, metrics=("mIoU",))
    blank = few.empty(rows, {})
    with torch.no_grad():
        inputs = blank.inputs(blank.codes)
    values, options = blank.values[:, 0], few.Options(known="none", components=1, folds=4)
    mean, std = few.crossed(inputs, values, transfer_fit.ROWS, 0, options)
    other = values.clone()
    other[5] += 3
    again, _ = few.crossed(inputs, other, transfer_fit.ROWS, 0, options)
    assert again[5] == pytest.approx(mean[5], abs=1e-6)
    assert np.abs(again - mean).max() > 1e-2
    assert (std > 0).all()


@pytest.mark.parametrize("some", [False, True], ids=["alone", "with the known"])
def test_where_an_answer_holds(some):
    """The rows' own bounds, or half as wide again and within the space where other predictors were brought in."""
    rows = fit_rows.make(9, metrics=("mIoU",))
    rows = Rows(np.minimum(rows.codes, np.maximum(SPACE.lower, 48)), rows.targets, rows.metrics, rows.setting)
    options = few.Options(known=["cls"] if some else "none", components=2, folds=2)
    region = few.fit_rows(rows, options).card.region
    lower, upper = rows.codes.min(0), rows.codes.max(0)
    if some:
        more = ((upper - lower) / 2) // SPACE.step * SPACE.step
        lower, upper = np.maximum(lower - more, SPACE.lower), np.minimum(upper + more, SPACE.upper)
    assert region == {"lower": lower.tolist(), "upper": upper.tolist()}


def test_inputs_are_standardised_about_rows_and_space():
    rows = fit_rows.make(30, metrics=("mIoU", "mAcc"))
    blank = few.empty(rows, known.predictors(["cls"], "mine", "multires"))
    np.testing.assert_allclose(blank.values.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(blank.output_mean, rows.targets.mean(0))
    np.testing.assert_allclose(blank.values * blank.output_std + blank.output_mean, rows.targets)
    with torch.no_grad():
        inputs = blank.inputs(blank.codes)
    assert inputs.linear.shape == (30, 3)  # the average score, the one known's, and the cost
    torch.testing.assert_close(inputs.linear[:, 0], inputs.linear[:, 1])  # of one known the average is it
