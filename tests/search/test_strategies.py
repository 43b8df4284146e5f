"""Strategies by name: their options are known before they are made, and a fault inside one is not taken for a user's."""

import pytest

from ncp.errors import UserError
from ncp.search import strategies


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("robust", {"polsh": True}, "no option 'polsh'; did you mean 'polish'.*; its options: starts, learning_rate"),
        (
            "paper",
            {"width": 3},
            "no option 'width'; its options: loss, targets, step, learning_rate, coordinate, round_every",
        ),
        ("winner_takes_all", {"learning_rate": 1.0}, "no option 'learning_rate'; its options: loss, targets, step"),
        ("random", {"population": 5}, "no option 'population'; it has none"),
        ("fastest", {}, "unknown strategy 'fastest'; strategies: robust, paper"),
    ],
)
def test_what_a_strategy_does_not_have(name, options, words):
    with pytest.raises(UserError, match=words):
        strategies.make(name, 0.5, 10, 1.0, options)


def test_every_strategy_takes_every_option_that_it_lists():
    for name in strategies.names():
        made = strategies.make(name, 0.5, 10, 1.0)
        assert made.starts >= 1
        for key in strategies._options(name):
            value = {"loss": "l1", "targets": "fixed", "step": 2.0}.get(key, getattr(made, key, None))
            assert strategies.make(name, 0.5, 10, 1.0, {key: value}).starts >= 1


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    def broken(self, *arguments, **more):
        len(3)

    monkeypatch.setattr(strategies.Robust, "__init__", broken)
    monkeypatch.setattr(strategies, "_options", lambda name: [])
    with pytest.raises(TypeError, match="object of type 'int' has no len"):
        strategies.make("robust", 0.5, 10, 1.0)
