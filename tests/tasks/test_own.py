"""Our part of a checkpoint: what it must be, and the bounds within which its configuration is believed."""

import copy
import math

import pytest

from ncp.errors import UserError
from ncp.tasks.bounds import WHOLE
from ncp.tasks.own import read_own

GOOD = {
    "architecture": "8_8-1_1_1_8",
    "task": "seg",
    "classes": ["road", "sky"],
    "step": 3,
    "config": {"seed": 2**40, "data": {"size": 64, "workers": 2}, "recipe": {"batch": 4}, "older_key": 1},
    "input": {"channels": 3, "size": [64, 64], "mean": [0.5] * 3, "std": [0.2] * 3},
    "position": {"step": 3, "samples": 12, "batch": 4, "set": 20},
}


def changed(way, value):
    out = copy.deepcopy(GOOD)
    *inner, last = way.split(".")
    place = out
    for key in inner:
        place = place[key]
    place[last] = value
    return out


def test_a_good_one_comes_back_typed():
    own, options = read_own(GOOD, "the file")
    assert (own.task, own.step, own.position.samples, own.input.size) == ("seg", 3, 12, (64, 64))
    assert (options.seed, options.data["size"], options.recipe["batch"]) == (2**40, 64, 4)


def test_earlier_versions_are_read():
    old = {key: GOOD[key] for key in ("architecture", "task", "classes", "step")}
    own, options = read_own({**old, "config": {"setting": {"name": "seg"}}, "latest": {"mIoU": math.nan}}, "the file")
    assert own.latest == {"mIoU": None}
    assert options.setting == "seg"


@pytest.mark.parametrize(
    ("way", "value", "line"),
    [
        ("task", "seg/../x", "task"),
        ("classes", [], "classes"),
        ("classes", [3], "classes"),
        ("step", -1, "step"),
        ("step", 4, "names two steps, 4 and 3"),
        ("architecture", "", "architecture"),
        ("architecture", "x" * 5000, "a text of 5,000 characters"),
        ("input.std", [0.2], "3 means and 1 deviations"),
        ("input.mean", [math.inf] * 3, "plain, finite value"),
        ("config.data.size", 10**6, "its configuration holds 1000000"),
        ("config.data.workers", 300, "its configuration holds 300"),
        ("config.recipe.batch", WHOLE + 1, "at most 10,000,000 is read"),
        ("config.data", {3: 4}, "has 3 as a key"),
        ("config.seed", "one", "the configuration in the file"),
        ("position.set", 0, "set"),
    ],
)
def test_anything_else_is_refused_by_name(way, value, line):
    with pytest.raises(UserError, match=line) as error:
        read_own(changed(way, value), "the file")
    assert "the file" in str(error.value)
