"""The steps of a discovery: a plan is carried out by commands, each of which can be repeated by itself."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import jobs, runs, spaces
from ncp.benchmark import settings
from ncp.campaign import choosing, growth, rounds
from ncp.campaign import discovery as found_
from ncp.campaign.discovery import BEST, DEFAULT, FOUND, best_sampled
from ncp.campaign.growth import LEAST
from ncp.commandline import hydra_value as render
from ncp.errors import UserError
from ncp.files import printable, safe_file
from ncp.jobs.comparing import BASELINE, OF_EACH
from ncp.jobs.discovery_plan import DiscoveryPlan, Outcome, records
from ncp.jobs.estimating import Estimating
from ncp.overrides import key_of

if TYPE_CHECKING:
    from ncp.benchmark.table import Table

log = logging.getLogger(__name__)
SETTLED = ("setting", "task", "data", "data.root", "seed", "keep", "ckpt_path")
"""What every compared training has its own of."""
DOUBT = 0.25
"""Standard deviations that a search takes off a prediction where its predictor has a large remainder. The parts of such a one
differ most where architectures are unlike its rows; with all of that doubt a search stays where the linear map would end."""


def carry_out(plan: DiscoveryPlan, folder: Path) -> Outcome:
    """All steps of a plan; the page, ``result.json`` and the pictures go to ``folder``.

    Raises:
        UserError: where a step fails, with its command, or another process works in the plan's place.
    """
    steps = _Steps(plan, folder)
    steps.check()
    with _place_of(plan, folder):
        try:
            return _carried_out(steps, folder)
        except KeyboardInterrupt:
            log.info("the same command goes on; what is trained lies in %s", plan.place)
            raise


@contextlib.contextmanager
def _place_of(plan: DiscoveryPlan, folder: Path) -> Iterator[None]:
    """The plan's place, made where it is not there yet and held: one that fits and searches there at a time."""
    with contextlib.ExitStack() as held:
        try:
            plan.place.mkdir(parents=True, exist_ok=True)
            if plan.place != folder:  # the command's own is held already
                held.enter_context(runs.locked(plan.place, "another discovery"))
        except OSError as error:
            raise UserError(
                f"the folder '{printable(plan.place)}' cannot be written ({error.strerror}); give another with dir=..."
            ) from None
        yield


def _carried_out(steps: _Steps, folder: Path) -> Outcome:
    from ncp.report import discovery as report

    plan = steps.plan
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


