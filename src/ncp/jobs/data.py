"""Look a data set of one's own over before anything trains: ``ncp data task=seg root=/data/mine``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from ncp import options as typed
from ncp import progress, runs
from ncp.errors import UserError

if TYPE_CHECKING:
    from ncp.data.folder.files import OwnData
    from ncp.data.folder.look import Look
    from ncp.data.folder.suggest import Suggestion

Samples = Annotated[int, Meta(ge=0, le=64)]
__all__ = ["Options", "Outcome", "run", "show"]


@dataclass
class Options:
    """``conf/data.yaml``, where each is explained."""

    setting: str | None = None
    task: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    look: Annotated[int, Meta(ge=1)] | Literal["all"] = 1000
    samples: Samples = 8
    name: str | None = None
    out: str | None = None


@dataclass
class Outcome:
    """What was found.

    Attributes:
        look: at the set.
        suggestion: for its data and recipe.
        setting: the name of the setting that was written; empty where the set cannot be trained on.
        setting_file: where it lies.
        files: name -> file of what was written.
    """

    look: Look
    suggestion: Suggestion
    setting: str = ""
    setting_file: Path | None = None
    files: dict[str, Path] = field(default_factory=dict)


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Look a data set of your own over: counts, sizes, balance, what is wrong or odd, and what recipe it suggests.

    Args:
        options: which set, and how closely.
        folder: where the files go; None for a new run folder.

    Raises:
        UserError: where there is no such folder or task. What keeps a set from being trained on is in the outcome, which
            :func:`show` ends with.
    """
    from ncp.data.folder.look import look_over
    from ncp.data.folder.suggest import suggest
    from ncp.report import data as report

    data = data_of(options)
    name = None if options.setting is not None else name_of(options, data)
    folder = runs.made(folder, "data")
    look = None if options.look == "all" else int(options.look)
    with progress.bar(f"looking over {data.source}", after=1.0) as tell:
        found = look_over(data, look, tell)
    outcome = Outcome(found, suggest(data, found, options.recipe))
    outcome.files = report.write(data, found, folder, options.samples)
    if not found.problems:
        data.describe(folder)
    if not found.problems and name is not None:
        outcome.setting, outcome.setting_file = name, write_setting(name, options, data, outcome, folder)
        outcome.files["setting"] = outcome.setting_file
    result = {
        **found.plain(),
        "suggestion": {
            "data": outcome.suggestion.data,
            "recipe": outcome.suggestion.recipe,
            "why": outcome.suggestion.why,
        },
        "setting": outcome.setting or options.setting,
        "setting_file": str(outcome.setting_file) if outcome.setting_file else None,
    }
    outcome.files["result"] = runs.write_result(folder, result)
    return outcome


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print what was found, what it suggests, and the commands that go on from it.

    Raises:
        UserError: at the end, where training could not work, with the reasons.
    """
    from ncp.data.problems import Problems
    from ncp.report import data as report

    report.show(outcome.look, outcome.suggestion, outcome.files)
    if outcome.look.problems:
        problems = Problems(f"data.root='{outcome.look.root}' cannot be trained on: it")
        problems.found = list(outcome.look.problems)
        problems.check()
    if outcome.setting_file is not None:
        report.show_setting(outcome.setting, outcome.setting_file)


def data_of(options: Options) -> OwnData:
    """The data module of a set of one's own, not prepared.

    Raises:
        UserError: for another data set, or options that it does not have.
    """
    from ncp import registry
    from ncp.data.base import DataModule
    from ncp.data.folder.files import OwnData

    settings = dict(options.data)
    if not settings.get("_target_"):
        raise UserError("which data? give task=cls, seg, det3d or video and root=FOLDER, or setting=NAME of your own")
    kind = registry.resolve(settings.pop("_target_"), "data", DataModule)  # type: ignore[type-abstract]
    if not issubclass(kind, OwnData):
        raise UserError(
            f"{kind.__name__} is a data set of a known layout, which its own checks look over; src.data looks at your own "
            "folders: task=... root=FOLDER"
        )
    data: OwnData = typed.call(kind, settings, "data")
    return data


def name_of(options: Options, data: OwnData) -> str:
    """What the setting will be called.

    Raises:
        UserError: for a name that is taken by a shipped setting, or cannot be one.
    """
    from ncp.data.folder.setting import setting_name
    from ncp.files import safe_name

    given = options.name
    name = setting_name(str(data.root), data.task) if given is None else safe_name(given, "name of a setting")
    check_name(name)
    return name


def write_setting(name: str, options: Options, data: OwnData, outcome: Outcome, folder: Path) -> Path:
    """Write ``setting/NAME.yaml`` into the folder of configurations; its path."""
    from ncp.data.folder.files import resolved_root
    from ncp.data.folder.setting import setting_text
    from ncp.files import writing

    place = folder if options.out is None else Path(options.out).expanduser()
    changes = {"root": str(resolved_root(data)), **_given(options.data), **outcome.suggestion.data}
    changes |= data.write_beside(place / "classes" / f"{name}.csv")
    text = setting_text(name, data, outcome.look, changes, outcome.suggestion)
    path = place / "setting" / f"{name}.yaml"
    with writing(path, "give out=FOLDER") as scratch:
        scratch.write_bytes(text.encode("utf-8", "backslashreplace"))
    return path


def check_name(name: str) -> None:
    """Refuse the name of a shipped setting."""
    from ncp.benchmark import settings

    if name in settings.shipped() or name in settings.SHORT:
        raise UserError(f"name={name} is a shipped setting, whose tables would be mixed up; give another name=...")


def _given(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the user chose of the data's options: those that differ from its file."""
    from ncp import configs, files

    task = str(data["_target_"]).split(".")[-2]
    defaults = files.read_yaml(configs.shipped() / "data" / "folder" / f"{task}.yaml")
    left = ("_target_", "root", "workers", "eval_batch", "cache")
    return {key: value for key, value in data.items() if key not in left and value != defaults.get(key)}
