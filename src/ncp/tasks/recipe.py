"""A recipe: everything about a training but the network and the data. Files in ``conf/recipe``; values in appendix A.1.

A command's options hold one, so nothing here imports torch until something is trained.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
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
LARGEST_BATCH = 65_536
"""Samples of a step, where the training set has fewer; large batches of the literature have 32,768 (You et al. 2017)."""
_POSITIVE = ("batch", "length", "eval_every", "log_every", "save_every")
_POSITIVE_OR_NULL = ("per_device", "clip", "least_steps", "most_steps")


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
        for name in (*_POSITIVE, *_POSITIVE_OR_NULL):
            value = getattr(self, name)
            if value is None and name in _POSITIVE_OR_NULL:
                continue
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                or_null = " or null" if name in _POSITIVE_OR_NULL else ""
                raise UserError(f"recipe.{name} must be positive{or_null}, given was {numeric.shown(value)}")
        if any(not 0 < units < math.inf for units in self.keep):
            raise UserError(f"recipe.keep must hold positive numbers of {self.unit}, given was {list(self.keep)}")
        if not 0 <= self.label_smoothing < 1:
            raise UserError(f"recipe.label_smoothing must be from 0 to less than 1, given was {self.label_smoothing}")
        for name in ("residual_scale", "fusion_scale"):
            numeric.finite(f"recipe.{name}", getattr(self, name) or 0, 0)
        if self.least_steps and self.most_steps and self.least_steps > self.most_steps:
            raise UserError(f"recipe.least_steps={self.least_steps} is above recipe.most_steps={self.most_steps}")
        weights = self.class_weights
        if weights is not None and not all(isinstance(w, (int, float)) and 0 <= w < math.inf for w in weights):
            raise UserError(f"recipe.class_weights are numbers from 0 up, one a class, given was {list(weights)}")
        if weights is not None and not any(weights):
            raise UserError("recipe.class_weights are all 0, so nothing would be learnt; give at least one class more")
        if not 0 < self.prior < 1:
            raise UserError(f"recipe.prior must be between 0 and 1, given was {self.prior}")
        if self.momentum_schedule not in (None, "poly"):
            raise UserError(f"recipe.momentum_schedule must be null or poly, given was '{self.momentum_schedule}'")
        if self.momentum_schedule and self.optimizer.get("name") != "sgd":
            raise UserError(f"recipe.momentum_schedule needs the optimizer sgd, not {self.optimizer.get('name')}")
        name = str(self.optimizer.get("name"))
        if name not in OPTIMIZERS:
            raise UserError(f"unknown optimizer '{name}'; optimizers: {', '.join(OPTIMIZERS)} (recipe.optimizer.name)")
        numeric.finite("recipe.optimizer.lr", self.optimizer.get("lr"), above=0)
        self.rate()

    @classmethod
    def from_config(cls, settings: Mapping[str, Any]) -> Recipe:
        """From ``conf/recipe``, its optimiser checked too.

        Raises:
            UserError: for a key that no recipe has, a missing one, a value of another type, or a wrong optimiser.
        """
        made = options.call(cls, settings, "recipe")
        made.check_optimizer()
        return made

    def plan(self, samples: int, devices: int = 1) -> Plan:
        """Turn units into steps for a training set of ``samples``.

        Raises:
            UserError: for a batch that the devices cannot share, one beyond all reason, or evaluations without end.
        """
        from ncp.data.base import BatchPolicy
        from ncp.tasks import position

        if self.batch > (most := max(samples, LARGEST_BATCH)):
            raise UserError(
                f"recipe.batch={self.batch:,} is a step of more samples than there is any use for; at most {most:,} here"
            )
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

    def check_optimizer(self) -> None:
        """Tell what is wrong with the optimiser's arguments before the data is read; this imports torch."""
        import torch

        self.make_optimizer([torch.nn.Parameter(torch.zeros(1))])

    def make_optimizer(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """torch's optimiser over ``parameters``; ``UserError`` for an argument that it does not have."""
        arguments = {**self.optimizer, "lr": float(self.optimizer["lr"])}
        name = str(arguments.pop("name"))
        kinds = {other: _imported(path) for other, path in OPTIMIZERS.items()}
        for key in arguments:
            owners = [other for other, kind in kinds.items() if key in inspect.signature(kind).parameters]
            if owners and name not in owners:
                raise UserError(
                    f"recipe.optimizer.{key} belongs to {' and '.join(owners)}, not to {name}; leave it out: "
                    f"~recipe.optimizer.{key}"
                )
        checked = options.check(kinds[name], arguments, "recipe.optimizer", first=1, title=name)
        parameters = list(parameters)
        checked |= _fused(kinds[name], parameters, checked, self.clip)
        try:
            optimizer: torch.optim.Optimizer = kinds[name](parameters, **checked)
        except (ValueError, RuntimeError) as error:  # so torch and we say what is out of range; a TypeError is ours
            raise UserError(f"recipe.optimizer: {str(error).splitlines()[0]}") from None
        return optimizer


def _imported(path: str) -> Any:
    """The class of ``module.Name``."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _fused(
    kind: Any, parameters: Sequence[Any], given: Mapping[str, Any], clip: float | None = None
) -> dict[str, bool]:
    """On a GPU all weights move in a few kernels, where the optimiser can and the recipe says nothing else.

    Not where gradients are clipped: in mixed precision Lightning clips none of a fused optimiser.
    """
    if clip is not None:
        return {}
    first = parameters[0] if parameters else None
    first = next(iter(first["params"]), None) if isinstance(first, Mapping) else first
    known = inspect.signature(kind).parameters
    if first is None or first.device.type != "cuda" or "fused" not in known or {"fused", "foreach"} & set(given):
        return {}
    return {"fused": True}
