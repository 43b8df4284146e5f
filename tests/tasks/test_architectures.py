"""What ``arch=...`` means in three spaces: forms, files, names, chance."""

import numpy as np
import pytest

from ncp import spaces
from ncp.errors import UserError
from ncp.tasks import architectures

MICRO, MACRO, MULTIRES = (spaces.get(name) for name in ("transnas-micro", "transnas-macro", "multires"))
CELL, NETWORK = MICRO.parse("64-41414-3_31_332"), MACRO.parse("64-21231-basic")


@pytest.mark.parametrize(
    "architecture", [CELL, NETWORK, MULTIRES.default(), *MICRO.sample(3, np.random.default_rng(0))]
)
def test_an_architecture_is_known_by_its_form(architecture):
    for code in (architecture.text, list(architecture.code)):
        assert architectures.choose({"kind": "code", "code": code}) == architecture
    assert architectures.of_own_text(architecture.text) == architecture
    assert spaces.get(spaces.of_form(architecture)).parse(architecture) == architecture
    assert architectures.choose({"kind": "code", "code": "3_31_332"}) == CELL  # the benchmark's short form


@pytest.mark.parametrize("space", [MICRO, MACRO, MULTIRES], ids=lambda space: space.name)
def test_names_and_chance_are_of_the_space(space):
    assert architectures.choose({"kind": "named", "name": "default"}, space.name) == space.default()
    drawn = architectures.choose({"kind": "random", "seed": 4}, space.name)
    assert drawn == space.sample(1, np.random.default_rng(4))[0]
    narrow = architectures.choose({"kind": "narrow"}, space.name)
    some = space.cost(space.encode(space.sample(200, np.random.default_rng(1)))).macs
    assert space.cost(space.encode([narrow])).macs[0] <= np.quantile(some, 0.1)


def test_files_say_their_space(tmp_path):
    path = tmp_path / "architecture.yaml"
    path.write_text(f"space: transnas-macro\ntext: {NETWORK.text}\n")
    settings = {"kind": "file", "path": str(path)}
    assert architectures.choose(settings) == architectures.choose(settings, "transnas-macro") == NETWORK
    with pytest.raises(
        UserError, match=r"architecture\.yaml: it holds an architecture of transnas-macro; here it must be"
    ):
        architectures.choose(settings, "transnas-micro")
    for text, words in (
        ("space: [1]\ntext: 64-21231", "unknown space"),
        ("- 3\n", "27 numbers"),
        ("64-41414-9_99_999\n", "digit 1"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=words) as error:
            architectures.choose(settings)
        assert "\n" not in str(error.value)
    path.write_text(f"architecture: {{text: {CELL.text}}}\n")
    assert architectures.choose(settings) == CELL


def test_a_setting_says_the_space():
    assert architectures.space_of("transnas-micro/normal", {}) == "transnas-micro"
    assert (
        architectures.space_of("multires/normal", {})
        == architectures.space_of("seg", {"space": "multires"})
        == "multires"
    )
    assert architectures.space_of(None, {"space": "transnas-macro"}) == "transnas-macro"
    assert architectures.space_of(None, {}) is None
    with pytest.raises(UserError, match=r"setting=seg is of the space multires, given was arch.space=transnas-micro"):
        architectures.space_of("seg", {"space": "transnas-micro"})
    with pytest.raises(UserError, match="unknown space 'cells'"):
        architectures.space_of(None, {"space": "cells"})
