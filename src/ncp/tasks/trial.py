"""How long a training will take, and how much it will write: measured on a few of its steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ncp.tasks import run as trainings
from ncp.tasks.budget import LEAST_STEPS, allowed
from ncp.tasks.options import TrainOptions, changed
from ncp.tasks.parts import device_count

STEPS = 6


@dataclass(frozen=True)
class Trial:
    """What a few steps of a training took.

    Attributes:
        steps, evaluations: of the whole training.
        step: seconds of one step.
        evaluation: seconds of one evaluation, with what else a training does once (to start, to write a checkpoint).
        checkpoint_mb: size of a checkpoint in MiB.
        budget: how many steps the data's budget of multiply-adds allows the network that was tried (a built-in set's
            ``training_macs``); None for any number.
    """

    steps: int
    evaluations: int
    step: float
    evaluation: float
    checkpoint_mb: float
    budget: float | None = None

    def taken(self, cost: float = 1.0) -> float:
        """Steps of the whole training of a network that costs ``cost`` times as much as the one that was tried."""
        return self.steps if self.budget is None else min(self.steps, max(LEAST_STEPS, self.budget / cost))

    def seconds(self, cost: float = 1.0) -> float:
        """Of that training."""
        return cost * (self.taken(cost) * self.step + self.evaluations * self.evaluation)


def run(options: TrainOptions, folder: Path) -> Trial:
    """Train :data:`STEPS` steps and evaluate once.

    Args:
        options: of the whole training.
        folder: where the trial's files go.

    Raises:
        UserError: as a training does, for data that cannot be read or options that do not fit together.
    """
    quiet = replace(options.callbacks, progress=False, pictures=False)
    options = changed(options, callbacks=quiet, ckpt_path=None, keep="last", logger={"kind": "csv"})
    count = {"unit": "steps", "length": STEPS, "eval_every": STEPS, "save_every": STEPS, "keep": []}
    recipe = options.chosen_recipe  # of the whole training, whose mistakes are told before data is read
    trial = trainings.assemble(changed(options, recipe={**options.recipe, **count}), folder)
    whole = recipe.plan(len(trial.data.train_set), device_count(options.trainer))  # type: ignore[arg-type]
    trainings.fit(trial)
    rate = trial.throughput.images_per_second
    seconds = trial.seconds / STEPS if rate is None else whole.policy.total / rate
    files = list(folder.glob("checkpoints/*.ckpt"))
    size = max((file.stat().st_size for file in files), default=0) / 2**20
    rest = max(0.0, trial.seconds - STEPS * seconds)
    return Trial(whole.steps, len(whole.evaluate), seconds, rest, size, _budget(trial, whole.policy.total))


def _budget(trial: trainings.Run, batch: int) -> float | None:
    """Steps that the data's budget allows the network."""
    if not trial.data.training_macs:
        return None
    macs = trainings.costs(trial.task, trial.data, trial.architecture)["macs_at_size"]
    return allowed(trial.data.training_macs, macs, batch)
