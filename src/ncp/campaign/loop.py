"""The loop of the paper, closed: build, fit, search, build again, compare. Each step is the command that a user would give."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ncp import benchmark, runs, spaces
from ncp.benchmark import settings
from ncp.benchmark.table import Table
from ncp.campaign import packing
from ncp.errors import UserError

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[3]
SHORT = {"count": 20, "repeats": 1}
FEW = 4
# keys of conf/debug/short.yaml that go to the trainings
RECIPE = ("unit", "length", "eval_every", "log_every", "save_every")


@dataclass
class Loop:
    """What the loop did and found.

    Attributes:
        names: settings, in order.
        tables: of the sampled architectures, by setting.
        candidates: name (``found``, ``default``, ``best sampled``) -> architecture.
        scores: candidate -> setting -> ``(R,)`` main metric of its repeated trainings.
        macs: candidate -> exact cost.
        limit: of cost, for all candidates.
        errors: setting -> the predictor's errors of its main metric on rows it did not see.
        predicted: setting -> predicted main metric of the found architecture.
        commands, seconds, cpu_seconds: of each step; processor time is what does not depend on what else the machine does.
        pictures: of the steps that draw one, relative to the loop's folder.
    """

    names: tuple[str, ...]
    limit: int
    tables: dict[str, Table] = field(default_factory=dict)
    candidates: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    macs: dict[str, int] = field(default_factory=dict)
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    predicted: dict[str, float] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)


def run(options: Mapping[str, Any], folder: Path, short: bool = False) -> Loop:
    """All steps; files go to ``folder``.

    Args:
        options: ``conf/loop.yaml``, resolved.
        short: fewer and shorter trainings, to see that everything runs.

    Raises:
        UserError: when a step fails, with its command and where its words are.
    """
    options = {**options, **SHORT} if short else dict(options)
    names = tuple(settings.get(str(name)).name for name in options["settings"])
    space = spaces.get(settings.get(names[0]).space)
    reference = space.decode(_values(space, options["default"])[None])[0]
    steps = _Steps(folder, Loop(names, _cost(space, reference)), options, short)
    for name in names:
        steps.sample(name)
    for name in names:
        steps.fit(name)
    found = steps.search(space)
    steps.compare(space, {"found": found, "default": reference, "best sampled": best_sampled(steps.loop)})
    return steps.loop


class _Steps:
    """One method a step; each runs a command and reads what it left."""

    def __init__(self, folder: Path, loop: Loop, options: Mapping[str, Any], short: bool) -> None:
        self.folder, self.loop, self.options = folder, loop, options
        self.short = [f"recipe.{key}={options['recipe'][key]}" for key in RECIPE] if short else None
        self.steps = {settings.get(str(name)).name: int(number) for name, number in options["steps"].items()}

    def training(self, name: str, units: int) -> list[str]:
        """Overrides of every training of a setting, ``units`` of them in one build."""
        at_a_time = self.options["per_device"]
        if at_a_time == "auto" and units <= FEW:  # too few for a first one that tells how many fit
            at_a_time = min(units, packing.cores())
        out = [f"build.per_device={at_a_time}"]
        if self.short is not None:
            return out + self.short
        if steps := self.steps.get(name):
            # evaluated twice, saved four times
            out += [
                f"recipe.length={steps}",
                f"recipe.eval_every={steps // 2}",
                f"recipe.save_every={max(1, steps // 4)}",
            ]
        return out

    def sample(self, name: str) -> None:
        """Sampled architectures, trained."""
        bounds = [f"bounds.{key}=[{low},{high}]" for key, (low, high) in self.options["bounds"].items()]
        place = self.folder / f"sample-{name}"
        extra = [f"count={self.options['count']}", f"seed={self.options['seed']}", f"build.dir={place}"]
        training = self.training(name, int(self.options["count"]))
        self.command(f"build {name}", "build", f"setting={name}", *extra, *bounds, *training)
        self.loop.tables[name] = benchmark.load(place / f"{name}.parquet")

    def fit(self, name: str) -> None:
        """A predictor, its errors from cross-validation."""
        source = self.folder / f"sample-{name}" / f"{name}.parquet"
        place = self.folder / f"fit-{name}"
        self.command(f"fit {name}", "fit", f"setting={name}", f"source={source}", "protocol=all-rows", f"out={place}")
        from ncp.predictors import load

        card = load(place / f"{name}.safetensors").card
        self.loop.errors[name] = card.errors[settings.get(name).main]

    def search(self, space: spaces.Space[Any]) -> Any:
        """One architecture for all settings, within the sample's bounds and the limit of cost."""
        files = ",".join(f"{name}:{self.folder / f'fit-{name}' / f'{name}.safetensors'}" for name in self.loop.names)
        low, high = (_values(space, {k: v[i] for k, v in self.options["bounds"].items()}) for i in (0, 1))
        bounds = [f"bounds.{label}=[{a},{b}]" for label, a, b in zip(space.labels, low, high, strict=True)]
        start = space.decode(_values(space, self.options["default"])[None])[0].text
        out = self.command(
            "search", "search", f"objectives=[{','.join(self.loop.names)}]", f"predictors={{{files}}}",
            f"budget.macs={self.loop.limit}", f"start={start}", *bounds,
        )  # fmt: skip
        result = runs.read_result(out)
        for name in self.loop.names:
            self.loop.predicted[name] = float(result["predicted"][name][settings.get(name).main])
        return space.parse(result["architecture"]["text"])

    def compare(self, space: spaces.Space[Any], candidates: Mapping[str, Any]) -> None:
        """The candidates, trained anew with the same seeds."""
        self.loop.candidates = dict(candidates)
        self.loop.macs = {name: _cost(space, architecture) for name, architecture in candidates.items()}
        listed = self.folder / "candidates.txt"
        listed.write_text("".join(f"{architecture.text}  # {name}\n" for name, architecture in candidates.items()))
        for setting in self.loop.names:
            values: dict[str, list[float]] = {name: [] for name in candidates}
            for repeat in range(int(self.options["repeats"])):
                seed = 1000 * int(self.options["seed"]) + repeat
                place = self.folder / f"compare-{setting}-{seed}"
                extra = [f"build.architectures={listed}", f"build.dir={place}", f"seed={seed}"]
                step = f"compare {setting}" + (f", seed {seed}" if int(self.options["repeats"]) > 1 else "")
                training = self.training(setting, len(candidates))
                self.command(step, "build", f"setting={setting}", *extra, *training)
                table = benchmark.load(place / f"{setting}.parquet")
                for name, architecture in candidates.items():
                    values[name].append(table.query(architecture).metrics[table.main])
            for name in candidates:
                self.loop.scores.setdefault(name, {})[setting] = np.array(values[name])

    def command(self, step: str, command: str, *overrides: str) -> Path:
        """Run ``python -m src.<command>``; its run folder."""
        outputs = self.folder / "runs"
        line = [sys.executable, "-m", f"src.{command}", f"paths.outputs={outputs}", *overrides]
        words_shown = [word.replace(f"{self.folder}/", "") for word in ("python", *line[1:3], *overrides)]
        shown = " ".join(shlex.quote(word) for word in words_shown)
        log.info("%s", step)
        started, before = time.perf_counter(), _children()
        words = self.folder / f"{len(self.loop.commands):02d}-{step.replace(' ', '-').replace(',', '')}.txt"
        with open(words, "w") as file:
            code = subprocess.run(line, cwd=ROOT, env=_environment(), stdout=file, stderr=subprocess.STDOUT).returncode
        self.loop.commands[step], self.loop.seconds[step] = shown, time.perf_counter() - started
        self.loop.cpu_seconds[step] = _children() - before
        if code:
            last = (words.read_text().strip().splitlines() or ["no words"])[-1]
            raise UserError(f"the step '{step}' failed ({last[:200]}); all it said is in '{words}'")
        place = max((outputs / command).glob("*/*/result.json"), key=lambda file: file.stat().st_mtime).parent
        if pictures := sorted(place.glob("*.png")):
            self.loop.pictures[step] = str(pictures[0].relative_to(self.folder))
        return place


