"""What a look suggests, worked out by hand for sets of known sizes and shares."""

from types import SimpleNamespace

import numpy as np
import pytest

from ncp.data.folder.look import Look
from ncp.data.folder.suggest import suggest

RECIPE = {"batch": 32, "unit": "epochs", "length": 100, "least_steps": 2000, "most_steps": 40000}


def look(train=1000, size=(300, 400), shares=None, **more):
    shares = {"a": 0.5, "b": 0.5} if shares is None else shares
    found = Look("cls", "/x", list(shares), {"train": train, "val": 10}, shares=shares, **more)
    found.sizes[size] = 50
    return found


def advice(found, given=()):
    return suggest(SimpleNamespace(), found, RECIPE, given)


@pytest.mark.parametrize(("size", "wanted"), [((300, 400), 224), ((100, 90), 96), ((20, 20), 32), ((192, 900), 224)])
def test_the_size_follows_the_shorter_side(size, wanted):
    assert advice(look(size=size)).data["size"] == wanted


@pytest.mark.parametrize(("train", "batch"), [(1000, 32), (100_000, 64), (100, 16), (10, 4)])
def test_the_batch_follows_the_number_of_images(train, batch):
    assert advice(look(train=train)).recipe["batch"] == batch


def test_the_length_that_is_told_keeps_the_recipes_bounds():
    def told(train):
        return next(line for line in advice(look(train=train)).why if line.startswith("length"))

    assert told(1000).startswith("length: 3,125 steps, 100 passes")
    assert told(100).startswith("length: 2,000 steps, the recipe's least, 320 passes")
    assert told(100_000).startswith("length: 40,000 steps, the recipe's most, 26 passes")


def test_uneven_classes_get_weights_whose_mean_sample_counts_one():
    shares = {"a": 0.9, "b": 0.08, "c": 0.02}
    found = advice(look(shares=shares))
    weights = np.array(found.recipe["class_weights"])
    assert weights @ np.array(list(shares.values())) == pytest.approx(1, abs=2e-3)
    assert weights[1] / weights[0] == pytest.approx(np.sqrt(0.9 / 0.08), rel=2e-3)  # by the root of the rarity
    assert "class_weights" not in advice(look(shares={"a": 0.6, "b": 0.4})).recipe


def test_what_was_given_is_left_alone():
    found = advice(look(train=100), given=("data.size", "recipe.batch"))
    assert "size" not in found.data
    assert "batch" not in found.recipe
    assert found.why[0].startswith("length: 2,000 steps, the recipe's least, 640 passes")  # of the given batch of 32


def test_nothing_is_suggested_for_what_cannot_be_trained_on():
    assert advice(look(problems=["broken"])).why == []
