"""The end of a discovery: the found architecture trained in full and compared with others, or judged, and exported."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import runs
from ncp.benchmark import settings
from ncp.campaign.discovery import FOUND, cost_of
from ncp.commandline import command_line
from ncp.commandline import hydra_value as render
from ncp.errors import UserError
from ncp.files import read_text, safe_file, write_text
from ncp.jobs import hours
from ncp.jobs.discovery_plan import DiscoveryPlan, Trainer, records

if TYPE_CHECKING:
    from ncp.benchmark.table import Table
    from ncp.predictors.answers import AnyPredictor


BASELINE = "compare baseline"  # a step
LISTED, LIMIT = "candidates.txt", 2**20  # the file of the compared architectures, and its size at most
OF_EACH = 3.0  # trainings of the candidates with one seed
SOME = 200  # architectures drawn to see whether a table holds the whole space


class Comparing(Trainer):
    """Trains the candidates anew."""

    def __init__(self, plan: DiscoveryPlan, folder: Path) -> None:
        super().__init__(plan, folder)
        self._recorded: dict[str, Table] = {}
        self.seeds = plan.repeats  # with which the candidates were trained: fewer where the hours ended

    def compare(self, candidates: Mapping[str, Any]) -> None:
        """The candidates, trained anew with the same seeds; of a recorded table, as its judge sees them."""
        self.out.candidates = dict(candidates)
        self.out.macs = {name: cost_of(self.space, architecture) for name, architecture in candidates.items()}
        if self.plan.source is not None:
            self.judge(candidates)
            return
        self.commands.already({s: n for name in self.plan.names for s, n in self.done_before(name).items()})
        listed = self.plan.place / LISTED
        write_text(listed, "".join(f"{architecture.text}  # {name}\n" for name, architecture in candidates.items()))
        for setting in self.plan.names:
            scores: dict[str, list[float]] = {name: [] for name in candidates}
            repeats = 0
            for repeat in range(self.plan.repeats):
                place = self.compared(setting, repeat)
                networks = {one.text: float(self.out.macs[name]) for name, one in candidates.items()}
                to_do = [] if records(place)() >= len(networks) else list(networks.values())
                if repeat and self.over(to_do, f"the comparison after {repeat} of {self.plan.repeats} seeds"):
                    self.commands.leave_out(self.comparison(setting, r) for r in range(repeat, self.plan.repeats))
                    break
                repeats += 1
                words = [f"build.architectures={render(str(listed))}", f"build.dir={render(str(place))}"]
                words += [f"seed={self.seed_of(repeat)}", *self.packing(len(candidates)), *self.plan.full]
                if self.plan.exports:
                    words.append("keep=last")
                table = self.build(
                    self.comparison(setting, repeat), setting, *words, done=records(place), compared=True
                )
                for name, architecture in candidates.items():
                    if architecture in table:
                        scores[name].append(table.query(architecture).metrics[table.main])
            self.seeds = repeats
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

    def over(self, macs: Sequence[float], what: str) -> bool:
        """Whether the hours leave no time for compared trainings of so many multiply-adds, which is noted."""
        if not self.clock.too_short(macs):
            return False
        self.out.notes.append(f"hours={self.plan.hours:g} ended {what}; the same command goes on with the others")
        return True

    def compared(self, setting: str, repeat: int) -> Path:
        """Where the candidates are trained; another one for others, as a later fit on another machine may find."""
        digest = _digest([*self.texts(), *self.plan.full])
        return self.plan.place / f"compare-{safe_file(setting)}-{self.seed_of(repeat)}-{digest}"

    def texts(self) -> list[str]:
        """The candidates; before there are any those of an earlier start, which this one will likely find again."""
        if self.out.candidates:
            return [candidate.text for candidate in self.out.candidates.values() if not isinstance(candidate, str)]
        with contextlib.suppress(UserError):  # there was none, or its file has been damaged
            return [line.split()[0] for line in read_text(self.plan.place / LISTED, LIMIT).splitlines() if line.strip()]
        return []

    def done_before(self, setting: str) -> dict[str, float]:
        """Step -> how many of its compared trainings lie there already."""
        plan, every = self.plan, len(set(self.texts()))
        done = [records(self.compared(setting, repeat))() for repeat in range(plan.repeats)]
        out = {self.comparison(setting, r): OF_EACH if n >= every > 0 else n for r, n in enumerate(done)}
        if plan.baseline is not None:
            name, _ = self.hand_designed(plan.baseline, float(cost_of(self.space, plan.reference)))
            for repeat in range(plan.repeats):
                there = (self.baseline_place(setting, name, repeat) / runs.RESULT_FILE).is_file()
                out[self.again(BASELINE, repeat)] = float(there)
        return out

    def baseline_place(self, setting: str, name: str, repeat: int) -> Path:
        """Where a hand-designed network is trained."""
        return self.plan.place / f"compare-{safe_file(setting)}-{name}-{self.seed_of(repeat)}-{_digest(self.plan.full)}"

    def baseline(self, wanted: str) -> None:
        """A hand-designed network under the same head and recipe, trained with the same seeds, as often as the others."""
        from ncp.models.setups import POINTPILLARS

        [setting], plan = self.plan.names, self.plan
        name, macs = self.hand_designed(wanted, float(self.out.macs[FOUND]))
        arch = [f"arch={'pointpillars' if name in POINTPILLARS else 'timm'}", f"arch.name={name}"]
        scores: list[float] = []
        self.commands.leave_out(self.again(BASELINE, r) for r in range(self.seeds, plan.repeats))
        for repeat in range(self.seeds):
            seed = self.seed_of(repeat)
            place = self.baseline_place(setting, name, repeat)
            earlier = hours.trained_for(place)
            if self.over(
                [] if earlier else [float(macs)], f"the comparison after {repeat} of {self.seeds} trainings of {name}"
            ):
                self.commands.leave_out(self.again(BASELINE, r) for r in range(repeat, plan.repeats))
                break
            words = [*self.training(setting), *arch, f"seed={seed}", *plan.full, "keep=last", "ckpt_path=auto"]
            words.append("callbacks.pictures=false")
            step = self.again(BASELINE, repeat)
            try:
                trained = self.commands.run(step, "train", *words, place=place)
            except UserError as error:  # the page is worth more than this one
                self.out.notes.append(f"the hand-designed {name} is not compared further: {error}")
                break
            seconds = earlier or trained.result["seconds"]["training"]
            self.out.training_hours[step] = seconds / 3600
            self.clock.compared.append((float(macs), seconds))
            scores.append(trained.metrics[settings.get(setting).main])
        if not scores:
            return
        self.out.candidates[name], self.out.macs[name] = name, macs
        self.out.scores[name] = {setting: np.array(scores)}

    def hand_designed(self, wanted: str, otherwise: float) -> tuple[str, int]:
        """The network to compare with and its multiply-adds, like those of the limit, or ``otherwise`` where there is none."""
        from ncp.tasks import likecost

        [setting], plan = self.plan.names, self.plan
        limit = plan.budget.get("macs", otherwise)
        task = settings.get(setting).task
        return likecost.choose(task, limit, plan.reference, None if wanted == "auto" else [wanted])

    def recorded(self, name: str) -> Table:
        """The recorded table, whole."""
        from ncp.jobs.fit import tables

        if name not in self._recorded:
            [self._recorded[name]] = tables(name, None if self.plan.source == "table" else self.plan.source)
        return self._recorded[name]

    def judge_of(self, name: str) -> AnyPredictor | None:
        """Who knows candidates that were not drawn: the bundled predictor, else None where the table holds the whole space.

        Raises:
            UserError: where there is neither.
        """
        from ncp import predictors

        try:
            return predictors.load(name)
        except UserError:
            if self.whole(name):
                return None
            raise

    def whole(self, name: str) -> bool:
        """Whether the recorded table holds the whole space, as far as ``SOME`` architectures tell."""
        table, some = self.recorded(name), self.space.sample(SOME, np.random.default_rng(0))
        return all(architecture in table for architecture in some)

    def judge(self, candidates: Mapping[str, Any]) -> None:
        """What the bundled predictors, which know all rows of the recorded tables, or these themselves say of the candidates."""
        for name in self.plan.names:
            judge = self.judge_of(name)
            table = self.out.tables[name] if judge is not None else self.recorded(name)
            for candidate, architecture in candidates.items():
                if judge is None or architecture in table:
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


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:6]
