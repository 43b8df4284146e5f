"""What the user chose of a data set's options outweighs what its look suggests."""

import pytest
import yaml
from layouts import make_own_images

from ncp import jobs


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv("NCP_CONFIG", raising=False)
    return make_own_images(tmp_path / "trees")


def look(root, folder, *words):
    outcome = jobs.data.run(jobs.options("data", "task=cls", f"root={root}", "samples=0", *words), folder)
    return outcome, yaml.safe_load(outcome.setting_file.read_text())["real"]


def test_suggestions_are_written_where_nothing_was_given(root, tmp_path):
    outcome, real = look(root, tmp_path / "a")
    assert real["recipe"] == "folder/cls"
    assert real["change"]["data"]["size"] == outcome.suggestion.data["size"] == 64  # of images with sides of 40 to 45
    assert real["change"]["recipe"]["batch"] == outcome.suggestion.recipe["batch"]


def test_what_was_given_stays_and_is_not_explained_away(root, tmp_path):
    outcome, real = look(
        root, tmp_path / "b", "data.size=48", "recipe.batch=32", "data.val_share=0.5", "recipe.length=7"
    )
    assert real["change"]["data"]["size"] == 48
    assert real["change"]["data"]["val_share"] == 0.5
    assert real["change"]["recipe"]["batch"] == 32  # also where it is the default
    assert real["change"]["recipe"]["length"] == 7
    assert "size" not in outcome.suggestion.data
    assert not [line for line in outcome.suggestion.why if line.startswith(("data.size", "recipe.batch"))]


def test_another_recipe_is_the_settings(root, tmp_path):
    _, real = look(root, tmp_path / "c", "recipe=imagenet")
    assert real["recipe"] == "imagenet"
    assert "schedule" not in real["change"].get("recipe", {})
