"""Where a training is, and what is due there.

A training is a stream of samples (:mod:`ncp.data.base`). Its place in it is counted here alone: optimiser steps, passes
(micro-batches) within a step, samples, epochs as exact fractions, and the seed of the next random state. A step takes
``plan.policy.total`` samples whatever the number of devices and passes is, so a checkpoint's place is a number of steps and
means the same on other devices: :meth:`Position.counters` writes Lightning's own counters anew for them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ncp.data.base import BatchPolicy
from ncp.errors import UserError
from ncp.files import shown

if TYPE_CHECKING:
    import pytorch_lightning as pl

NEVER = sys.maxsize  # a number of passes that no training has: Lightning does not evaluate unless it is told to


class Due(NamedTuple):
    """What happens after a step: figures are logged, the network is evaluated, a checkpoint is written, and kept."""

    log: bool
    evaluate: bool
    save: bool
    keep: bool


@dataclass(frozen=True)
class Plan:
    """A recipe on a data set of known size: optimiser steps at which things happen.

    Attributes:
        steps: of the whole training.
        policy: how the total batch is spread.
        samples: of the training set.
        log_every, save_every: periods.
        evaluate: steps after which the network is evaluated, ascending, the last step among them.
        keep: steps whose checkpoints are kept, ascending.
    """

    steps: int
    policy: BatchPolicy
    samples: int
    log_every: int
    save_every: int
    evaluate: tuple[int, ...]
    keep: tuple[int, ...]

    def __post_init__(self) -> None:
        assert self.steps in self.evaluate
        assert all(0 < step <= self.steps for step in (*self.evaluate, *self.keep))

    @property
    def epoch(self) -> Fraction:
        """Steps in an epoch; batches run on across epochs."""
        return Fraction(self.samples, self.policy.total)

    def due(self, step: int) -> Due:
        """What happens after ``step`` steps. Figures and a checkpoint of the last step are always due."""
        last = step == self.steps
        return Due(
            log=last or step % self.log_every == 0,
            evaluate=step in self.evaluate,
            save=last or step % self.save_every == 0,
            keep=step in self.keep,
        )

    def shortened(self, steps: int) -> Plan:
        """The same, ended after ``steps``."""
        evaluate = (*(at for at in self.evaluate if at < steps), steps)
        return replace(self, steps=steps, evaluate=evaluate, keep=tuple(at for at in self.keep if at <= steps))


def exact(number: float | str) -> Fraction:
    """A number as it was typed: ``0.1`` is a tenth, not the double nearest to it.

    >>> exact(0.1)
    Fraction(1, 10)
    """
    return Fraction(str(number))


def step_at(units: float | Fraction, unit: Fraction) -> int:
    """The step nearest to so many units of ``unit`` steps each, at least 1.

    >>> step_at(25, Fraction(50_000, 160)), step_at(75, Fraction(50_000, 160))
    (7812, 23438)
    """
    return max(1, round((units if isinstance(units, Fraction) else exact(units)) * unit))


def evaluations(every: float, length: float, unit: Fraction, keep: Iterable[int]) -> tuple[int, ...]:
    """Steps after which to evaluate: every multiple of ``every`` units, each rounded by itself, the kept steps and the end.

    >>> evaluations(5, 10, Fraction(50_000, 160), [])
    (1562, 3125)
    """
    last, period = step_at(length, unit), exact(every)
    if period * unit <= 1:
        return tuple(range(1, last + 1))
    multiples = (step_at(period * k, unit) for k in range(1, int(exact(length) / period) + 1))
    return tuple(sorted({*multiples, *keep, last}))


@dataclass(frozen=True)
class Position:
    """A place in a training.

    Attributes:
        plan: of the training.
        step: optimiser steps done.
        passes: passes of the next step that are done, from 0.
    """

    plan: Plan
    step: int
    passes: int = 0

    @classmethod
    def reached(cls, trainer: pl.Trainer, plan: Plan) -> Position:
        """Where a trainer is when no pass is under way (``on_train_batch_end``, evaluations, checkpoints)."""
        return cls._of(trainer, plan, trainer.fit_loop.total_batch_idx + 1)

    @classmethod
    def running(cls, trainer: pl.Trainer, plan: Plan) -> Position:
        """Where the pass that is under way began (``on_train_batch_start``, ``training_step``)."""
        return cls._of(trainer, plan, trainer.fit_loop.total_batch_idx)

    @classmethod
    def _of(cls, trainer: pl.Trainer, plan: Plan, passes: int) -> Position:
        step = int(trainer.global_step)
        return cls(plan, step, max(0, passes - step * plan.policy.accumulate))

    @property
    def number(self) -> int:
        """Passes done in all."""
        return self.step * self.plan.policy.accumulate + self.passes

    @property
    def samples(self) -> int:
        """Samples seen, on all devices."""
        policy = self.plan.policy
        return self.step * policy.total + self.passes * policy.devices * policy.per_device

    @property
    def epoch(self) -> Fraction:
        """Epochs seen, exact."""
        return Fraction(self.samples, self.plan.samples)

    @property
    def last_pass(self) -> bool:
        """Whether the pass that begins here completes a step."""
        return self.passes == self.plan.policy.accumulate - 1

    def seed(self, base: int, rank: int) -> int:
        """Of the random state in which the pass that begins here runs: one for every pass and device."""
        return int(np.random.SeedSequence((base, self.number, rank)).generate_state(1)[0])

    def interval(self, evaluate: bool) -> int:
        """For ``trainer.val_check_batch``, by which Lightning divides the passes done: whether it evaluates after the pass that
        begins here."""
        return self.number + 1 if evaluate else NEVER

    # ---- in checkpoints

    def as_dict(self) -> dict[str, int]:
        """For a checkpoint: what another number of devices or passes does not change."""
        assert self.passes == 0, "checkpoints are written between two steps"
        return {"step": self.step, "samples": self.samples, "batch": self.plan.policy.total, "set": self.plan.samples}

    def counters(self, fresh: Mapping[str, Any], owed: bool) -> dict[str, Any]:
        """Lightning's counters of a fit loop that has just come here.

        Args:
            fresh: ``trainer.fit_loop.state_dict()`` of a trainer that has not begun.
            owed: the evaluation that is due here has not been made; it is the first thing that happens.
        """
        assert self.passes == 0
        state = dict(fresh)
        begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
        state["epoch_progress"] = {"total": begun, "current": dict(begun)}
        batches, optimiser = "epoch_loop.batch_progress", "epoch_loop.automatic_optimization.optim_progress"
        state[batches] = {**_filled(fresh[batches], self.number), "is_last_batch": False}
        state[optimiser] = _filled(fresh[optimiser], self.step)
        state["epoch_loop.state_dict"] = {**fresh["epoch_loop.state_dict"], "_batches_that_stepped": self.step}
        if owed:  # as if it had been interrupted in its first batch
            evaluation = "epoch_loop.val_loop.batch_progress"
            state[evaluation] = {**fresh[evaluation], "total": dict(begun)}
        return state


def _filled(tree: Mapping[str, Any], value: int) -> dict[str, Any]:
    return {key: _filled(item, value) if isinstance(item, Mapping) else value for key, item in tree.items()}


def resumed(content: Mapping[str, Any], plan: Plan, where: str) -> Position:
    """The place of a checkpoint within a plan, whose devices and passes may be others than those it was written with.

    Args:
        content: our part of the checkpoint.
        plan: of the training that goes on.
        where: what messages call the checkpoint.

    Raises:
        UserError: where it is beyond the plan's end, or its steps are of another batch or training set.
    """
    theirs = content.get("position") or {}
    step = int(theirs.get("step", content["step"]))
    batch = theirs.get("batch", ((content.get("config") or {}).get("recipe") or {}).get("batch"))
    if batch is not None and batch != plan.policy.total:
        raise UserError(
            f"the checkpoint '{where}' took {shown(batch)} samples a step, this recipe takes {plan.policy.total}; give "
            f"recipe.batch={shown(batch)} (recipe.per_device and the number of devices may change), or start anew with "
            "pretrained=FILE"
        )
    if int(theirs.get("set", plan.samples)) != plan.samples:
        raise UserError(
            f"the checkpoint '{where}' was trained on {theirs['set']} samples, this training set has {plan.samples}; give its "
            "own data, or start another training from its weights with pretrained=FILE"
        )
    if step > plan.steps:
        raise UserError(f"the checkpoint '{where}' is at step {step}, beyond this recipe's {plan.steps}")
    return Position(plan, step)
