"""Where a training is: exact epochs, what is due, and the same place under other devices and passes."""

import itertools
import json
from fractions import Fraction

import pytest
import pytorch_lightning as pl
import torch
from composed import SMALL_SEG, compose

from ncp.data.base import BatchPolicy, StreamSampler
from ncp.errors import UserError
from ncp.tasks import position
from ncp.tasks import run as tasks
from ncp.tasks.position import Plan, Position
from ncp.tasks.recipe import Recipe

# sgd without momentum's history would hide a lost half of a batch; 64 bit and frozen norms make passes exact
EXACT = (
    *SMALL_SEG, "data.crop=[64,64]", "recipe.batch=4", "recipe.freeze_norms=true", "trainer.precision=64-true",
    "+recipe.optimizer={name:sgd,lr:0.1,momentum:0.9}", "recipe.save_every=3",
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("one_thread")


def recipe(setting):
    return Recipe.from_config(compose(f"setting={setting}", "data.root=/somewhere").recipe)


# ---- plans


@pytest.mark.parametrize(
    ("setting", "samples", "kept", "count"),
    [("cls-50-1000", 50_000, (7_812, 15_625, 23_438, 31_250), 20), ("cls-10c", 50_000, (3_125,), 2)],
)
def test_the_papers_trainings_are_evaluated_at_their_epochs_and_at_no_step_beside(setting, samples, kept, count):
    plan = recipe(setting).plan(samples)
    assert plan.keep == kept
    assert set(kept) <= set(plan.evaluate)
    assert len(plan.evaluate) == count  # every five epochs
    for number, step in enumerate(plan.evaluate, 1):
        assert abs(step - Fraction(5 * number * samples, 160)) <= Fraction(1, 2)  # no rounded interval repeated


def test_kept_epochs_between_the_evaluations_are_evaluated_too():
    plan = recipe("3ddet").plan(3_712)
    assert plan.evaluate == tuple(232 * e for e in (20, 40, 60, 76, 77, 78, 79, 80))


def test_evaluations_for_many_sizes():
    """None twice, none beside another that stands for the same epoch, the kept and the last among them."""
    for samples, every, length in itertools.product((7, 50_000, 2_649), (0.1, 0.5, 1, 3, 7), (1, 10, 11)):
        unit = Fraction(samples, 80)
        keep = [position.step_at(length / 2, unit)]
        found = position.evaluations(every, length, unit, keep)
        assert list(found) == sorted(set(found))
        assert found[-1] == position.step_at(length, unit)
        assert set(keep) <= set(found)
        wanted = {max(1, round(position.exact(every) * k * unit)) for k in range(1, 200) if every * k <= length + 1e-9}
        assert wanted <= set(found) | {s for s in wanted if s > found[-1]}


def test_numbers_are_taken_as_they_were_typed():
    assert position.step_at(0.3, Fraction(10)) == 3
    assert position.evaluations(0.1, 1, Fraction(10), []) == tuple(range(1, 11))


def test_a_shortened_plan_ends_with_an_evaluation():
    plan = Plan(60, BatchPolicy.fit(4), 40, 5, 10, (20, 40, 60), (20, 60)).shortened(35)
    assert (plan.steps, plan.evaluate, plan.keep) == (35, (20, 35), (20,))


def test_what_is_due():
    plan = Plan(20, BatchPolicy.fit(4), 40, 50, 6, (7, 20), (7,))
    assert plan.due(7) == (False, True, False, True)
    assert plan.due(12) == (False, False, True, False)
    assert plan.due(20) == (True, True, True, False)  # figures of the end, though they are due every 50 steps


# ---- positions


@pytest.mark.parametrize(("devices", "per_device"), [(1, None), (1, 2), (2, 3), (4, 1)])
def test_a_position_is_where_the_stream_of_samples_is(devices, per_device):
    plan = Plan(9, BatchPolicy.fit(12, devices, per_device), 50, 1, 1, (9,), ())
    policy = plan.policy
    seen = 0
    for step in range(9):
        for passes in range(policy.accumulate):
            place = Position(plan, step, passes)
            assert place.samples == seen
            assert place.epoch == Fraction(seen, 50)
            assert place.last_pass == (passes == policy.accumulate - 1)
            stream = StreamSampler(50, 9 * policy.accumulate, policy, 0, seed=1, start=place.number)
            assert stream.key(seen) == next(iter(stream))[0]  # the loader goes on with the very next sample
            seen += policy.devices * policy.per_device


def test_every_pass_and_device_has_a_random_state_of_its_own():
    plan = Plan(5, BatchPolicy.fit(8, 2, 1), 50, 1, 1, (5,), ())
    seeds = {Position(plan, s, p).seed(1, r) for s in range(5) for p in range(4) for r in range(2)}
    assert len(seeds) == 40


def test_a_checkpoint_of_another_batch_or_set_is_refused_in_one_line():
    plan = Plan(10, BatchPolicy.fit(12), 50, 1, 1, (10,), ())
    ours = {"step": 4, "position": Position(plan, 4).as_dict()}
    assert position.resumed(ours, plan, "x").step == 4
    for change, words in (
        ({"batch": 8}, "took 8 samples a step, this recipe takes 12; give recipe.batch=8"),
        ({"set": 70}, "trained on 70 samples, this training set has 50"),
        ({"step": 11}, "is at step 11, beyond this recipe's 10"),
    ):
        with pytest.raises(UserError, match=words) as error:
            position.resumed({**ours, "position": {**ours["position"], **change}}, plan, "x")
        assert len(str(error.value).splitlines()) == 1
    old = {"step": 4, "config": {"recipe": {"batch": 6}}}  # written before positions were
    with pytest.raises(UserError, match="took 6 samples a step"):
        position.resumed(old, plan, "x")


# ---- trainings that go on elsewhere


class Passes(pl.Callback):
    """Counts what every step took, and ends before a step."""

    def __init__(self, end: int | None = None) -> None:
        self.end, self.images, self.rates = end, {}, {}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        step = trainer.global_step
        if step == self.end:
            raise KeyError("end")
        self.images[step] = self.images.get(step, 0) + len(batch["label"])

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates[trainer.global_step] = optimizer.param_groups[0]["lr"]


def train(folder, *overrides, end=None):
    folder.mkdir(parents=True, exist_ok=True)
    run = tasks.assemble(compose(*EXACT, *overrides), folder)
    seen = Passes(end)
    run.trainer.callbacks.append(seen)
    if end is not None:
        with pytest.raises(KeyError):
            tasks.fit(run)
    else:
        tasks.fit(run)
    return run, seen


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole"), "recipe.per_device=4")


@pytest.mark.parametrize(("first", "then"), [(4, 1), (1, 4), (1, 2), (2, 1)])
def test_a_training_goes_on_with_other_passes(whole, tmp_path, first, then):
    """Same samples, rates, evaluations and weights as unbroken; the checkpoint of the end is there."""
    train(tmp_path / "a", f"recipe.per_device={first}", "recipe.keep=[3]", end=5)
    checkpoint = tmp_path / "a/checkpoints/step-000003.ckpt"
    run, seen = train(tmp_path / "b", f"recipe.per_device={then}", f"ckpt_path={checkpoint}")
    assert run.task.plan.policy.accumulate == 4 // then
    assert seen.images == dict.fromkeys(range(3, 8), 4)  # no step of a part of its batch
    assert seen.rates == {step: rate for step, rate in whole[1].rates.items() if step >= 3}
    # step 3 was kept, and so evaluated, in the first folder, whose line came along
    assert [entry.step for entry in run.task.ledger] == [3, 4, 8]
    end = tasks.read_checkpoint(tmp_path / "b/checkpoints/last.ckpt")
    assert end["ncp"]["position"] == {"step": 8, "samples": 32, "batch": 4, "set": 7}
    for key, value in whole[0].task.network.state_dict().items():
        # Lightning reads a checkpoint into a network of 32 bit before it makes it one of 64
        assert torch.allclose(value, run.task.network.state_dict()[key], rtol=0, atol=1e-6), key
    again, _ = train(tmp_path / "b", f"recipe.per_device={first}", "ckpt_path=auto")  # nothing is left to do
    assert again.trainer.global_step == 8


def test_another_total_batch_is_refused_before_the_training(tmp_path):
    train(tmp_path / "a", end=5)
    path = tmp_path / "a/checkpoints/last.ckpt"
    with pytest.raises(UserError, match=r"took 4 samples a step, this recipe takes 2; give recipe.batch=4"):
        train(tmp_path / "b", "recipe.batch=2", f"ckpt_path={path}")


@pytest.mark.parametrize("killed_at", [3, 4])
def test_an_evaluation_that_was_interrupted_is_made_after_all(whole, tmp_path, killed_at):
    """Step 3 is kept, step 4 the recipe's own; the line of the ledger is written before the checkpoint."""

    class Kill(pl.Callback):
        def on_validation_batch_start(self, trainer, *args):
            if trainer.global_step == killed_at:
                raise KeyError("killed")

    options = ("recipe.keep=[3]", "recipe.save_every=1")
    run = tasks.assemble(compose(*EXACT, *options), tmp_path)
    run.trainer.callbacks.append(Kill())
    with pytest.raises(KeyError):
        tasks.fit(run)
    again, _ = train(tmp_path, *options, "ckpt_path=auto")
    lines = [json.loads(line) for line in (tmp_path / "evaluations.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 4, 8]
    assert [line["checkpoint"] for line in lines] == ["checkpoints/step-000003.ckpt", None, None]
    assert lines[-1]["metrics"] == pytest.approx(whole[0].task.latest, abs=1e-6)
    assert again.trainer.global_step == 8


def test_an_evaluation_that_is_missing_from_the_ledger_is_made_before_the_training_goes_on(whole, tmp_path):
    options = ("recipe.keep=[4]",)
    train(tmp_path, *options, end=5)
    checkpoint = tmp_path / "checkpoints/step-000004.ckpt"
    (tmp_path / "evaluations.jsonl").unlink()
    run, seen = train(tmp_path, *options, f"ckpt_path={checkpoint}")
    assert [entry.step for entry in run.task.ledger] == [4, 8]
    assert min(seen.images) == 4
    theirs = {entry.step: entry.metrics for entry in whole[0].task.ledger}
    assert {entry.step: entry.metrics for entry in run.task.ledger} == {
        step: pytest.approx(values, abs=1e-6) for step, values in theirs.items()
    }
