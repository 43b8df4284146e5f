"""Weights of the classes in the losses, and the length that follows the size of the set."""

import numpy as np
import pytest
import torch
from composed import compose

from ncp.errors import UserError
from ncp.tasks import run as tasks
from ncp.tasks.base import weighted_cross_entropy
from ncp.tasks.recipe import Recipe

BASE = {
    "optimizer": {"name": "sgd", "lr": 0.1},
    "schedule": {"shape": "cosine"},
    "batch": 10,
    "unit": "epochs",
    "length": 20,
}


def recipe(**more):
    return Recipe.from_config({**BASE, "eval_every": 5, **more})


def test_a_class_counts_as_often_as_its_weight_says():
    """A weight of 2 is the sample twice: the sum over the samples, divided by their number."""
    logits, labels = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 0])
    weights = torch.tensor([1.0, 2.0, 0.0])
    each = -torch.log_softmax(logits, 1)[torch.arange(6), labels]
    repeated = sum(each[i] * (1, 2, 0)[labels[i]] for i in range(6))
    assert float(weighted_cross_entropy(logits, labels, weights, 0.0)) == pytest.approx(float(repeated) / 6)
    same = weighted_cross_entropy(logits, labels, torch.ones(3), 0.1)
    assert float(same) == pytest.approx(float(weighted_cross_entropy(logits, labels, None, 0.1)))


def test_pixels_count_as_their_classes_do(tmp_path):
    small = ("task=seg", "arch=narrow", "debug=tiny", "callbacks.progress=false")
    weights = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    losses = {}
    for name, given in (("all", "null"), ("road", str(weights).replace(" ", ""))):
        run = tasks.assemble(compose(*small, f"++recipe.class_weights={given}"), tmp_path)
        torch.manual_seed(0)
        batch = {
            "image": torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8),
            "label": torch.zeros(2, 32, 32).byte(),
        }
        batch["label"][:, 16:] = 4  # half is road, half is something else
        with torch.no_grad():
            losses[name], _ = run.task.loss(batch, report=False)
        logits = run.task.full_logits(batch).detach().log_softmax(1)
        by_hand = {"road": -logits[:, 0, :16].sum(), "all": -logits[:, 0, :16].sum() - logits[:, 4, 16:].sum()}[name]
        assert float(losses[name]) == pytest.approx(float(by_hand) / batch["label"].numel(), rel=1e-5)
    assert float(losses["road"]) < float(losses["all"])


def test_as_many_weights_as_classes(tmp_path):
    with pytest.raises(
        UserError, match=r"recipe.class_weights needs a number for each of the 10 classes, given were 2"
    ):
        tasks.assemble(compose("task=cls", "debug=tiny", "++recipe.class_weights=[1,2]"), tmp_path)
    with pytest.raises(UserError, match=r"numbers from 0 up"):
        recipe(class_weights=[1, -1])


@pytest.mark.parametrize(("samples", "steps"), [(1000, 2000), (30, 300), (10, 300), (100_000, 5000)])
def test_the_length_follows_the_set_within_its_bounds(samples, steps):
    plan = recipe(least_steps=300, most_steps=5000).plan(samples)
    assert plan.steps == steps
    assert len(plan.evaluate) == 4  # every quarter, however long an epoch is taken to be
    assert np.allclose(np.array(plan.evaluate) / plan.steps, [0.25, 0.5, 0.75, 1], atol=0.01)


def test_a_length_in_steps_is_taken_as_it_is():
    assert recipe(unit="steps", eval_every=20, least_steps=300).plan(10).steps == 20
    with pytest.raises(UserError, match=r"recipe.least_steps=5 is above recipe.most_steps=4"):
        recipe(least_steps=5, most_steps=4)
