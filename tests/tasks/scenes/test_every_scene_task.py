"""What holds for all seven tasks alike, on all three spaces: a training, its result, pictures, restoring, going on."""

import json

import pytest
import torch
from scene_batches import TASKS
from scene_trainings import NARROW, make, options

from ncp import jobs
from ncp.errors import UserError
from ncp.report import training as report
from ncp.tasks import run as tasks
from ncp.tasks.position import Plan
from ncp.tasks.recipe import Recipe

SPACES = ("transnas-micro", "transnas-macro", "multires")
MAIN = {
    "class_object": "valid_top1", "class_scene": "valid_top1", "room_layout": "valid_neg_loss", "jigsaw": "valid_top1",
    "segmentsemantic": "valid_mIoU", "normal": "valid_ssim", "autoencoder": "valid_ssim",
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("task", "space"), [(task, SPACES[i % 3]) for i, task in enumerate(TASKS)])
def test_a_training_from_options_to_result(tmp_path, task, space):
    run = make(tmp_path / "run", task, arch={"kind": "narrow", "space": space})
    tasks.fit(run)
    metrics = tasks.evaluate(run)
    result = tasks.summarise(run, metrics)
    assert json.dumps(result)
    assert (result["task"], result["space"], result["main_metric"]) == (task, space, MAIN[task])
    assert MAIN[task] in metrics
    assert result["cost"]["params"] == sum(p.numel() for p in run.task.network.parameters())  # no discriminator
    assert {path.name for path in report.draw(run)} == {"curves.png", f"{task}.png"}
    assert report.rows(result)
    content = jobs.evaluate.Options(
        ckpt_path=result["checkpoint"], trainer={"accelerator": "cpu", "precision": "32-true"}
    )
    (tmp_path / "again").mkdir()
    again = tasks.restore(content, tmp_path / "again")
    assert again.architecture == run.architecture
    assert tasks.evaluate(again) == pytest.approx(metrics, rel=1e-4, abs=1e-5)


class Stop(Exception):
    pass


@pytest.mark.parametrize("task", ["class_scene", "normal"])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(tmp_path, task):
    recipe = {"length": 3, "optimizer": {"name": "adam", "lr": 1e-3}}
    whole = make(tmp_path / "whole", task, recipe=recipe)
    tasks.fit(whole)

    part = make(tmp_path / "part", task, recipe=recipe, ckpt_path="auto")
    loss = part.task.loss

    def stopping(batch, report):
        if part.trainer.global_step == 1:
            raise Stop
        return loss(batch, report)

    part.task.loss = stopping
    with pytest.raises(Stop):
        tasks.fit(part)
    rest = make(tmp_path / "part", task, recipe=recipe, ckpt_path="auto")
    tasks.fit(rest)
    assert rest.trainer.global_step == 3
    for (name, a), b in zip(whole.task.state_dict().items(), rest.task.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert whole.task.latest == rest.task.latest


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    run = make(tmp_path, "normal", recipe={"length": 1})
    tasks.fit(run)
    other = make(tmp_path, "normal", recipe={"length": 2, "optimizer": {"name": "adam", "lr": 0.1}}, ckpt_path="auto")
    with pytest.raises(UserError, match=r"the state of the optimiser in .* does not fit"):
        tasks.fit(other)


def test_a_large_network_trains_as_long_as_the_data_allows(tmp_path):
    run = make(tmp_path, "class_scene", recipe={"length": 500}, data={"training_macs": 1e6})
    assert isinstance(run.task.plan, Plan)
    assert run.task.plan.steps < 500
    assert isinstance(run.task.recipe, Recipe)


@pytest.mark.parametrize(
    ("task", "changes", "words"),
    [
        ("normal", {"arch": {"kind": "timm", "name": "resnet18"}}, "there is no arch=resnet18 for it"),
        ("class_scene", {"data": {"labels": "normal"}}, "is trained on data.labels=class_scene, given was normal"),
        ("class_scene", {"model": {"decoder_width": 0.5}}, "model.decoder_width does not exist for searched architectures"),
        ("normal", {"model": {"decoder_width": "wide"}}, "model.decoder_width must be a finite number"),
        ("normal", {"arch": {"kind": "code", "code": "64-41414-3_31_339"}}, "digit 6 of a cell must be one of 0, 1, 2, 3"),
        ("normal", {"arch": {"kind": "code", "code": "64-2222-basic"}}, "is not among the 3,256 networks"),
        ("normal", {"arch": {"kind": "named", "name": "ncp_seg", "space": "transnas-micro"}}, "transnas-micro has arch=default"),
        ("normal", {"arch": {**NARROW, "space": "nasbench201"}}, "task=normal has networks for multires, transnas-micro"),
        ("segmentsemantic", {"recipe": {"class_weights": [1, 2]}}, "needs a number for each of the"),
        ("jigsaw", {"recipe": {"class_weights": [1, 2]}}, "recipe.class_weights does nothing for task=jigsaw"),
        ("class_scene", {"recipe": {"label_smoothing": 0.1}}, "recipe.label_smoothing does nothing for task=class_scene"),
        ("normal", {"setting": "transnas-macro/normal"}, "setting=transnas-macro/normal is of the space transnas-macro"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(tmp_path, task, changes, words):
    with pytest.raises(UserError, match=words) as error:
        make(tmp_path, task, **changes)
    assert "\n" not in str(error.value)
    assert options(task)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"discriminator_width": 0.0}, "task.discriminator_width must be above 0 and at most 1, given was 0.0"),
        ({"discriminator_width": 1e6}, "task.discriminator_width must be above 0 and at most 1, given was 1000000.0"),
        ({"gan": -5.0}, "task.gan is a loss's weight, 0 or more, given was -5.0"),
        ({"l1": float("inf")}, "task.l1 must be a finite number, given was inf"),
    ],
)
def test_numbers_of_the_losses_are_checked(tmp_path, changes, words):
    given = options("normal")
    given.task.update(changes)
    with pytest.raises(UserError, match=words):
        tasks.assemble(given, tmp_path)
