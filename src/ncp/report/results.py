"""The parts of results of searches and trainings that reports read: what each must hold, and within which bounds."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ncp.benchmark import settings

Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Value = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)] | None
Name = Annotated[str, msgspec.Meta(max_length=1000)]


class Described(msgspec.Struct):
    """An architecture in a result; a baseline has no code."""

    text: Name
    code: Annotated[list[int], msgspec.Meta(max_length=1000)] | None = None


class Objective(msgspec.Struct):
    """What a search was for."""

    setting: Name
    metric: Name

    @property
    def name(self) -> str:
        """``setting.metric``."""
        return f"{self.setting}.{self.metric}"


class Search(msgspec.Struct):
    """The part of a search's result that is compared."""

    architecture: Described
    objectives: Annotated[list[Objective], msgspec.Meta(min_length=1, max_length=100)]
    predicted: dict[str, dict[str, Value]]
    chosen_step: Count = 0
    space: Name = "multires"


class Cost(msgspec.Struct):
    """Of a trained network: its own parameters, and for an architecture of the space the benchmark's multiply-adds."""

    params: Count
    macs: Count | None = None
    macs_at_size: Count | None = None
    size: list[int] | None = None


class Data(msgspec.Struct):
    """What a network was trained on."""

    name: Name
    builtin: bool = False


class Training(msgspec.Struct):
    """The part of a training's (or an evaluation's) result that is compared."""

    architecture: Described
    task: Name
    main_metric: Name
    metrics: dict[str, Value]
    cost: Cost
    data: Data | None = None
    steps: Count | None = None
    per_class: dict[str, Value] | None = None

    @property
    def setting(self) -> str:
        """The setting whose predictors know something about it: its task's first."""
        return settings.SHORT.get(self.task, self.task)
