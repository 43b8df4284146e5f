"""The steps of a discovery: a plan is carried out by commands, each of which can be repeated by itself."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import jobs, runs, spaces
from ncp.benchmark import settings
from ncp.campaign import choosing
from ncp.campaign import discovery as found_
from ncp.campaign.discovery import BEST, DEFAULT, FOUND, Discovery, best_sampled, cost_of
from ncp.campaign.growth import LEAST
from ncp.campaign.states import RECORD
from ncp.commandline import command_line
from ncp.commandline import hydra_value as render
from ncp.errors import UserError
from ncp.jobs import hours as hours_
from ncp.jobs.steps import Commands
from ncp.overrides import key_of
from ncp.process import own_cores
from ncp.terminal import duration

if TYPE_CHECKING:
    from ncp.benchmark.table import Table

log = logging.getLogger(__name__)
FEW = 4  # trainings: too few for a first one that tells how many fit on a device


@dataclass
class Outcome:
    """What came of it, and name -> file of what was written."""

    discovery: Discovery
    files: dict[str, Path]


@dataclass
class Plan:
    """What a discovery does.

    Attributes:
        names: settings.
        words: setting -> the words of each of its trainings.
        trainings: how many architectures are trained in each setting.
        budget: limits of exact cost.
        reference: the architecture to compare with.
        place: where the builds lie, so that the same command goes on.
        bounds: narrower ones, by dimension or how its name begins.
        sampler, rounds, known: how architectures are chosen, and which settings' predictors help.
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


def carry_out(plan: Plan, folder: Path) -> Outcome:
    """All steps of a plan; the page, ``result.json`` and the pictures go to ``folder``."""
    from ncp.report import discovery as report

    steps = _Steps(plan, folder)
    steps.check()
    if plan.tried:
        steps.estimate()
    for name in plan.names:
        steps.collect(name)
    for name in plan.names:
        steps.fit(name)
    found = steps.search()
    candidates = {FOUND: found, DEFAULT: plan.reference}
    try:
        candidates[BEST] = best_sampled(steps.out)
    except UserError as error:  # there is still one to build
        steps.out.notes.append(str(error))
    steps.compare(candidates)
    steps.export()
    if plan.samples is not None and plan.samples.is_file():
        steps.out.samples = "data.png"
        shutil.copyfile(plan.samples, folder / steps.out.samples)
    files = report.write_page(steps.out, folder, plan.title)
    shown = {"files": {name: str(path) for name, path in files.items()}}
    files["result"] = runs.write_result(folder, found_.summary(steps.out) | shown)
    return Outcome(steps.out, files)


