"""What commands and reports read of a ``result.json`` (docs/result.md): what each must hold, and within which bounds.

A result holds more than this; one that lacks something here, or has it in another form, is refused by its reader.
"""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0, le=2**62)]
Value = Annotated[float, Meta(ge=-1e12, le=1e12)] | None
Name = Annotated[str, Meta(max_length=1000)]
Figures = dict[str, dict[str, Value]]
"""Setting -> metric -> number, null where it is none."""


class Described(Struct):
    """An architecture in a result; a baseline has no code."""

    text: Name
    code: Annotated[list[int], Meta(max_length=1000)] | None = None


class Coded(Described, kw_only=True):
    """An architecture of a space."""

    code: Annotated[list[int], Meta(max_length=1000)]


class WantedMetric(Struct):
    """What a search was for."""

    setting: Name
    metric: Name
    direction: str = "max"

    @property
    def name(self) -> str:
        """``setting.metric``."""
        return f"{self.setting}.{self.metric}"


Overlap = dict[str, Annotated[float, Meta(gt=0, le=1)]]
"""Of detection: class -> the overlap (IoU) from which a box counts as found."""


class SearchResult(Struct):
    """A search, as far as its architecture and its way are compared with others."""

    architecture: Described
    objectives: Annotated[list[WantedMetric], Meta(min_length=1, max_length=100)]
    predicted: Figures
    chosen_step: Count = 0
    space: Name = "multires"
    min_overlap: dict[str, Overlap] = {}


class FoundCost(Struct):
    """Of an architecture of the space, exact."""

    macs: Count
    params: Count


class SearchSeconds(Struct):
    """How long it took."""

    search: float


class Found(SearchResult, kw_only=True):
    """A search with all that a table of searches tells of it."""

    architecture: Coded
    cost: FoundCost
    seconds: SearchSeconds
    predictor: dict[str, str] = {}
    judge: dict[str, str] = {}
    judged: Figures = {}
    judged_doubt: Figures = {}
    judged_noise: Figures = {}
    judged_min_overlap: dict[str, Overlap] = {}
    keeps_limits: bool = True


class NetworkCost(Struct):
    """Of a trained network: its own parameters, and for an architecture of the space the benchmark's multiply-adds."""

    params: Count
    macs: Count | None = None
    macs_at_size: Count | None = None
    size: list[int] | None = None


class Data(Struct):
    """What a network was trained on."""

    name: Name
    builtin: bool = False


class Training(Struct):
    """The part of a training's (or an evaluation's) result that is compared."""

    architecture: Described
    task: Name
    main_metric: Name
    metrics: dict[str, Value]
    cost: NetworkCost
    setting: Name | None = None
    data: Data | None = None
    steps: Count | None = None
    min_overlap: Overlap = {}
    per_class: dict[str, Value] | None = None

    @property
    def measures(self) -> str:
        """What its metrics are of: its setting; the task where it has none."""
        return self.setting or self.task


class AnyNetwork(TypedDict, total=False):
    """An architecture in any command's result."""

    text: str
    code: list[int] | None


class AnyCost(TypedDict, total=False):
    """Of an architecture in any command's result."""

    macs: int
    params: int


class AnyResult(TypedDict, total=False):
    """Keys that any command's result may have, in the form that they then have."""

    architecture: AnyNetwork
    space: str
    predicted: dict[str, dict[str, float | None]]
    std: dict[str, dict[str, float | None]]
    cost: AnyCost
    metrics: dict[str, float | None]
    task: str
    checkpoint: str | None
