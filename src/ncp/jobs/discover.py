"""From your data to a network designed for it: ``ncp discover task=seg data=folder data.root=... trainings=40``."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from msgspec import Meta

from ncp import configs, runs, spaces
from ncp.benchmark import settings
from ncp.campaign import choosing, growth
from ncp.campaign.discovery import check_budget, cost_of
from ncp.card import PAPER as EXPORTED
from ncp.commandline import override, shell_word
from ncp.errors import UserError
from ncp.files import printable, read_bytes, read_yaml, safe_file
from ncp.jobs.discovering import carry_out
from ncp.jobs.discovery_plan import DiscoveryPlan, Outcome
from ncp.numeric import several
from ncp.overrides import key_of
from ncp.process import environment
from ncp.tasks.options import TrainOptions

log = logging.getLogger(__name__)
__all__ = ["Options", "Outcome", "run", "show"]
Count = Annotated[int, Meta(ge=1, le=10**9)]


@dataclass(kw_only=True)
class Options(TrainOptions):
    """``conf/discover.yaml``, where each is explained; what a training is told is forwarded to every training."""

    trainings: Count = 40
    budget: dict[str, Any] = field(default_factory=dict)
    sampler: Literal["random", "adaptive"] = "adaptive"
    rounds: Count | None = None
    reach: Annotated[float, Meta(ge=1)] | None = None
    known: Any = "all"
    bounds: dict[str, Any] = field(default_factory=dict)
    source: str | None = None
    repeats: Count = 2
    baseline: str | None = "auto"
    full: list[str] = field(default_factory=list)
    hours: Annotated[float, Meta(gt=0)] | None = None
    per_device: Count | Literal["auto"] = "auto"
    dir: str | None = None
    outputs: str = "outputs"
    words: list[str] = field(default_factory=list)


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Train a few dozen architectures on a setting's data, learn from them which one to build, train that one and compare it.

    Args:
        options: the setting or the data, how many trainings, the limits.
        folder: of the page, ``result.json`` and the exported network; None for a new run folder.

    Raises:
        UserError: for data that cannot be trained on, limits that cannot be met, or a step that fails, with its command.
    """
    _check_recorded(options)
    _check_trainings(options)
    began = time.monotonic()
    folder = runs.made(folder, "discover").resolve()
    kept = [word for word in options.words if key_of(word).split(".")[0] not in OWN]
    if options.setting is not None:
        plan = plan_of(options, settings.get(options.setting), kept, _place(options, options.setting))
        mine = os.pathsep.join(map(str, configs.own()))
        return carry_out(replace(plan, began=began, prefix=_prefix(mine) if mine else ""), folder)
    own = looked_over(options, kept)
    rest = [word for word in kept if key_of(word) not in WRITTEN]
    with environment(**{configs.VARIABLE: own.configs}):
        if not own.new:
            _check_unchanged(own)
        plan = plan_of(options, settings.get(own.setting), [f"setting={own.setting}", *rest], own.place)
        plan = replace(plan, began=began, prefix=_prefix(own.configs), samples=own.place / LOOK / "samples.png")
        outcome = carry_out(plan, folder)
    outcome.files["setting"] = own.file
    return outcome


def plan_of(options: Options, setting: settings.Setting, words: Sequence[str], place: Path) -> DiscoveryPlan:
    """What a discovery in one setting does. Raises ``UserError`` for bounds or limits that the space does not have."""
    from ncp.campaign import rounds

    space = spaces.get(setting.space)
    known = "none" if options.known is None else options.known
    rounds.known_names(known, setting)  # asked for again by later steps, after trainings
    lower, upper = choosing.limits(space, options.bounds)
    if options.source is None:
        with _called_trainings():
            choosing.check_enough(space, lower, upper, options.trainings)
    reference = space.decode(np.clip(space.encode([space.default()]), lower, upper))[0]
    budget = check_budget(space, options.budget, options.bounds) or {"macs": float(cost_of(space, reference))}
    return DiscoveryPlan(
        names=(setting.name,),
        words={setting.name: words},
        trainings=options.trainings,
        budget=budget,
        reference=reference,
        place=place,
        bounds=options.bounds,
        sampler=options.sampler,
        rounds=options.rounds,
        reach=options.reach,
        known=known,
        source=options.source,
        repeats=options.repeats,
        baseline=_baseline(options.baseline, setting.task),
        full=options.full,
        seed=options.seed,
        per_device=options.per_device,
        exports=setting.task in EXPORTED,
        hours=options.hours,
        tried=options.source is None,
    )


