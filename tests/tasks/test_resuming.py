"""Whether an optimiser's kept state fits: torch's own states do, any change of one does not."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ncp import options
from ncp.benchmark.inert import Shape
from ncp.tasks.recipe import Recipe
from ncp.tasks.resuming import misfit

BASE = {"schedule": {"shape": "cosine"}, "batch": 4, "unit": "steps", "length": 5, "eval_every": 5}


def task(name):
    more = {"momentum": 0.9} if name == "sgd" else {}
    recipe = options.read(Recipe, {**BASE, "optimizer": {"name": name, "lr": 0.1, **more}}, "recipe")
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    return SimpleNamespace(
        network=network,
        recipe=recipe,
        trained=lambda: list(network.parameters()),
        configure_optimizers=lambda: recipe.make_optimizer(network.parameters()),
    )


def state_of(given):
    """What torch keeps after a step, with shapes in the place of tensors."""
    optimiser = given.configure_optimizers()
    for parameter in given.network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()

    def inert(value):
        if isinstance(value, torch.Tensor):
            return Shape("FloatStorage", tuple(value.shape))
        if isinstance(value, dict):
            return {key: inert(item) for key, item in value.items()}
        return [inert(item) for item in value] if isinstance(value, list) else value

    return [inert(optimiser.state_dict())]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "relative"])
def test_its_own_state_fits_and_so_does_a_fresh_one(name):
    given = task(name)
    states = state_of(given)
    assert misfit(states, given) is None
    fresh = copy.deepcopy(states)
    fresh[0]["state"] = {}
    assert misfit(fresh, given) is None


def test_anothers_does_not():
    assert "for betas" in misfit(state_of(task("sgd")), task("adam"))
    assert misfit(state_of(task("adam")), task("relative")).startswith("its group has")


def broken(way):
    states = state_of(task("adam"))
    group, state = states[0]["param_groups"][0], states[0]["state"]
    {
        "none": lambda: states.clear(),
        "two": lambda: states.append(states[0]),
        "groups": lambda: states[0]["param_groups"].append(group),
        "parameters": lambda: group.update(params=[0, 1, 2]),
        "rate": lambda: group.update(lr=-1.0),
        "text": lambda: group.update(lr="0.1"),
        "betas": lambda: group.update(betas=[0.9]),
        "unknown": lambda: state.update({9: state[0]}),
        "switch": lambda: states[0].update(state={True: state[1]}),
        "shape": lambda: state[0].update(exp_avg=Shape("FloatStorage", (4, 3, 3, 2))),
        "less": lambda: state[0].pop("exp_avg"),
        "more": lambda: state[0].update(extra=1),
        "no numbers": lambda: states[0].update(state=[1]),
    }[way]()
    return states


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("none", "another number of optimisers"), ("two", "another number of optimisers"),
        ("groups", "another number of groups"), ("parameters", "other parameters"), ("rate", "-1.0 for lr"),
        ("text", "for lr"), ("betas", "for betas"), ("unknown", "a parameter 9"), ("switch", "a parameter True"),
        ("shape", "has the shape (4, 3, 3, 2)"), ("less", "of parameter 0 it holds"), ("more", "of parameter 0 it holds"),
        ("no numbers", "it has no numbers"),
    ],
)  # fmt: skip
def test_any_change_is_named(way, words):
    assert words in misfit(broken(way), task("adam"))
