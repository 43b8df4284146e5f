"""A recipe: everything about a training but the network and the data. Files in ``conf/recipe``; values in appendix A.1.

A command's options hold one, so nothing here imports torch until something is trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ncp import numeric, options
from ncp.errors import UserError
from ncp.tasks.schedules import Rate, schedule

if TYPE_CHECKING:
    import torch

    from ncp.tasks.position import Plan

OPTIMIZERS = {
    **{"sgd": "torch.optim.SGD", "adam": "torch.optim.Adam", "adamw": "torch.optim.AdamW"},
    "relative": "ncp.tasks.optimizers.Relative",
}
"""Name -> class."""
UNITS = ("epochs", "steps")
MOST_EVALUATIONS = 1_000_000


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        optimizer: ``{name: sgd | adam | adamw | relative, lr: ..., ...}``; the rest goes to its class. Weight decay is
            on every parameter, the norms' too.
        schedule: of the learning rate; see :func:`ncp.tasks.schedules.schedule`.
        momentum_schedule: ``poly`` lets the momentum follow the polynomial down to 0, as the paper says it does; None keeps it.
        batch: in total, over all devices and accumulated passes.
        per_device: at most so many samples at a time on one device; None for no limit.
        unit: what ``length``, ``eval_every`` and ``keep`` count: epochs or steps.
        length: of the training.
        least_steps, most_steps: bounds of a length that counts epochs, in steps; an epoch is stretched or shortened, for the
            evaluations too. None for no bound.
        log_every, save_every: in steps.
        eval_every: in units.
        keep: checkpoints kept with ``keep=paper``, in units.
        sync_norms: batch norms use the statistics of all GPUs.
        freeze_norms: batch norms use (and keep) their running statistics.
        clip: largest norm of the gradient; None for no limit.
        label_smoothing: of the classification loss.
        class_weights: how much a sample (or a pixel) of each class counts in the loss of classification, segmentation and video;
            None: all alike.
        prior: score that an untrained detector gives everything.
        residual_scale: of the residual units' branches at the start; see :func:`ncp.models.blocks.scale_residuals`.
        fusion_scale: of what a fusion adds to handing its branches on, at the start; None for the usual start; see
            :func:`ncp.models.blocks.straighten_fusions`.
    """

    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    batch: int
    unit: str
    length: int
    eval_every: float
    log_every: int = 20
    save_every: int = 200
    keep: tuple[float, ...] = ()
    per_device: int | None = None
    momentum_schedule: str | None = None
    sync_norms: bool = False
    freeze_norms: bool = False
    clip: float | None = None
    label_smoothing: float = 0.0
    least_steps: int | None = None
    most_steps: int | None = None
    class_weights: tuple[float, ...] | None = None
    prior: float = 0.01
    residual_scale: float = 1.0
    fusion_scale: float | None = None
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise UserError(f"recipe.unit must be one of {', '.join(UNITS)}, given was '{self.unit}'")
        for name in ("batch", "length", "eval_every", "log_every", "save_every"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise UserError(f"recipe.{name} must be positive, given was {value}")
        if str(self.optimizer.get("name")) not in OPTIMIZERS:
            raise UserError(
                f"unknown optimizer '{self.optimizer.get('name')}'; optimizers: {', '.join(OPTIMIZERS)} (recipe.optimizer.name)"
            )
        numeric.finite("recipe.optimizer.lr", self.optimizer.get("lr"), above=0)
        for name in ("residual_scale", "fusion_scale"):
            if (getattr(self, name) or 0) < 0:
                raise UserError(f"recipe.{name} must be at least 0, given was {getattr(self, name)}")
        for name in ("least_steps", "most_steps"):
            if (getattr(self, name) or 1) < 1:
                raise UserError(f"recipe.{name} must be at least 1 or null, given was {getattr(self, name)}")
        if self.least_steps and self.most_steps and self.least_steps > self.most_steps:
            raise UserError(f"recipe.least_steps={self.least_steps} is above recipe.most_steps={self.most_steps}")
        weights = self.class_weights
        if weights is not None and not all(isinstance(w, (int, float)) and 0 <= w < math.inf for w in weights):
            raise UserError(f"recipe.class_weights are numbers from 0 up, one a class, given was {list(weights)}")
        if not 0 < self.prior < 1:
            raise UserError(f"recipe.prior must be between 0 and 1, given was {self.prior}")
        if self.momentum_schedule not in (None, "poly"):
            raise UserError(f"recipe.momentum_schedule must be null or poly, given was '{self.momentum_schedule}'")
        if self.momentum_schedule and self.optimizer["name"] != "sgd":
            raise UserError(f"recipe.momentum_schedule needs the optimizer sgd, not {self.optimizer['name']}")
        self.rate()

    @classmethod
    def from_config(cls, settings: Mapping[str, Any]) -> Recipe:
        """From ``conf/recipe``. Raises ``UserError`` for a key that no recipe has, a missing one, a value of another type."""
        return options.call(cls, settings, "recipe")

    def plan(self, samples: int, devices: int = 1) -> Plan:
        """Turn units into steps for a training set of ``samples``."""
        from ncp.data.base import BatchPolicy
        from ncp.tasks import position

        policy = BatchPolicy.fit(int(self.batch), devices, self.per_device)
        unit = self._unit(Fraction(samples, policy.total)) if self.unit == "epochs" else Fraction(1)
        total = position.step_at(self.length, unit)
        if min(total, self.length / self.eval_every) > MOST_EVALUATIONS:
            raise UserError(
                f"recipe.eval_every={self.eval_every} asks for more than {MOST_EVALUATIONS:,} evaluations; give a larger one"
            )
        keep = sorted({at for units in self.keep if (at := position.step_at(units, unit)) <= total})
        return position.Plan(
            steps=total,
            policy=policy,
            samples=samples,
            log_every=self.log_every,
            save_every=self.save_every,
            evaluate=position.evaluations(self.eval_every, self.length, unit, keep),
            keep=tuple(keep),
        )

    def _unit(self, epoch: Fraction) -> Fraction:
        """Steps of an epoch, stretched or shortened so that the length keeps its bounds."""
        from ncp.tasks import position

        steps, length = position.step_at(self.length, epoch), position.exact(self.length)
        if self.least_steps is not None and steps < self.least_steps:
            return Fraction(self.least_steps) / length
        if self.most_steps is not None and steps > self.most_steps:
            return Fraction(self.most_steps) / length
        return epoch

    def rate(self) -> Rate:
        """The learning rate as a function of the share that is done."""
        return schedule(float(self.optimizer["lr"]), self.schedule)

    def make_optimizer(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """torch's optimiser over ``parameters``.

        Raises:
            UserError: for an argument that it does not have, or a value that it refuses.
        """
        module, _, name = OPTIMIZERS[str(self.optimizer["name"])].rpartition(".")
        arguments = {key: value for key, value in self.optimizer.items() if key != "name"}
        if "betas" in arguments:
            arguments["betas"] = tuple(arguments["betas"])
        try:
            made: torch.optim.Optimizer = options.call(
                getattr(import_module(module), name), arguments, "recipe.optimizer", parameters
            )
        except UserError:
            raise
        except ValueError as error:  # how torch refuses a value
            raise UserError(f"recipe.optimizer: {str(error).splitlines()[0]}") from None
        return made
