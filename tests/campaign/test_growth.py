"""A round's file: hostile until checked."""

import json

import numpy as np
import pytest
from growing_builds import SPACE
from simulated_builds import Memory

from ncp.campaign import growth
from ncp.campaign.growth import Growth, Round
from ncp.errors import UserError

PLAN = "a" * 64
GROWTH = Growth((8, 2, 2), {"macs": 1e9}, {"c4_4": (8.0, 32.0)})
NARROW = SPACE.lower.astype(int)
CODES = np.array([NARROW, NARROW + np.eye(27, dtype=int)[0] * 8])
TEXTS = SPACE.texts(CODES)


def content(**changes):
    fields = {"round": 1, "follows": PLAN, "architectures": TEXTS, "macs": [1, 2], "units": ["000000"], **changes}
    return json.loads(Round(**fields).content) if "format" not in changes else fields


def stored(fields):
    store = Memory()
    store.create("rounds/1.json", fields if isinstance(fields, bytes) else json.dumps(fields).encode())
    return store


def test_a_round_is_read_as_it_was_written():
    given = Round(
        round=1, follows=PLAN, architectures=TEXTS, macs=[1, 2], predicted=[70.5, 71.0], std=[1.0, 2.0], how="so"
    )
    store = stored(given.content)
    found, digest = growth.read(store, 1, PLAN)
    assert (found, found.content) == (given, given.content)
    assert digest == growth.digest(given.content)
    assert np.array_equal(growth.check(found, GROWTH, ["x"], SPACE), CODES)
    assert growth.read(store, 2, digest) is None


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"[]",
        Round(round=1, follows=PLAN, architectures=TEXTS, macs=[1, 2]).content[:100],
        content() | {"round": 2},
        content() | {"follows": "b" * 64},
        content() | {"architectures": []},
        content() | {"architectures": [1, 2]},
        content() | {"macs": [1, 0]},
        content() | {"macs": [1, 1e400]},
        content() | {"units": ["../../x"]},
        content() | {"std": [-1.0, 2.0]},
        content() | {"format": "ncp-round-9"},
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(fields):
    with pytest.raises(UserError, match=r"the rounds/1\.json of this build") as error:
        growth.read(stored(fields), 1, PLAN)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "before", "words"),
    [
        ({"architectures": TEXTS[:1], "macs": [1]}, [], "it has 1 architectures, the plan says 2"),
        ({"architectures": [TEXTS[0]] * 2}, [], "repeats"),
        ({}, TEXTS[:1], "repeats"),
        ({"architectures": [TEXTS[0], TEXTS[1].replace("_", "-")]}, [], "not written as"),
        ({"architectures": [TEXTS[0], "1_2_3"]}, [], r"the rounds/1\.json .* cannot be used: a code has 27 numbers"),
        ({"architectures": [TEXTS[0], SPACE.texts(SPACE.upper[None].astype(int))[0]]}, [], r"budget\.macs"),
        (
            {"architectures": [TEXTS[0], SPACE.texts((NARROW + np.eye(27, dtype=int)[25] * 32)[None])[0]]},
            [],
            r"bounds\.c4_4",
        ),
    ],
)
def test_a_round_that_breaks_the_plan_is_refused(changes, before, words):
    assert SPACE.labels[25] == "c4_4"
    found, _ = growth.read(stored(content(**changes)), 1, PLAN)
    with pytest.raises(UserError, match=words) as error:
        growth.check(found, GROWTH, before, SPACE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("count", "number", "words"),
    [
        (40, 41, "rounds must be at most count, given were rounds=41 and count=40"),
        (40, 0, r"rounds must be within 1\.\.1000"),
        (7, None, "count=8 or more, the trainings that a predictor can use; given was count=7"),
        (
            20,
            14,
            "leaves the first round 7 trainings, and a predictor needs 8 .* rounds=13 at most, or count=21 or more",
        ),
    ],
)
def test_rounds_that_cannot_be(count, number, words):
    with pytest.raises(UserError, match=words):
        growth.checked_sizes(count, number)


@pytest.mark.parametrize("count", [8, 9, 12, 20, 40, 97, 1000])
def test_rounds_add_up_and_the_first_one_teaches_a_predictor(count):
    for number in (None, 1, min(3, count - 7), count - 7):
        sizes = growth.checked_sizes(count, number)
        assert sum(sizes) == count
        assert sizes[0] >= growth.LEAST
        assert min(sizes) >= 1
        assert number is None or len(sizes) == number


def test_a_text_in_a_round_opens_no_file(tmp_path):
    (tmp_path / "other.yaml").write_text(f"text: {TEXTS[0]}\n")
    texts = [str(tmp_path / "other.yaml"), TEXTS[1]]
    with pytest.raises(UserError, match=r"cannot be used: .*is not a whole number"):
        growth.check(Round(round=1, follows=PLAN, architectures=texts, macs=[1, 2]), GROWTH, [], SPACE)
