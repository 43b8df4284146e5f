"""What a training is told: ``conf/train.yaml`` as a dataclass.

The parts that are config groups stay dictionaries here, as they were given: plans of builds and checkpoints record them so.
What uses them is typed: the recipe is :attr:`TrainOptions.chosen_recipe`; the others' keys depend on the class, kind or network
that they name, and are held against its signature before it is made, see :mod:`ncp.tasks.parts`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Annotated, Any, TypeVar

from msgspec import Meta

from ncp import options as typed
from ncp.errors import UserError
from ncp.tasks.recipe import Recipe

T = TypeVar("T", bound="TrainOptions")


@dataclass
class Callbacks:
    """``conf/callbacks``: what happens beside the steps."""

    progress: bool = True
    pictures: bool = True
    picture_samples: Annotated[int, Meta(ge=0)] = 4


@dataclass(kw_only=True)
class TrainOptions:
    """What to train, on what, and how.

    Attributes:
        setting: its name; None for a data set without one.
        task: ``_target_`` (a class of :mod:`ncp.tasks`) and its options.
        data: ``_target_`` (a data module) and its options.
        recipe: the fields of :class:`ncp.tasks.recipe.Recipe`.
        arch: ``kind`` and what belongs to it, see :func:`ncp.tasks.parts.choose_architecture`.
        trainer: Lightning's, with ``accelerator``, ``devices``, ``precision`` and so on.
        logger: ``kind`` and its options.
        callbacks: progress and pictures.
        seed: of the random architecture, the weights, the order of the samples and their augmentation.
        ckpt_path: None to start anew, ``auto``, or a checkpoint to go on from.
        pretrained: a checkpoint whose backbone is the start.
        keep: which checkpoints stay: ``paper``, ``last``, ``none``.
        compile: None, true, or a mode of ``torch.compile``.
        model: how the network is built.
    """

    setting: str | None = None
    task: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    arch: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=lambda: {"kind": "csv"})
    callbacks: Callbacks = field(default_factory=Callbacks)
    seed: Annotated[int, Meta(ge=0)] = 1
    ckpt_path: str | None = None
    pretrained: str | None = None
    keep: str = "paper"
    compile: bool | str | None = None
    model: dict[str, Any] = field(default_factory=dict)

    @property
    def chosen_recipe(self) -> Recipe:
        """The recipe, checked but for its optimiser's arguments (:meth:`Recipe.check_optimizer`).

        Raises:
            UserError: for a key that no recipe has, a missing one, a value that cannot be.
        """
        if not self.recipe:
            raise UserError("recipe is missing: this data brings none; give recipe=NAME (conf/recipe/NAME.yaml)")
        return typed.call(Recipe, self.recipe, "recipe")

    def plain(self, drop: tuple[str, ...] = ()) -> dict[str, Any]:
        """All options as dictionaries, lists and plain values, less the keys ``drop``."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name not in drop}

    def training(self, **changes: Any) -> TrainOptions:
        """The options of one training: those of a build without what is the build's own, with ``changes`` in place of some."""
        own = {f.name: copy.deepcopy(getattr(self, f.name)) for f in fields(TrainOptions)}
        return TrainOptions(**{**own, **changes})


def changed(options: T, **changes: Any) -> T:
    """A copy with other values."""
    return replace(options, **changes)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return copy.deepcopy(value)
