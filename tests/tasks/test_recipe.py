"""The paper's recipes (appendix A.1), as the configuration holds them."""

import pytest
import torch
from composed import compose

from ncp.errors import UserError
from ncp.tasks.recipe import Recipe


def recipe(*overrides):
    return Recipe.from_config(compose(*overrides).recipe)


def test_classification_is_the_papers():
    plan = recipe("setting=cls-50-1000", "data.root=/somewhere").plan(50_000, devices=2)
    assert plan.steps == 31_250  # 100 epochs of 50,000 images in batches of 160
    assert (plan.policy.total, plan.policy.per_device, plan.policy.accumulate) == (160, 80, 1)
    assert plan.evaluate == tuple(round(e * 50_000 / 160) for e in range(5, 101, 5))
    assert plan.keep == tuple(round(e * 50_000 / 160) for e in (25, 50, 75, 100))
    assert plan.log_every == 20
    made = recipe("setting=cls-50-1000", "data.root=/somewhere")
    assert dict(made.optimizer) == {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}
    assert [round(made.rate()(t), 6) for t in (0, 0.5, 1)] == [0.1, 0.05, 0]
    assert recipe("setting=cls-10c", "data.root=/somewhere").plan(50_000).steps == 3_125
    assert recipe("setting=cls-50-100", "data.root=/somewhere").plan(5_000).steps == 3_125
    assert recipe("setting=cls-10-1000", "data.root=/somewhere").plan(10_000).steps == 6_250


def test_segmentation_is_the_papers():
    made = recipe("setting=seg", "data.root=/somewhere")
    plan = made.plan(2_975, devices=8)
    assert plan.steps == 25_000
    assert plan.evaluate == (5_000, 10_000, 15_000, 20_000, 25_000)
    assert plan.keep == (5_000, 10_000, 15_000, 20_000, 25_000)
    assert plan.log_every == 50
    assert (plan.policy.per_device, plan.policy.accumulate) == (8, 1)
    assert dict(made.optimizer) == {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 4e-5}
    assert made.rate()(1.0) == pytest.approx(1e-4)
    assert made.momentum_schedule is None
    assert made.sync_norms
    assert round(25_000 / plan.epoch) == 538  # the paper says "about 537 epochs"


@pytest.mark.parametrize(("devices", "accumulate"), [(1, 8), (2, 4), (4, 2), (8, 1)])
def test_fewer_devices_keep_the_total_batch(devices, accumulate):
    plan = recipe("setting=seg", "data.root=/somewhere").plan(2_975, devices)
    assert plan.policy.accumulate == accumulate
    assert plan.steps == 25_000  # optimiser steps, not passes


def test_seg_4x_and_ade20k():
    config = compose("setting=seg-4x", "data.root=/somewhere")
    assert config.data["resized"] == [256, 512]
    assert config.data["crop"] == [128, 256]
    assert recipe("setting=seg-4x", "data.root=/somewhere").plan(2_975).steps == 25_000
    config = compose("setting=ade20k", "data.root=/somewhere")
    assert config.data["crop"] == [512, 512]
    assert recipe("setting=ade20k", "data.root=/somewhere").plan(20_210).steps == 40_000


def test_the_data_brings_its_recipe_and_the_user_has_the_last_word():
    assert recipe("task=seg", "data=cityscapes").length == 25_000
    assert recipe("task=seg", "data=cityscapes", "recipe=ade20k").length == 40_000
    assert recipe("setting=seg", "data.root=/somewhere", "recipe.length=7").length == 7


