"""Typed options: what a user's mistake says, and that ours keep their traceback."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
import torch
from msgspec import Meta

from ncp import options
from ncp.errors import UserError


@dataclass
class Build:
    dir: str | None = None
    attempts: Annotated[int, Meta(ge=1)] = 2


@dataclass
class Options:
    name: str
    seed: Annotated[int, Meta(ge=0)] = 1
    lam: float = 0.5
    keep: Literal["paper", "last"] = "paper"
    build: Build = field(default_factory=Build)
    more: dict[str, Any] = field(default_factory=dict)


def test_values_become_options():
    read = options.read(Options, {"name": "a", "seed": 3.0, "lam": 1, "build": {"attempts": 1e1}, "more": {"x": 1}})
    assert read == Options("a", 3, 1.0, build=Build(attempts=10), more={"x": 1})


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "'name' has no value; give one as name=..."),
        ({"name": "a", "sead": 1}, "unknown key 'sead'; did you mean 'seed'?; --help lists the keys"),
        (
            {"name": "a", "build": {"atempts": 1}},
            "unknown key 'build.atempts'; did you mean 'attempts'?; --help lists the keys",
        ),
        ({"name": "a", "seed": -1}, "seed must be a whole number of at least 0, given was -1"),
        ({"name": "a", "seed": 1.5}, "seed must be a whole number, given was 1.5"),
        ({"name": "a", "seed": None}, "seed must be a whole number, given was null"),
        ({"name": "a", "lam": "x"}, "lam must be a number, given was 'x'"),
        ({"name": "a", "keep": "all"}, "keep must be one of paper, last, given was 'all'"),
        ({"name": "a", "build": {"attempts": 0}}, "build.attempts must be a whole number of at least 1, given was 0"),
        ({"name": 3}, "name must be a text, given was 3"),
        ({"name": ""}, "'name' is empty; give a value, or leave it out"),
        ({"name": "a", "build": {"dir": ""}}, "'build.dir' is empty; give a value, or leave it out"),
        ({"name": "a", "lam": float("nan")}, "lam must be a finite number, given was nan"),
        ({"name": "a", "lam": 1e308}, "lam must be between -1.84e+19 and 1.84e+19, given was 1e+308"),
        ({"name": "a", "seed": 2**70}, f"seed must be between -1.84e+19 and 1.84e+19, given was {2**70}"),
        ({"name": "a", "more": {"x": [1, float("inf")]}}, "more.x[1] must be a finite number, given was inf"),
    ],
)
def test_a_mistake_is_one_line(values, line):
    with pytest.raises(UserError) as error:
        options.read(Options, values)
    assert str(error.value) == line


class Base:
    def __init__(self, size: int, seed: int = 0) -> None:
        self.size, self.seed = size, seed


class Child(Base):
    def __init__(self, root: str | None, crop: list[int] | int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root, self.crop = root, crop


class Broken(Base):
    def __init__(self, size: int = 1) -> None:
        len(3)  # type: ignore[arg-type]


def test_a_constructor_gets_what_its_signature_takes():
    made = options.call(Child, {"root": None, "size": 4.0, "crop": [1, 2]}, "data", seed=7)
    assert (made.root, made.size, made.seed, made.crop) == (None, 4, 7, [1, 2])


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"root": None, "size": 1, "colour": 3}, "unknown key 'data.colour' for Child; its keys: root, crop, size"),
        (
            {"root": None, "size": 1, "crob": 3},
            "unknown key 'data.crob' for Child; did you mean 'crop'?; its keys: root, crop, size",
        ),
        ({"root": None}, "'data.size' has no value; Child needs one: data.size=..."),
        ({"root": None, "size": "big"}, "data.size must be a whole number, given was 'big'"),
        ({"root": 3, "size": 1}, "data.root must be a text or null, given was 3"),
        ({"root": None, "size": 1, "crop": [1, "x"]}, "data.crop[1] must be a whole number, given was 'x'"),
    ],
)
def test_a_wrong_argument_is_one_line(values, line):
    with pytest.raises(UserError) as error:
        options.call(Child, values, "data", seed=1)
    assert str(error.value) == line


def test_a_mistake_of_ours_inside_a_constructor_keeps_its_type():
    with pytest.raises(TypeError, match="has no len"):
        options.call(Broken, {}, "data")


def test_tensors_are_left_out_of_what_a_value_may_be_and_pairs_are_checked():
    def make(rate: "float | torch.Tensor", pair: "tuple[float | torch.Tensor, float] | None" = None) -> Any:
        return rate, pair

    assert options.call(make, {"rate": 1, "pair": [1, 2]}, "x") == (1.0, (1.0, 2.0))
    with pytest.raises(UserError, match=r"x.rate must be a number, given was 'fast'"):
        options.call(make, {"rate": "fast"}, "x")
    with pytest.raises(UserError, match=r"x.pair\[1\] must be a number, given was 'b'"):
        options.call(make, {"rate": 1, "pair": [1, "b"]}, "x")
