"""The loop of the paper, closed: ``ncp loop`` builds, fits, searches, builds again and compares. Each step is a command."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from ncp import jobs, runs, spaces
from ncp.benchmark import settings
from ncp.benchmark.table import Table
from ncp.campaign.loop import Loop, best_sampled, cost_of, summary
from ncp.campaign.states import RECORD
from ncp.commandline import shell_word
from ncp.errors import UserError
from ncp.overrides import render, value_of  # type: ignore[attr-defined]
from ncp.process import own_cores
from ncp.progress import Steps

log = logging.getLogger(__name__)
SHORT: dict[str, Any] = {"count": 20, "repeats": 1}
SHORT_STEPS = 20
FEW = 4
# as conf/loop.yaml, where they are explained
BOUNDS = {"i": [8, 32], "b": [1, 2], "n": [1, 2], "c": [8, 32], "o1": [8, 32]}
DEFAULT = {"i": 16, "b": 2, "n": 2, "c": 16, "o1": 16}


@dataclass
class Options:
    """``conf/loop.yaml``, where each is explained."""

    settings: list[str] = field(default_factory=lambda: ["cls", "seg"])
    count: Annotated[int, Meta(ge=1)] = 32
    steps: dict[str, Annotated[int, Meta(ge=4)]] = field(default_factory=lambda: {"cls": 96, "seg": 120})
    bounds: dict[str, list[int]] = field(default_factory=lambda: dict(BOUNDS))
    default: dict[str, int] = field(default_factory=lambda: dict(DEFAULT))
    repeats: Annotated[int, Meta(ge=1)] = 3
    seed: Annotated[int, Meta(ge=0)] = 1
    per_device: Annotated[int, Meta(ge=1)] | Literal["auto"] = "auto"
    short: bool = False


@dataclass
class Outcome:
    """What the loop did, and name -> file of what was written."""

    loop: Loop
    files: dict[str, Path]


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Sample and train architectures for two tasks, fit predictors, search one for both, train it and compare.

    Args:
        options: of the loop; ``options.short`` for fewer and shorter trainings, to see that everything runs.
        folder: where all files go; None for a new run folder.

    Raises:
        UserError: when a step fails, with its command.
    """
    from ncp.report import loop as report

    folder = runs.made(folder, "loop").resolve()
    if options.short:
        options = replace(options, **SHORT, steps=dict.fromkeys(options.settings, SHORT_STEPS))
    names = tuple(settings.get(name).name for name in options.settings)
    space = spaces.get(settings.get(names[0]).space)
    reference = space.decode(_values(space, options.default)[None])[0]
    steps = _Steps(folder, Loop(names, cost_of(space, reference)), options)
    for name in names:
        steps.sample(name)
    for name in names:
        steps.fit(name)
    found = steps.search(space)
    steps.compare(space, {"found": found, "default": reference, "best sampled": best_sampled(steps.loop)})
    files = report.write_page(steps.loop, folder)
    shown = {"files": {name: str(path) for name, path in files.items()}}
    files["result"] = runs.write_result(folder, summary(steps.loop) | shown)
    return Outcome(steps.loop, files)


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print what came of it, and where the page is."""
    from ncp.report import loop as report

    report.show(outcome.loop, outcome.files)


class _Steps:
    """One method a step; each runs a command."""

    def __init__(self, folder: Path, loop: Loop, options: Options) -> None:
        self.folder, self.loop, self.options = folder, loop, options
        self.steps = {settings.get(name).name: number for name, number in options.steps.items()}
        self.progress = Steps(self.work(), log.info)

    def work(self) -> dict[str, float]:
        """All steps in order, and how many trainings each has (a fit and the search take about as long as one)."""
        out = {f"build {name}": float(self.options.count) for name in self.loop.names}
        out |= {f"fit {name}": 1.0 for name in self.loop.names} | {"search": 1.0}
        return out | {self.comparison(name, r): 3.0 for name in self.loop.names for r in range(self.options.repeats)}

    def comparison(self, setting: str, repeat: int) -> str:
        """The name of a step that trains the candidates."""
        return f"compare {setting}" + (f", seed {self.seed_of(repeat)}" if self.options.repeats > 1 else "")

    def seed_of(self, repeat: int) -> int:
        """None of the sample's."""
        return 1000 * self.options.seed + repeat

    def _trained(self, words: Sequence[str]) -> Callable[[], float] | None:
        """Counts the records of the build that these words name."""
        place = value_of(words, "build.dir")
        return (lambda: float(sum(1 for _ in Path(place).glob(f"units/*/{RECORD}")))) if place else None

    def training(self, name: str, units: int) -> list[str]:
        """Overrides of every training of a setting, ``units`` of them in one build."""
        at_a_time: Any = self.options.per_device
        if at_a_time == "auto" and units <= FEW:  # too few for a first one that tells how many fit
            at_a_time = min(units, len(own_cores()))
        out = [f"build.per_device={at_a_time}"]
        if steps := self.steps.get(name):
            # evaluated twice, saved four times
            out += [f"recipe.length={steps}", f"recipe.eval_every={steps // 2}", f"recipe.save_every={steps // 4}"]
        return out

    def sample(self, name: str) -> None:
        """Sampled architectures, trained."""
        bounds = [f"bounds.{key}=[{low},{high}]" for key, (low, high) in self.options.bounds.items()]
        place = self.folder / f"sample-{name}"
        extra = [f"count={self.options.count}", f"seed={self.options.seed}", f"build.dir={render(str(place))}"]
        training = self.training(name, self.options.count)
        self.loop.tables[name] = self.build(f"build {name}", name, *extra, *bounds, *training)

    def fit(self, name: str) -> None:
        """A predictor, its errors from cross-validation."""
        source = self.folder / f"sample-{name}" / f"{name}.parquet"
        place = self.folder / f"fit-{name}"
        words = [f"source={render(str(source))}", "predictor=default", "protocol=all-rows", f"out={render(str(place))}"]
        fitted = self.command(f"fit {name}", "fit", f"setting={name}", *words)
        self.loop.errors[name] = fitted.fits[name].predictor.card.errors[settings.get(name).main]

    def search(self, space: spaces.Space[Any]) -> Any:
        """One architecture for all settings, within the sample's bounds and the limit of cost.

        Whatever so few rows have taught the predictors: the page tells their errors, and the comparison what came of it.
        """
        files = {name: str(self.folder / f"fit-{name}" / f"{name}.safetensors") for name in self.loop.names}
        low, high = (_values(space, {k: v[i] for k, v in self.options.bounds.items()}) for i in (0, 1))
        bounds = [f"bounds.{label}=[{a},{b}]" for label, a, b in zip(space.labels, low, high, strict=True)]
        start = space.decode(_values(space, self.options.default)[None])[0].text
        found = self.command(
            "search", "search", f"objectives=[{','.join(self.loop.names)}]", f"predictors={render(files)}",
            f"budget.macs={self.loop.limit}", f"start={start}", "force=true", *bounds,
        )  # fmt: skip
        for name in self.loop.names:
            self.loop.predicted[name] = found.result.predicted[name][settings.get(name).main]
        return found.result.architecture

    def compare(self, space: spaces.Space[Any], candidates: Mapping[str, Any]) -> None:
        """The candidates, trained anew with the same seeds."""
        self.loop.candidates = dict(candidates)
        self.loop.macs = {name: cost_of(space, architecture) for name, architecture in candidates.items()}
        listed = self.folder / "candidates.txt"
        listed.write_text("".join(f"{architecture.text}  # {name}\n" for name, architecture in candidates.items()))
        for setting in self.loop.names:
            values: dict[str, list[float]] = {name: [] for name in candidates}
            for repeat in range(self.options.repeats):
                seed = self.seed_of(repeat)
                place = self.folder / f"compare-{setting}-{seed}"
                extra = [
                    f"build.architectures={render(str(listed))}",
                    f"build.dir={render(str(place))}",
                    f"seed={seed}",
                ]
                step = self.comparison(setting, repeat)
                training = self.training(setting, len(candidates))
                table = self.build(step, setting, *extra, *training)
                for name, architecture in candidates.items():
                    values[name].append(table.query(architecture).metrics[table.main])
            for name in candidates:
                self.loop.scores.setdefault(name, {})[setting] = np.array(values[name])

    def build(self, step: str, setting: str, *words: str) -> Table:
        """Train architectures; the table of their results."""
        merged = self.command(step, "build", f"setting={setting}", *words).merged
        if merged is None:
            raise UserError(f"the step '{step}' trained nothing; its command: {self.loop.commands[step]}")
        table: Table = merged.table
        return table

    def command(self, step: str, command: str, *words: str) -> Any:
        """Run a command in this process; its outcome."""
        place = self.folder / "runs" / f"{len(self.loop.commands):02d}-{command}"
        place.mkdir(parents=True)
        shown = [word.replace(f"{self.folder}/", "") for word in words]
        self.loop.commands[step] = " ".join([runs.invocation(command), *map(shell_word, shown)])
        started, before = time.perf_counter(), _processor_time()
        try:
            with self.progress.step(step, self._trained(words)):
                outcome = jobs.module(command).run(jobs.options(command, *words), place)
        except UserError as error:
            raise UserError(f"the step '{step}' failed ({error}); its command: {self.loop.commands[step]}") from None
        self.loop.seconds[step] = time.perf_counter() - started
        self.loop.cpu_seconds[step] = _processor_time() - before
        if pictures := sorted(place.glob("*.png")):
            self.loop.pictures[step] = str(pictures[0].relative_to(self.folder))
        return outcome


def _values(space: spaces.Space[Any], by_name: Mapping[str, Any]) -> np.ndarray:
    """``(D,)`` integers from values by dimension or by how its name begins."""
    out = []
    for label in space.labels:
        value = by_name.get(label, next((v for k, v in by_name.items() if label.startswith(str(k))), None))
        if value is None:
            raise UserError(f"default and bounds must say something about every dimension; '{label}' is missing")
        out.append(int(value))
    return np.array(out)


def _processor_time() -> float:
    """Of this process and of all that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