def _baseline(wanted: str | None, task: str) -> str | None:
    """The hand-designed network to compare with; none of a task that has none unless one is asked for by name."""
    if task in EXPORTED or wanted in (None, "auto"):
        return wanted if task in EXPORTED else None
    raise UserError(
        f"task={task} has no hand-designed networks to compare with, given was baseline={wanted}; leave it out"
    )


# keys of the command itself; all others are the trainings'
OWN = (
    "trainings", "budget", "sampler", "rounds", "reach", "known", "bounds", "source", "repeats", "baseline", "full", "hours",
    "per_device", "dir", "seed", "paths", "hydra",
)  # fmt: skip
# of the command's own keys those that nothing but trainings has a use for
OF_TRAININGS = ("reach", "hours", "per_device", "repeats", "baseline", "full")
# what of a data set of one's own its setting's file says
WRITTEN = ("setting", "task", "data", "data.root", "data.classes_file")
MOST_LISTED = 2**28  # bytes of a list of files
LOOK = "look"  # where the look at the data lies in the discovery's folder
# keys on which no training that is already done depends
ADDED = ("hours", "per_device", "dir", "repeats", "baseline")


@contextlib.contextmanager
def _called_trainings() -> Iterator[None]:
    """Errors about what a build calls count."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace("count", "trainings")) from None


def _check_trainings(options: Options) -> None:
    """Refuse numbers of trainings and rounds that cannot be, before the data is looked at."""
    if options.sampler == "adaptive":
        with _called_trainings():
            growth.checked_sizes(options.trainings, options.rounds)
    elif options.rounds is not None or options.reach is not None:
        name = "rounds" if options.rounds is not None else "reach"
        raise UserError(f"{name} is for sampler=adaptive, given was {name}={getattr(options, name):g}")
    elif options.trainings < growth.LEAST:
        raise UserError(f"a predictor needs {growth.LEAST} trainings or more, given was trainings={options.trainings}")


def _check_recorded(options: Options) -> None:
    """Refuse words that would do nothing where rows of a table stand for trainings."""
    if options.source is None:
        return
    keys = [key_of(word) for word in options.words]
    idle = [key for key in keys if key in OF_TRAININGS or (key.split(".")[0] not in OWN and key != "setting")]
    if idle:
        raise UserError(
            f"{idle[0]} is of trainings, and with source={options.source} rows of a recorded table stand for them: leave "
            f"{'it' if len(idle) == 1 else ', '.join(idle)} out, or leave source out to train"
        )


class OwnSetting(NamedTuple):
    """A data set of one's own: its setting, where that is written down, the folders of configurations with it, and whether this
    start wrote it."""

    setting: str
    file: Path
    place: Path
    configs: str
    new: bool


def looked_over(options: Options, words: Sequence[str]) -> OwnSetting:
    """Look the user's data over and write its setting down, unless an earlier start of the same discovery did.

    Raises:
        UserError: for data that cannot be trained on, with the reasons, or that is not a folder of the user's own.
    """
    from ncp import jobs
    from ncp.data.folder.setting import setting_name

    root, kind = options.data.get("root"), str(options.data.get("_target_", ""))
    if not root or not kind.startswith("ncp.data.folder."):
        raise UserError("which setting? give setting=NAME, or your own images: task=... data=folder data.root=FOLDER")
    place = _place(options, setting_name(str(root), kind.split(".")[-2]))
    mine = place / "conf"
    if found := sorted(mine.glob("setting/[!.]*.yaml")):  # one that begins with a point was being written
        _check_same(found[0], str(root), place)
        log.info("the data's setting is %s, as an earlier start wrote it", found[0])
        return OwnSetting(found[0].stem, found[0], place, configs.with_further(mine), new=False)
    about = [word for word in words if key_of(word).split(".")[0] in ("task", "data")]
    (place / LOOK).mkdir(parents=True, exist_ok=True)
    looked = jobs.module("data").run(jobs.options("data", *about, override("out", mine)), place / LOOK)
    looked.look.check()
    return OwnSetting(looked.setting, looked.setting_file, place, configs.with_further(mine), new=True)


def _check_same(file: Path, root: str, place: Path) -> None:
    """Refuse a folder that an earlier discovery of other data has, or one that holds more than a discovery writes.

    What lies there counts as the user's own configuration, whose classes are imported, and the folder may have been received.
    """
    shown, mine = printable(place), place / "conf"
    written = {Path("setting") / f"{file.stem}.yaml", Path("classes") / f"{file.stem}.csv"}
    every = (path for path in mine.rglob("[!.]*") if not path.is_dir())
    more = sorted(path for path in every if path.relative_to(mine) not in written)
    content = read_yaml(file)
    if more or _names_classes(content):
        what = f"'{printable(more[0])}'" if more else f"a class (_target_) in '{printable(file)}'"
        raise UserError(f"dir='{shown}' holds {what}, which no discovery writes; remove it, or give another dir")
    there: Any = content
    for key in ("real", "change", "data", "root"):
        there = there.get(key) if isinstance(there, dict) else None
    if there != str(Path(root).expanduser().resolve()):
        raise UserError(
            f"dir='{shown}' holds a discovery of other data ({printable(str(there))}); give another dir, or none"
        )


def _check_unchanged(own: OwnSetting) -> None:
    """Refuse data whose files are others than when the discovery began: its trainings could not be compared."""
    from ncp import jobs
    from ncp.data.folder.files import SPLITS, split_file

    data = jobs.module("data").data_of(jobs.options("data", f"setting={own.setting}"))
    data.look_for().check()
    lists = [own.place / LOOK / split_file(split) for split in SPLITS]
    if not all(path.is_file() for path in lists):
        return
    # whichever split they are in: that follows from the names, and from options that the setting holds
    then = {line for path in lists for line in read_bytes(path, MOST_LISTED).split(b"\n") if line}
    now = {line for split in SPLITS for line in data.lines(split)}
    if then != now:
        raise UserError(
            f"data.root='{printable(data.root)}' has changed since this discovery began ({several(len(now - then), 'file')} "
            f"more, {several(len(then - now), 'file')} less, first: {printable(os.fsdecode(min(then ^ now)))}), so its trainings "
            "could not be compared: give dir=FOLDER to begin anew, or put the files back"
        )


def _names_classes(content: Any) -> bool:
    """Whether a key of a configuration is one by which a class or a function is named, at any depth."""
    if isinstance(content, dict):
        return any(str(key).startswith("_") or _names_classes(value) for key, value in content.items())
    return isinstance(content, list) and any(map(_names_classes, content))


def _prefix(folders: str) -> str:
    """Before a command line: where it finds settings of one's own."""
    return f"{configs.VARIABLE}={shell_word(folders)} "


def _place(options: Options, name: str) -> Path:
    """Where the builds lie: the same for the same words, whatever decides about time or the number of comparisons alone."""
    if options.dir is not None:
        return Path(options.dir).expanduser().resolve()
    words = sorted(word for word in options.words if key_of(word) not in ADDED)
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:8]
    return (Path(options.outputs) / "discover" / f"{safe_file(name)}-{digest}").resolve()


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print what came of it, and where the page is."""
    from ncp.report import discovery as report

    report.show(outcome.discovery, outcome.files)
