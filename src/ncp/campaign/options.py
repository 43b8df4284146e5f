"""What a build is told: ``conf/build.yaml`` as a dataclass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from ncp.tasks.options import TrainOptions

Count = Annotated[int, Meta(ge=1, le=10**9)]


@dataclass
class StopRule:
    """Gives up trainings that lag behind: those that are, after the share ``at`` of the steps, among the lowest ``share`` of at
    least ``least`` finished ones at the same step."""

    at: float = 0.5
    share: float = 0.25
    least: int = 20


@dataclass
class After:
    """Trainings that come after a build, for which time is kept of its hours.

    Attributes:
        macs: multiply-adds of each network, at the space's standard size.
        tried: multiply-adds and seconds of trainings of the build, as a trial lets expect them.
        times: how many times as long as one of the build each takes.
        first: so many of them alone count while a predictor has too few of the build's trainings.
    """

    macs: Annotated[list[Annotated[float, Meta(ge=0)]], Meta(max_length=10**6)]
    tried: Annotated[
        list[tuple[Annotated[float, Meta(gt=0)], Annotated[float, Meta(ge=0)]]], Meta(min_length=1, max_length=100)
    ]
    times: Annotated[float, Meta(gt=0)] = 1.0
    first: Annotated[int, Meta(ge=0)] = 0


@dataclass
class Work:
    """The key ``build``: where a build lies, and how its workers behave; each is explained in ``conf/build.yaml``."""

    dir: str | None = None
    architectures: str = "sample"
    per_device: Count | Literal["auto"] | None = None
    attempts: Count = 2
    beat: Annotated[float, Meta(gt=0)] = 20.0
    patience: Annotated[float, Meta(gt=0)] = 300.0
    steal: bool = True
    stop: StopRule | None = None
    give_up: Count = 5
    hours: Annotated[float, Meta(ge=0)] | None = None
    after: After | None = None
    alike: Count | None = None


@dataclass(kw_only=True)
class BuildOptions(TrainOptions):
    """Which architectures are trained in which setting, and by whom; the rest says how each is trained.

    Attributes:
        action: ``run``, ``status``, ``merge``, ``analyse``, ``plan``, ``release``.
        units: of ``action=release``: those to free, by number or ``all``.
        proxy: the folder or table of a proxy, for ``action=analyse`` and ``sampler=adaptive``.
        count: how many architectures; None for all of a list.
        sampler: how they are chosen: ``random``, or ``adaptive``, in rounds by what the rounds before measured.
        rounds: of ``sampler=adaptive``: how many; None for a number that suits ``count``.
        budget: of ``sampler=adaptive``: upper limits of exact cost.
        reach: of ``sampler=adaptive``: how many times the budget an architecture of the first round may cost; None
            for ``ncp.campaign.rounds.REACH``.
        known: of ``sampler=adaptive``: settings whose bundled predictors it starts from.
        shard, shards: this worker's part of the units.
        bounds: of the sample, by dimension or how its name begins.
        build: where it lies and how workers behave.
        outputs: the folder of all outputs.
    """

    action: str = "run"
    units: Any = None
    proxy: str | None = None
    count: int | None = None
    sampler: str = "random"
    rounds: int | None = None
    budget: dict[str, Any] = field(default_factory=dict)
    reach: Annotated[float, Meta(ge=1)] | None = None
    known: Any = "all"
    shard: int = 0
    shards: int = 1
    bounds: dict[str, Any] = field(default_factory=dict)
    build: Work = field(default_factory=Work)
    keep: str = "none"
    outputs: str = "outputs"
