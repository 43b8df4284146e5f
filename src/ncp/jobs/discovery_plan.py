"""What a discovery is to do, what came of it, and how its steps train: what all of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncp import spaces
from ncp.benchmark import settings
from ncp.campaign.discovery import Discovery
from ncp.campaign.states import RECORD
from ncp.errors import UserError
from ncp.jobs import hours
from ncp.jobs.steps import Commands
from ncp.overrides import key_of
from ncp.process import own_cores

if TYPE_CHECKING:
    from ncp.benchmark.table import Table

FEW = 4  # trainings: too few for a first one that tells how many fit on a device


@dataclass
class Outcome:
    """What came of it, and name -> file of what was written."""

    discovery: Discovery
    files: dict[str, Path]


@dataclass
class DiscoveryPlan:
    """What a discovery does.

    Attributes:
        names: settings.
        words: setting -> the words of each of its trainings.
        trainings: how many architectures are trained in each setting.
        budget: limits of exact cost.
        reference: the architecture to compare with.
        place: where the builds lie, so that the same command goes on.
        bounds: narrower ones, by dimension or how its name begins.
        sampler, rounds, reach, known: how architectures are chosen, and which settings' predictors help.
        source: None to train; else the recorded table whose rows stand for trainings.
        repeats: trainings of each compared architecture.
        baseline: a network of timm, ``auto`` for one of like cost, None for none.
        full: words more for the compared trainings.
        seed, per_device: of the trainings.
        family: of the predictor.
        start: whether the search starts from the reference.
        exports: whether the found network is exported.
        hours: a limit, asked for before anything is trained; None for none.
        tried: whether a short trial tells beforehand how long all will take.
        title: of the page, and its file's name.
        prefix: before the commands that are shown, what they need of the environment.
        samples: a picture of the data; None for none.
        began: when the command began, by ``time.monotonic``, from which its hours count; None for now.
    """

    names: tuple[str, ...]
    words: Mapping[str, Sequence[str]]
    trainings: int
    budget: dict[str, float]
    reference: Any
    place: Path
    bounds: Mapping[str, Any] = field(default_factory=dict)
    sampler: str = "random"
    rounds: int | None = None
    reach: float | None = None
    known: Any = "all"
    source: str | None = None
    repeats: int = 1
    baseline: str | None = None
    full: Sequence[str] = ()
    seed: int = 1
    per_device: int | str = "auto"
    family: str = "auto"
    start: bool = False
    exports: bool = False
    hours: float | None = None
    tried: bool = False
    title: str = "discovery"
    prefix: str = ""
    samples: Path | None = None
    began: float | None = None


class Trainer:
    """Trains for the steps of a plan."""

    def __init__(self, plan: DiscoveryPlan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.space: spaces.Space[Any] = spaces.get(settings.get(plan.names[0]).space)
        self.commands = Commands(folder, self.work(), plan.prefix)
        self.clock = hours.Clock(plan.hours)
        if plan.began is not None:
            self.clock.began = plan.began
        self.out = Discovery(
            plan.names, dict(plan.budget), recorded=plan.source is not None,
            commands=self.commands.commands, seconds=self.commands.seconds, cpu_seconds=self.commands.cpu_seconds,
            pictures=self.commands.pictures,
        )  # fmt: skip

    def work(self) -> dict[str, float]:
        """All steps in order, and how much work each is."""
        raise NotImplementedError

    def comparison(self, setting: str, repeat: int) -> str:
        """The name of a step that trains the candidates."""
        return self.again(f"compare {setting}", repeat)

    def again(self, step: str, repeat: int) -> str:
        """The name of a step that is repeated."""
        return f"{step}, seed {self.seed_of(repeat)}" if self.plan.repeats > 1 else step

    def seed_of(self, repeat: int) -> int:
        """None of the sample's."""
        return 1000 * self.plan.seed + repeat

    def training(self, setting: str) -> list[str]:
        """The words of every training of a setting."""
        words = list(self.plan.words[setting])
        named = any(key_of(word) in ("setting", "task") for word in words)
        return words if named else [f"setting={setting}", *words]

    def build(
        self,
        step: str,
        setting: str,
        *words: str,
        done: Callable[[], float] | None = None,
        unshown: Sequence[str] = (),
        compared: bool = False,
    ) -> Table:
        """Train architectures, to learn from or ``compared``; the table of their results."""
        built = self.commands.run(step, "build", *self.training(setting), *words, done=done, unshown=unshown)
        self.out.training_hours[step] = built.summary.hours
        if built.merged is None:
            limited = self.plan.hours is not None and not compared
            over = f"; hours={self.plan.hours:g} leave no time for a training" if limited else ""
            raise UserError(f"the step '{step}' trained nothing{over}; its command: {self.commands.commands[step]}")
        table: Table = built.merged.table
        took = list(zip(table.macs.tolist(), table.column("seconds").tolist(), strict=True))
        self.clock.at_a_time = built.at_a_time
        if compared:
            self.clock.compared += took
        else:
            self.clock.learnt_from = took
        return table

    def limits(self) -> list[str]:
        """The limits of cost as words."""
        return [f"budget.{name}={number(limit)}" for name, limit in self.plan.budget.items()]

    def packing(self, units: int) -> list[str]:
        """How many trainings at a time, of so many in a build."""
        at_a_time: Any = self.plan.per_device
        if at_a_time == "auto" and units <= FEW:
            at_a_time = min(units, len(own_cores()))
        return [f"build.per_device={at_a_time}"]


def records(place: Path) -> Callable[[], float]:
    """Counts the records of a build."""
    return lambda: float(sum(1 for _ in place.glob(f"units/*/{RECORD}")))


def number(value: float) -> str:
    """As a word: whole ones without a point."""
    return str(int(value)) if value == int(value) else repr(value)