class _Steps(Estimating):
    """One method a step; each runs commands."""

    def work(self) -> dict[str, float]:
        """All steps in order, and how many trainings each has (a fit and the search take about as long as one)."""
        plan = self.plan
        recorded = plan.source is not None
        out = {"trial": 1.0} if plan.tried else {}
        out |= {f"build {name}": 1.0 if recorded else float(plan.trainings) for name in plan.names}
        out |= {f"fit {name}": 1.0 for name in plan.names} | {"search": 1.0}
        if not recorded:
            out |= {self.comparison(name, r): OF_EACH for name in plan.names for r in range(plan.repeats)}
            if plan.baseline is not None:
                out |= {self.again(BASELINE, r): 1.0 for r in range(plan.repeats)}
        if plan.exports and not recorded:
            out["export"] = 0.1
        return out

    def check(self) -> None:
        """What only the last steps need, before anything is trained.

        Raises:
            UserError: for words of ``full`` that no training has, a baseline that does not exist, a recorded table without a
                judge.
        """
        from ncp.tasks import likecost

        plan = self.plan
        if plan.source is not None:
            for name in plan.names:
                self.judge_of(name)
            return
        if plan.full:
            if settled := [key for key in map(key_of, plan.full) if key in SETTLED or key.split(".")[0] == "arch"]:
                raise UserError(
                    f"full={render(list(plan.full))}: {settled[0]} is the discovery's own to say; full is for what makes the "
                    "compared trainings longer or larger, such as recipe.length"
                )
            for name in plan.names:
                jobs.options("train", *self.training(name), *plan.full).chosen_recipe.check_optimizer()
        if plan.baseline not in (None, "auto"):
            likecost.choose(settings.get(plan.names[0]).task, 0, plan.reference, [str(plan.baseline)])

    def collect(self, name: str) -> None:
        """Architectures that are trained, or rows of a recorded table."""
        plan, place = self.plan, self.plan.place / f"sample-{safe_file(name)}"
        if plan.source is not None:
            with self.commands.timed(f"build {name}"):
                self.out.tables[name] = self.drawn(name)
                place.mkdir(parents=True, exist_ok=True)
                self.out.tables[name].to_parquet(place / f"{safe_file(name)}.parquet")
            return
        words = [f"count={plan.trainings}", f"seed={plan.seed}", f"build.dir={render(str(place))}"]
        words += [f"bounds.{key}=[{low},{high}]" for key, (low, high) in plan.bounds.items()]
        if plan.sampler == "adaptive":
            words += ["sampler=adaptive", *self.limits(), f"known={render(plan.known)}"]
            words += [f"{key}={value:g}" for key, value in (("rounds", plan.rounds), ("reach", plan.reach)) if value]
        words += self.packing(plan.trainings)
        unshown = [f"build.alike={LEAST}"]
        if plan.hours is not None:
            unshown += self.clock.words(self.to_compare(), len((FOUND, DEFAULT, BEST)))
        table = self.build(f"build {name}", name, *words, done=records(place), unshown=unshown)
        self.out.tables[name] = table
        done = int(records(place)())
        if done == plan.trainings or plan.hours is None:
            return
        over = f"hours={plan.hours:g} ended the trainings after {done} of {plan.trainings}"
        if len(table) < LEAST:
            raise UserError(f"{over}, and a predictor needs {LEAST}; the same command goes on, for as many hours")
        self.out.notes.append(f"{over}; the same command goes on with the others")

    def drawn(self, name: str) -> Table:
        """So many rows of the recorded table."""
        table = self.recorded(name)
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
        plan, sign = self.plan, table.setting.sign(table.main)
        rows, reach = np.zeros(0, dtype=np.int64), rounds.RECORDED
        # the whole space has whatever promises improvement
        later = 1.0 if self.whole(table.setting.name) else rounds.RECORDED
        known = rounds.known_names(plan.known, table.setting)
        for size in growth.checked_sizes(plan.trainings, plan.rounds):
            proposed = rounds.propose(
                self.space, table.codes[rows], table.column(table.main)[rows], size, plan.budget, known, plan.seed,
                pool=table.codes, bounds=plan.bounds, reach=reach, sign=sign,
            )  # fmt: skip
            rows, reach = np.concatenate([rows, table.index.find(proposed.codes)]), later
        return rows

    @cached_property
    def far(self) -> bool:
        """Whether the search for one setting, led by what other settings know, goes further than the trained architectures lie:
        chosen ones lie where it goes, unless they are of a table that holds but a part of the space."""
        plan, name = self.plan, self.plan.names[0]
        if len(plan.names) > 1 or plan.family != "auto" or not rounds.known_names(plan.known, settings.get(name)):
            return False
        return plan.sampler == "random" or (plan.source is not None and not self.whole(name))

    def fit(self, name: str) -> None:
        """A predictor, its errors from cross-validation."""
        file = safe_file(name)
        source, place = self.plan.place / f"sample-{file}" / f"{file}.parquet", self.plan.place / f"fit-{file}"
        words = [f"source={render(str(source))}", "protocol=all-rows", f"out={render(str(place))}"]
        if self.plan.family != "auto":
            words.append(f"predictor={self.plan.family}")
        else:
            words.append(f"predictor.known={render(self.plan.known)}")
            words += ["predictor.remainder=large"] if self.far else []
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
        named = {name: safe_file(name) for name in plan.names}
        files = {name: str(plan.place / f"fit-{file}" / f"{file}.safetensors") for name, file in named.items()}
        words = [f"objectives=[{','.join(plan.names)}]", f"predictors={render(files)}"]
        words += self.limits()
        if plan.start:
            words.append(f"start={plan.reference.text}")
        elif (surest := self.surest(files)) is not None:
            words.append(f"start={render(surest.text)}")
        words += [f"kappa={DOUBT:g}"] if self.far else []
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

    def surest(self, files: Mapping[str, str]) -> Any:
        """The trained architecture within the limits that the search would take: of the best prediction, made worse by its doubt.

        The search starts from it, so it ends there unless it is surer of something better. None of several settings, and where
        none is within the limits.
        """
        from ncp import predictors

        if len(self.plan.names) > 1:
            return None
        [name] = self.plan.names
        table, predictor = self.out.tables[name], predictors.load(files[name])
        cost, codes = self.space.cost(table.codes), np.asarray(table.codes)
        within = [np.asarray(getattr(cost, limit)) <= most for limit, most in self.plan.budget.items()]
        codes = codes[np.all(within, axis=0)] if within else codes
        if not len(codes):
            return None
        sign = table.setting.sign(table.main)
        mean, std = predictor.predict(codes)[table.main], predictor.predict_std(codes, noise=False)[table.main]
        sure = sign * mean - (DOUBT if self.far else 1.0) * std
        return self.space.parse(codes[int(sure.argmax())].tolist())


def values(space: spaces.Space[Any], by_name: Mapping[str, Any]) -> np.ndarray:
    """``(D,)`` integers from values by dimension or by how its name begins. Raises ``UserError`` where one is missing."""
    out = []
    for label in space.labels:
        value = by_name.get(label, next((v for k, v in by_name.items() if label.startswith(str(k))), None))
        if value is None:
            raise UserError(f"default must say something about every dimension; '{label}' is missing")
        out.append(int(value))
    return np.array(out)