def best_sampled(loop: Loop) -> Any:
    """The sampled architecture within the limit that has the best mean standard score over the settings."""
    first = loop.tables[loop.names[0]]
    columns = [(name, loop.tables[name].main) for name in loop.names]
    codes, values = benchmark.Benchmark(loop.tables).aligned(columns)
    score = ((values - values.mean(0)) / np.maximum(values.std(0), 1e-9)).mean(1)
    score[first.space.cost(codes).macs > loop.limit] = -np.inf
    if not np.isfinite(score).any():
        raise UserError("no sampled architecture is within the limit of cost; raise count, or default")
    return first.space.parse(codes[int(score.argmax())].tolist())


def _values(space: spaces.Space[Any], by_name: Mapping[str, Any]) -> np.ndarray:
    """``(D,)`` integers from values by dimension or by how its name begins."""
    out = []
    for label in space.labels:
        value = by_name.get(label, next((v for k, v in by_name.items() if label.startswith(str(k))), None))
        if value is None:
            raise UserError(f"default and bounds must say something about every dimension; '{label}' is missing")
        out.append(int(value))
    return np.array(out)


def _cost(space: spaces.Space[Any], architecture: Any) -> int:
    return int(space.cost(np.array([architecture.code])).macs[0])


def _children() -> float:
    """Processor time of all processes that this one started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}


def summary(loop: Loop) -> dict[str, Any]:
    """For ``result.json``."""
    return {
        "settings": list(loop.names),
        "limit_macs": loop.limit,
        "candidates": {
            name: {
                "architecture": architecture.text,
                "macs": loop.macs[name],
                "scores": {setting: _scores(values) for setting, values in loop.scores[name].items()},
            }
            for name, architecture in loop.candidates.items()
        },
        "predicted": loop.predicted,
        "predictor_errors": loop.errors,
        "sampled": {name: len(table) for name, table in loop.tables.items()},
        "seconds": {**loop.seconds, "total": sum(loop.seconds.values())},
        "cpu_seconds": {**loop.cpu_seconds, "total": sum(loop.cpu_seconds.values())},
        "commands": loop.commands,
    }


def _scores(values: np.ndarray) -> dict[str, Any]:
    array = np.asarray(values, dtype=float)
    return {
        "mean": float(array.mean()),
        "std": float(array.std(ddof=1)) if len(array) > 1 else None,
        "all": array.tolist(),
    }
