"""Optimisers of other libraries, where these are installed; elsewhere the command says what to install."""

import importlib.util
import sys

import numpy as np
import pytest

from ncp import spaces
from ncp.errors import UserError
from ncp.search.querying.ground import OpenGround, TableGround
from ncp.search.querying.strategies import make

NAMES = {"tpe": ("optuna",), "nsga2": ("optuna",), "cma": ("optuna", "cmaes"), "bo": ("botorch",)}
SPACE = spaces.get("multires")


def missing(name):
    return [package for package in NAMES[name] if importlib.util.find_spec(package) is None]


@pytest.mark.parametrize("name", NAMES)
def test_they_spend_their_evaluations_and_get_better(name):
    if absent := missing(name):
        pytest.skip(f"needs {', '.join(absent)}: pip install 'ncp-nas[optimizers]'")
    ground = OpenGround(SPACE, lambda codes: -np.abs(codes - SPACE.upper).sum(1), sample=100)
    options = {"size": 10, "pool": 60} if name == "bo" else {}
    asked = make(name, options).run(ground, 30, [np.random.default_rng(i) for i in (0, 1)])
    assert asked.shape == (2, 30)
    values = ground.fitness(asked)
    assert (values[:, 15:].max(1) > values[:, :8].mean(1)).all()
    again = make(name, options).run(ground, 30, [np.random.default_rng(0)])
    np.testing.assert_array_equal(again[0], asked[0])  # by the seed alone


@pytest.mark.parametrize("name", ["tpe", "bo"])
def test_on_a_table_they_ask_about_rows(name):
    if absent := missing(name):
        pytest.skip(f"needs {', '.join(absent)}: pip install 'ncp-nas[optimizers]'")
    micro = spaces.get("transnas-micro")
    codes = np.unique(micro.encode(micro.sample(60, np.random.default_rng(0))).astype(int), axis=0)
    ground = TableGround(micro, codes, np.arange(len(codes), dtype=float))
    asked = make(name).run(ground, 12, [np.random.default_rng(0)])
    assert asked.shape == (1, 12)
    assert asked.max() < len(codes)


def test_without_the_library_the_extra_is_named_before_anything_runs(monkeypatch):
    for package in ("optuna", "botorch"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    for name, package in (("tpe", "optuna"), ("bo", "botorch")):
        with pytest.raises(UserError, match=rf"'{package}'.*ncp-nas\[optimizers\]"):
            make(name)
