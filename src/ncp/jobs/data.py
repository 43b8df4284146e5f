"""Look a data set of one's own over before anything trains: ``ncp data task=seg root=/data/mine``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from ncp import configs, files, progress, runs
from ncp import options as typed
from ncp.errors import UserError
from ncp.overrides import key_of, tasks_with, value_of

if TYPE_CHECKING:
    from ncp.data.folder.files import OwnData
    from ncp.data.folder.look import Look
    from ncp.data.folder.suggest import Suggestion
    from ncp.data.views import ViewData
    from ncp.jobs.data_views import Found

_OF_THE_MACHINE = ("_target_", "root", "cache", "workers")  # of the data, which are not the set's
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
    words: list[str] = field(default_factory=list)


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


def run(options: Options, folder: Path | None = None) -> Outcome | Found:
    """Look a data set of your own over: counts, sizes, balance, what is wrong or odd, and what recipe it suggests. Of rooms with
    several kinds of labels (:mod:`ncp.data.views`), built in or Taskonomy's, the counts and a picture.

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

    look = None if options.look == "all" else int(options.look)
    if (views := views_of(options)) is not None:
        from ncp.jobs import data_views

        return data_views.run(*views, look, options.samples, folder)
    data = data_of(options)
    name = None if options.setting is not None else name_of(options, data)
    folder = runs.made(folder, "data")
    with progress.bar(f"looking over {data.source}", after=1.0) as tell:
        found = look_over(data, look, tell)
    chosen = (
        [f"{part}.{key}" for part in ("data", "recipe") for key in given(options, part)] if not options.setting else []
    )
    outcome = Outcome(found, suggest(data, found, options.recipe, chosen))
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


def show(outcome: Outcome | Found, brief: bool = False) -> None:
    """Print what was found, what it suggests, and the commands that go on from it.

    Raises:
        UserError: at the end, where training could not work, with the reasons.
    """
    from ncp.report import data as report

    if not isinstance(outcome, Outcome):
        from ncp.jobs import data_views

        return data_views.show(outcome)
    report.show(outcome.look, outcome.suggestion, outcome.files)
    outcome.look.check()
    if outcome.setting_file is not None:
        report.show_setting(outcome.setting, outcome.setting_file)


def views_of(options: Options) -> tuple[type[ViewData], dict[str, Any]] | None:
    """Class and settings of a set of rooms with several kinds of labels; None for any other."""
    from ncp import registry
    from ncp.benchmark import settings as settings_of
    from ncp.data.base import DataModule
    from ncp.data.views import ViewData

    settings = dict(options.data)
    kind = registry.resolve(settings.pop("_target_"), "data", DataModule) if settings.get("_target_") else None  # type: ignore[type-abstract]
    if options.setting and settings.get("root") and settings.get("labels") is None:
        # files at hand need not have the labels of all tasks; the built-in rooms do
        settings["labels"] = settings_of.get(options.setting).task
    return (kind, settings) if kind is not None and issubclass(kind, ViewData) else None


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
        raise UserError(
            f"which data? give task=NAME ({', '.join(tasks_with('folder'))}) and root=FOLDER, or setting=NAME of your own"
        )
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

    given_name = options.name
    name = (
        setting_name(str(data.root), data.task)
        if given_name is None
        else files.safe_name(given_name, "name of a setting")
    )
    check_name(name)
    return name


def write_setting(name: str, options: Options, data: OwnData, outcome: Outcome, folder: Path) -> Path:
    """Write ``setting/NAME.yaml`` into the folder of configurations; its path."""
    from ncp.data.folder.setting import setting_text

    place = folder if options.out is None else Path(options.out).expanduser()
    changes = {"root": str(data.place.resolve()), **outcome.suggestion.data, **given(options, "data")}
    changes |= data.write_beside(place / "classes" / f"{name}.csv")
    change = {"data": changes, "recipe": {**outcome.suggestion.recipe, **given(options, "recipe")}}
    text = setting_text(name, data, outcome.look, recipe_of(options), change, outcome.suggestion.why)
    path = place / "setting" / f"{name}.yaml"
    with files.writing(path, "give out=FOLDER") as scratch:
        scratch.write_bytes(text.encode("utf-8", "backslashreplace"))
    return path


def check_name(name: str) -> None:
    """Refuse the name of a shipped setting."""
    from ncp.benchmark import settings

    if name in settings.shipped() or name in settings.SHORT:
        raise UserError(f"name={name} is a shipped setting, whose tables would be mixed up; give another name=...")


def recipe_of(options: Options) -> str:
    """The option of the group ``recipe``: the user's, else that of folders of one's own."""
    return value_of(options.words, "recipe") or f"folder/{_task(options)}"


def given(options: Options, part: str) -> dict[str, Any]:
    """What the user chose of the options of ``data`` or ``recipe``: those that were typed, or differ from the option's file."""
    option = f"folder/{_task(options)}" if part == "data" else recipe_of(options)
    path = configs.option_file(part, option)
    defaults = (files.read_yaml(path) if path is not None else None) or {}
    words = [key_of(word).split(".") for word in options.words]
    written = {word[1] for word in words if len(word) > 1 and word[0] == part}
    chosen = {
        key: value
        for key, value in getattr(options, part).items()
        if key in written or (value != defaults.get(key) and key != "source")
    }
    return {key: value for key, value in chosen.items() if key not in _OF_THE_MACHINE}


def _task(options: Options) -> str:
    return str(options.data["_target_"]).split(".")[-2]
