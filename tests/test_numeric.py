"""Numbers that users give, and numbers as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncp.errors import UserError
from ncp.numeric import as_written, finite, of_text, shortest, whole


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**14), 10**14))
def test_the_shortest_form_reads_back_as_the_same_number(value):
    text = shortest(value)
    assert float(text) == value
    assert len(text) <= len(repr(float(value)))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("budget.macs=1000000000.0", "budget.macs=1e9"),
        ("budget.macs=2500000000.0", "budget.macs=2.5e9"),
        ("lam=0.1", "lam=0.1"),
        ("lam=1.0", "lam=1"),
        ("bounds.c4_4=[8,64]", "bounds.c4_4=[8,64]"),
        ("objectives=[cls,{metric:seg.mAcc,weight:0.50}]", "objectives=[cls,{metric:seg.mAcc,weight:0.5}]"),
        ("seed=12345678901234567891", "seed=12345678901234567891"),
        ("start=runs/1000000000.0", "start=runs/1000000000.0"),  # a path, not a number
        ("start=8_8-1_1000000-8", "start=8_8-1_1000000-8"),
    ],
)
def test_labels_are_written_as_people_write_them(written, expected):
    assert as_written(written) == expected


@pytest.mark.parametrize("value", [-1, 1.5, None, True, "3", math.nan, math.inf, [1]])
def test_no_whole_number(value):
    with pytest.raises(UserError, match="seed must be a whole number from 0, given was"):
        whole("seed", value, 0)


def test_whole_and_finite_numbers():
    assert whole("seed", 10**30, 0) == 10**30
    assert finite("budget.macs", "1e9") == 1e9
    for value in (None, "a lot", math.nan, True, [3], 10**400):
        with pytest.raises(UserError, match="finite number"):
            finite("lam", value)
    with pytest.raises(UserError, match="must not be negative"):
        finite("lam", -1, least=0)
    with pytest.raises(UserError, match="must be positive"):
        finite("lam", 0, above=0)


@pytest.mark.parametrize("text", ["1_0", "\u0661\u0662", "0x10", "1,5", "", "70%"])
def test_texts_that_are_no_numbers(text):
    with pytest.raises(ValueError, match=r"number|float"):
        of_text(text)