def test_momentum_can_follow_the_poly_schedule_only_with_sgd():
    assert recipe("setting=seg", "data.root=/somewhere", "recipe.momentum_schedule=poly").momentum_schedule == "poly"
    with pytest.raises(UserError, match=r"momentum_schedule needs the optimizer sgd, not adam"):
        recipe("setting=seg", "data.root=/somewhere", "recipe.momentum_schedule=poly", "recipe.optimizer.name=adam")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("recipe.batch=0", "recipe.batch must be positive"),
        ("recipe.length=.inf", "recipe.length must be a whole number, given was .*inf"),
        ("recipe.eval_every=often", "recipe.eval_every must be a number, given was .often."),
        ("recipe.unit=weeks", "recipe.unit must be one of epochs, steps"),
        ("recipe.optimizer.name=lion", "unknown optimizer 'lion'; optimizers: sgd, adam, adamw"),
        ("recipe.optimizer.lr=-1", "recipe.optimizer.lr must be positive"),
        ("recipe.schedule.shape=zigzag", "unknown schedule 'zigzag'"),
        ("+recipe.lenght=3", "unknown key 'recipe.lenght' .* did you mean 'length'"),
        ("recipe.batch=2.5", "recipe.batch must be a whole number, given was 2.5"),
        ("recipe.optimizer=5", "recipe.optimizer must be keys with values, given was 5"),
        ("recipe.keep=5", "recipe.keep must be a list, given was 5"),
        ("recipe.optimizer.lr=fast", "recipe.optimizer.lr must be a finite number, given was 'fast'"),
        ("recipe.sync_norms=1", "recipe.sync_norms must be true or false, given was 1"),
        ("+recipe.class_weights=[0,0,0]", "recipe.class_weights are all 0"),
        ("+recipe.label_smoothing=-1", "recipe.label_smoothing must be from 0 to less than 1, given was -1"),
        ("+recipe.label_smoothing=1", "recipe.label_smoothing must be from 0 to less than 1, given was 1"),
        ("recipe.clip=0", "recipe.clip must be positive or null, given was 0"),
        ("recipe.clip=nan", "recipe.clip must be a finite number, given was nan"),
        ("recipe.keep=[-1]", "recipe.keep must hold positive numbers of steps"),
        ("recipe.per_device=0", "recipe.per_device must be positive or null, given was 0"),
        ("+recipe.residual_scale=inf", "recipe.residual_scale must be a finite number, given was inf"),
        ("recipe.save_every=null", "recipe.save_every must be a whole number, given was null"),
        ("~recipe.batch", "'recipe.batch' has no value; Recipe needs one: recipe.batch=..."),
    ],
)
def test_mistakes_are_named(override, message):
    with pytest.raises(UserError, match=message):
        recipe("setting=seg", "data.root=/somewhere", override)


def test_evaluations_without_end_are_refused():
    made = recipe("setting=seg", "data.root=/somewhere", "recipe.length=10000000", "recipe.eval_every=1")
    with pytest.raises(UserError, match=r"recipe.eval_every=1(\.0)? asks for more than 1,000,000 evaluations"):
        made.plan(2975)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("speed=3", "unknown key 'recipe.optimizer.speed' for sgd; .*its keys: lr, momentum"),
        ("momentum=fast", "recipe.optimizer.momentum must be a number, given was 'fast'"),
        ("momentum=-1", "recipe.optimizer: Invalid momentum value"),
        (
            "betas=3",
            "recipe.optimizer.betas belongs to adam and adamw, not to sgd; leave it out: ~recipe.optimizer.betas",
        ),
        ("params=3", "unknown key 'recipe.optimizer.params'"),
    ],
)
def test_arguments_that_the_optimiser_does_not_have_are_refused_before_the_data_is_read(change, message):
    with pytest.raises(UserError, match=message):
        recipe("setting=seg", "data.root=/somewhere", f"++recipe.optimizer.{change}")


def test_pairs_of_numbers_are_held_to_the_optimisers_signature():
    adam = ("setting=cls", "data.root=/somewhere", "~recipe.optimizer.momentum", "recipe.optimizer.name=adam")
    weight = [torch.nn.Parameter(torch.zeros(1))]
    made = recipe(*adam, "+recipe.optimizer.betas=[0.8,0.9]").make_optimizer(weight)
    assert made.param_groups[0]["betas"] == (0.8, 0.9)
    for given, message in (
        ("3", "betas must be a list"),
        ("[0.8,x]", r"betas\[1\] must be a number"),
        ("[2,3]", "Invalid beta"),
    ):
        with pytest.raises(UserError, match=message):
            recipe(*adam, f"+recipe.optimizer.betas={given}")


def test_a_mistake_of_ours_in_an_optimiser_keeps_its_traceback(monkeypatch):
    class Broken(torch.optim.SGD):
        def __init__(self, params, lr: float = 0.1, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
            len(3)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.optim, "SGD", Broken)
    with pytest.raises(TypeError, match="has no len"):
        recipe("setting=seg", "data.root=/somewhere")


@pytest.mark.parametrize("batch", [10**9, 65_537])
def test_batches_beyond_reason_are_refused(batch):
    made = recipe("setting=seg", "data.root=/somewhere", f"recipe.batch={batch}", "recipe.per_device=1")
    with pytest.raises(UserError, match=r"recipe.batch=.* at most 65,536 here"):
        made.plan(2975)
    assert made.plan(10**9).policy.total == batch