class _Steps:
    """One method a step; each runs commands."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.space: spaces.Space[Any] = spaces.get(settings.get(plan.names[0]).space)
        self.commands = Commands(folder, self.work(), plan.prefix)
        self.clock = hours_.Clock(plan.hours)
        self.out = Discovery(
            plan.names, dict(plan.budget), recorded=plan.source is not None,
            commands=self.commands.commands, seconds=self.commands.seconds, cpu_seconds=self.commands.cpu_seconds,
            pictures=self.commands.pictures,
        )  # fmt: skip

    def work(self) -> dict[str, float]:
        """All steps in order, and how many trainings each has (a fit and the search take about as long as one)."""
        plan = self.plan
        recorded = plan.source is not None
        out = {"trial": 1.0} if plan.tried else {}
        out |= {f"build {name}": 1.0 if recorded else float(plan.trainings) for name in plan.names}
        out |= {f"fit {name}": 1.0 for name in plan.names} | {"search": 1.0}
        if not recorded:
            out |= {self.comparison(name, r): 3.0 for name in plan.names for r in range(plan.repeats)}
            if plan.baseline is not None:
                out |= {self.again("compare baseline", r): 1.0 for r in range(plan.repeats)}
        if plan.exports and not recorded:
            out["export"] = 0.1
        return out

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

    def check(self) -> None:
        """What only the last steps need, before anything is trained.

        Raises:
            UserError: for words of ``full`` that no training has, a baseline that does not exist, a recorded table without a
                judge.
        """
        from ncp import predictors
        from ncp.tasks import likecost
        from ncp.tasks.recipe import Recipe

        plan = self.plan
        if plan.source is not None:
            for name in plan.names:
                predictors.load(name)
            return
        if plan.full:
            for name in plan.names:
                Recipe.from_config(jobs.options("train", *self.training(name), *plan.full).recipe)
        if plan.baseline not in (None, "auto"):
            likecost.choose(settings.get(plan.names[0]).task, 0, plan.reference, [str(plan.baseline)])

    def estimate(self) -> None:
        """Hours and disk of the whole, from a few steps of the reference's training.

        Raises:
            UserError: where what is left to do takes more than ``hours``, or more than the disk has.
        """
        [name], plan = self.plan.names, self.plan
        with self.commands.timed("trial"):
            tried = hours_.tried([*self.training(name), "arch=code", f"arch.code={plan.reference.text}"], plan.place)
        usual = found_.usual_cost(self.space, plan.budget, plan.bounds, plan.seed) / cost_of(self.space, plan.reference)
        last = (len((FOUND, DEFAULT, BEST)) + (plan.baseline is not None)) * plan.repeats
        one, compared = tried.seconds(usual), last * tried.seconds()
        hours = (plan.trainings * one + compared) / 3600
        disk = last * tried.checkpoint_mb
        log.info(
            "%d trainings to learn from and %d to compare: about %s, one after the other (%d steps of %.2g s, %d evaluations, "
            "measured on the default code), and %.0f MB of checkpoints", plan.trainings, last, duration(hours * 3600),
            tried.steps, tried.step, tried.evaluations, disk,
        )  # fmt: skip
        self.out.estimate = {"hours": hours, "disk_mb": disk}
        done = int(_records(plan.place / f"sample-{name}")())
        compared -= sum(1 for _ in plan.place.glob(f"compare-*/units/*/{RECORD}")) * tried.seconds()
        self.clock.reserve = max(compared, 0.0)
        left = (max(plan.trainings - done, 0) * one + self.clock.reserve) / 3600
        if plan.hours is not None and left > plan.hours:
            fit = int((3600 * plan.hours - compared) / one)
            least = "" if done + fit >= LEAST else f", and {LEAST} are the least"
            more = f"{plan.trainings - done} more" if done else f"{plan.trainings}"
            raise UserError(
                f"{more} trainings and the comparison take about {left:.2g} hours here, given was "
                f"hours={plan.hours:g}, in which {max(fit, 0)} trainings fit{least}; give fewer, or shorter ones (recipe.length)"
            )
        free = shutil.disk_usage(plan.place).free / 2**20
        if disk > free:
            raise UserError(
                f"the compared networks' checkpoints take about {disk:,.0f} MB, and the disk of '{plan.place}' has {free:,.0f} "
                "free; give another dir"
            )

    def collect(self, name: str) -> None:
        """Architectures that are trained, or rows of a recorded table."""
        plan, place = self.plan, self.plan.place / f"sample-{name}"
        if plan.source is not None:
            with self.commands.timed(f"build {name}"):
                self.out.tables[name] = self.drawn(name)
                place.mkdir(parents=True, exist_ok=True)
                self.out.tables[name].to_parquet(place / f"{name}.parquet")
            return
        words = [f"count={plan.trainings}", f"seed={plan.seed}", f"build.dir={render(str(place))}"]
        words += [f"bounds.{key}=[{low},{high}]" for key, (low, high) in plan.bounds.items()]
        if plan.sampler == "adaptive":
            words += ["sampler=adaptive", *self.limits(), f"known={render(plan.known)}"]
            words += [f"rounds={plan.rounds}"] if plan.rounds else []
        words += self.packing(plan.trainings)
        table = self.build(f"build {name}", name, *words, done=_records(place), unshown=self.clock.words())
        self.out.tables[name] = table
        done = int(_records(place)())
        if done == plan.trainings or plan.hours is None:
            return
        over = f"hours={plan.hours:g} ended the trainings after {done} of {plan.trainings}"
        if len(table) < LEAST:
            raise UserError(f"{over}, and a predictor needs {LEAST}; the same command goes on, for as many hours")
        self.out.notes.append(f"{over}; the same command goes on with the others")

    def drawn(self, name: str) -> Table:
        """So many rows of the recorded table."""
        from ncp.jobs.fit import tables

        [table] = tables(name, None if self.plan.source == "table" else self.plan.source)
        lower, upper = choosing.limits(self.space, self.plan.bounds)
        usable = table.rows("clean") & table.rows("paper") & np.isfinite(table.column(table.main))
        table = table.select(usable & ((table.codes >= lower) & (table.codes <= upper)).all(axis=1))
        if self.plan.trainings > len(table):
            raise UserError(
                f"the table of {name} has {len(table):,} rows {'within the bounds ' if self.plan.bounds else ''}to draw from, "
                f"given was trainings={self.plan.trainings}"
            )
        if self.plan.sampler == "adaptive":
            return table.select(self.chosen(table))
        rng = np.random.default_rng(self.plan.seed)
        return table.select(np.sort(rng.permutation(len(table))[: self.plan.trainings]))

    def chosen(self, table: Table) -> np.ndarray:
        """The rows ``(trainings,)`` that a build in rounds would have trained, had it only these architectures to choose from."""
        from ncp.campaign import growth, rounds

        plan = self.plan
        rows = np.zeros(0, dtype=np.int64)
        known = rounds.known_names(plan.known, table.setting)
        for size in growth.checked_sizes(plan.trainings, plan.rounds):
            proposed = rounds.propose(
                self.space, table.codes[rows], table.column(table.main)[rows], size, plan.budget, known, plan.seed,
                pool=table.codes, bounds=plan.bounds, reach=rounds.RECORDED,
            )  # fmt: skip
            rows = np.concatenate([rows, table.index.find(proposed.codes)])
        return rows

    def fit(self, name: str) -> None:
        """A predictor, its errors from cross-validation."""
        source, place = self.plan.place / f"sample-{name}" / f"{name}.parquet", self.plan.place / f"fit-{name}"
        words = [f"source={render(str(source))}", "protocol=all-rows", f"out={render(str(place))}"]
        if self.plan.family != "auto":
            words.append(f"predictor={self.plan.family}")
        else:
            words.append(f"predictor.known={render(self.plan.known)}")
        fitted = self.commands.run(f"fit {name}", "fit", f"setting={name}", *words)
        predictor = fitted.fits[name].predictor
        self.out.errors[name] = predictor.card.errors[settings.get(name).main]
        told = [predictor.choice, predictor.curve.sentence if predictor.curve is not None else ""]
        self.out.fitted[name] = [line for line in told if line]

    def search(self) -> Any:
        """One architecture for all settings, within the sample's bounds and the limits of cost.

        Whatever so few rows have taught the predictors: the page tells their errors, and the comparison what came of it.
        """
        plan, space = self.plan, self.space
        files = {name: str(plan.place / f"fit-{name}" / f"{name}.safetensors") for name in plan.names}
        words = [f"objectives=[{','.join(plan.names)}]", f"predictors={render(files)}"]
        words += self.limits()
        if plan.start:
            words.append(f"start={plan.reference.text}")
        words.append("force=true")
        if plan.bounds:
            limits = zip(space.labels, *choosing.limits(space, plan.bounds), strict=True)
            words += [f"bounds.{label}=[{low:g},{high:g}]" for label, low, high in limits]
        found = self.commands.run("search", "search", *words).result
        for name in plan.names:
            main = settings.get(name).main
            self.out.predicted[name], self.out.std[name] = found.predicted[name][main], found.std[name][main]
        self.out.notes += found.notes
        return found.architecture

    def compare(self, candidates: Mapping[str, Any]) -> None:
        """The candidates, trained anew with the same seeds; of a recorded table, as its judge sees them."""
        self.out.candidates = dict(candidates)
        self.out.macs = {name: cost_of(self.space, architecture) for name, architecture in candidates.items()}
        if self.plan.source is not None:
            self.judge(candidates)
            return
        listed = self.plan.place / "candidates.txt"
        listed.write_text("".join(f"{architecture.text}  # {name}\n" for name, architecture in candidates.items()))
        for setting in self.plan.names:
            scores: dict[str, list[float]] = {name: [] for name in candidates}
            repeats = 0
            for repeat in range(self.plan.repeats):
                if self.over(repeat, f"the comparison after {repeat} of {self.plan.repeats} seeds"):
                    break
                repeats += 1
                place = self.compared(setting, repeat)
                words = [f"build.architectures={render(str(listed))}", f"build.dir={render(str(place))}"]
                words += [f"seed={self.seed_of(repeat)}", *self.packing(len(candidates)), *self.plan.full]
                if self.plan.exports:
                    words.append("keep=last")
                table = self.build(self.comparison(setting, repeat), setting, *words, done=_records(place))
                for name, architecture in candidates.items():
                    if architecture in table:
                        scores[name].append(table.query(architecture).metrics[table.main])
            for name, reached in scores.items():
                if failed := repeats - len(reached):
                    self.out.notes.append(f"{failed} of {repeats} trainings of the {name} one failed in {setting}")
                if reached:
                    self.out.scores.setdefault(name, {})[setting] = np.array(reached)
            if not scores[FOUND]:
                raise UserError(
                    f"the found architecture's trainings in {setting} failed, so there is nothing to compare: "
                    f"{command_line('build', **{'build.dir': str(place)}, action='status')} tells why"
                )
        if self.plan.baseline is not None:
            self.baseline(self.plan.baseline)

    def over(self, repeat: int, what: str) -> bool:
        """Whether the hours are over, which is noted. The found architecture is trained once whatever the clock says."""
        if repeat == 0 or self.clock.left() != 0:
            return False
        self.out.notes.append(f"hours={self.plan.hours:g} ended {what}; the same command goes on with the others")
        return True

    def compared(self, setting: str, repeat: int) -> Path:
        """Where the candidates are trained; another one for others, as a later fit on another machine may find."""
        texts = [candidate.text for candidate in self.out.candidates.values() if not isinstance(candidate, str)]
        return self.plan.place / f"compare-{setting}-{self.seed_of(repeat)}-{_digest([*texts, *self.plan.full])}"

    def baseline(self, wanted: str) -> None:
        """A hand-designed network under the same head and recipe, trained with the same seeds."""
        from ncp.tasks import likecost

        [setting], plan = self.plan.names, self.plan
        task = settings.get(setting).task
        limit = plan.budget.get("macs", float(self.out.macs[FOUND]))
        name, macs = likecost.choose(task, limit, plan.reference, None if wanted == "auto" else [wanted])
        arch = ["arch=pointpillars"] if name == likecost.POINTPILLARS else ["arch=timm", f"arch.name={name}"]
        scores: list[float] = []
        for repeat in range(plan.repeats):
            if self.over(1, f"the comparison after {repeat} of {plan.repeats} trainings of {name}"):
                break
            seed = self.seed_of(repeat)
            place = plan.place / f"compare-{setting}-{name}-{seed}-{_digest(plan.full)}"
            words = [*self.training(setting), *arch, f"seed={seed}", *plan.full, "keep=last", "ckpt_path=auto"]
            words.append("callbacks.pictures=false")
            step = self.again("compare baseline", repeat)
            trained = self.commands.run(step, "train", *words, place=place)
            self.out.training_hours[step] = trained.result["seconds"]["training"] / 3600
            scores.append(trained.metrics[settings.get(setting).main])
        if not scores:
            return
        self.out.candidates[name], self.out.macs[name] = name, macs
        self.out.scores[name] = {setting: np.array(scores)}

    def judge(self, candidates: Mapping[str, Any]) -> None:
        """What the bundled predictors, which know all rows of the recorded tables, say of the candidates."""
        from ncp import predictors

        for name in self.plan.names:
            table = self.out.tables[name]
            judge = predictors.load(name)
            for candidate, architecture in candidates.items():
                if architecture in table:
                    value, how = table.query(architecture).metrics[table.main], "its row of the table"
                else:
                    value = float(judge.predict(architecture)[table.main][0])
                    how = "the bundled predictor, fitted on all rows of the table"
                self.out.scores.setdefault(candidate, {})[name] = np.array([value])
                self.out.scored_by[candidate] = how

    def export(self) -> None:
        """The found network, trained, for other programs."""
        if not self.plan.exports or self.plan.source is not None:
            return
        [name] = self.plan.names
        place = self.compared(name, 0)
        checkpoints = sorted((place / "units" / "000000").glob("**/last.ckpt"))
        if not checkpoints:
            self.out.notes.append("the found network's checkpoint is not there, so it was not exported")
            return
        try:
            self.out.exports = self.commands.run(
                "export", "export", f"ckpt_path={render(str(checkpoints[-1]))}", "format=[safetensors,onnx]",
                f"out={render(str(self.folder / 'found'))}",
            )  # fmt: skip
        except UserError as error:
            self.out.notes.append(f"the found network was not exported: {error}")

    def build(
        self, step: str, setting: str, *words: str, done: Callable[[], float] | None = None, unshown: Sequence[str] = ()
    ) -> Table:
        """Train architectures; the table of their results."""
        built = self.commands.run(step, "build", *self.training(setting), *words, done=done, unshown=unshown)
        self.out.training_hours[step] = built.summary.hours
        if built.merged is None:
            over = f"; hours={self.plan.hours:g} are over" if unshown and self.clock.left() == 0 else ""
            raise UserError(f"the step '{step}' trained nothing{over}; its command: {self.commands.commands[step]}")
        table: Table = built.merged.table
        return table

    def limits(self) -> list[str]:
        """The limits of cost as words."""
        return [f"budget.{name}={_number(limit)}" for name, limit in self.plan.budget.items()]

    def packing(self, units: int) -> list[str]:
        """How many trainings at a time, of so many in a build."""
        at_a_time: Any = self.plan.per_device
        if at_a_time == "auto" and units <= FEW:
            at_a_time = min(units, len(own_cores()))
        return [f"build.per_device={at_a_time}"]


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:6]


def _records(place: Path) -> Callable[[], float]:
    """Counts the records of a build."""
    return lambda: float(sum(1 for _ in place.glob(f"units/*/{RECORD}")))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def values(space: spaces.Space[Any], by_name: Mapping[str, Any]) -> np.ndarray:
    """``(D,)`` integers from values by dimension or by how its name begins. Raises ``UserError`` where one is missing."""
    out = []
    for label in space.labels:
        value = by_name.get(label, next((v for k, v in by_name.items() if label.startswith(str(k))), None))
        if value is None:
            raise UserError(f"default must say something about every dimension; '{label}' is missing")
        out.append(int(value))
    return np.array(out)
