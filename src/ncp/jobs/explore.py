"""The explorer's page: ``ncp explore out=explorer.html``."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ncp
from ncp import files, progress, runs, terminal
from ncp.errors import UserError
from ncp.numeric import shown

if TYPE_CHECKING:
    from ncp.explore.describe import Given

MOST = 4 * 10**6
"""Bytes of the page: what a mail takes, and a phone loads at once."""


@dataclass
class Options:
    """``conf/explore.yaml``, where each is explained."""

    out: str | None = None
    predictors: Any = field(default_factory=list)
    latency: Any = field(default_factory=list)
    settings: Any = None
    open: Any = "auto"


@dataclass
class Outcome:
    """The page, its size in bytes, the settings in it, what to say of it, and whether a browser was asked to open it."""

    page: Path
    size: int
    settings: list[str]
    notes: list[str]
    opened: bool
    files: dict[str, Path]


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Write the page, and open it where there is a browser.

    Args:
        options: what is in the page.
        folder: where the files go; None for a new run folder.

    Raises:
        UserError: for a file that is no predictor or no latency model of this space, a setting that does not exist, or a page
            that would be larger than 4 MB.
    """
    from ncp.latency.storage import load as load_latency

    if options.open not in ("auto", True, False):
        raise UserError(f"open is auto, true or false, given was {shown(options.open)}")
    folder = runs.made(folder, "explore")
    out = Path(options.out) if options.out else folder / "explorer.html"
    with progress.bar("explore", after=1.0) as tell:
        machines = [(load_latency(file), file) for file in _listed(options.latency, "latency")]
        default = _predictors(options)
        notes: list[str] = []
        page = _page(default, _paper(default), machines)
        tell(0.7, "written")
        if len(page) > MOST and len(smaller := _page(default, [], machines)) <= MOST:
            page = smaller
            notes.append(
                "the paper's own strategies are left out: with their predictors the page would be larger than 4 MB"
            )
        if len(page) > MOST:
            raise UserError(
                f"the page would have {len(page) / 1e6:.1f} MB, more than {MOST / 1e6:g}; leave some predictors out, or name the "
                "bundled settings that you want: settings=[seg,cls]"
            )
        with files.writing(out, "give another out=FILE.html") as made:
            made.write_bytes(page)
    names = [given.predictor.setting for given in default]
    content = {
        "command": "explore", "version": ncp.__version__, "page": str(out), "bytes": len(page), "settings": names,
        "machines": [model.card.described() for model, _ in machines], "notes": notes, "seconds": {"total": runs.seconds()},
    }  # fmt: skip
    written = {"page": out, "result": runs.write_result(folder, content)}
    wanted = options.open is True or (options.open == "auto" and _has_browser())
    opened = wanted and webbrowser.open(out.resolve().as_uri())
    return Outcome(out, len(page), names, notes, opened, written)


def _listed(given: Any, name: str) -> list[str]:
    """A list of files, or one."""
    listed = [given] if isinstance(given, str) else list(given or []) if isinstance(given, Sequence) else [given]
    wrong = next((one for one in listed if not isinstance(one, str)), None)
    if wrong is not None:
        raise UserError(f"{name} is a list of files, such as {name}=[FILE.safetensors], given was {shown(given)}")
    return listed


def _predictors(options: Options) -> list[Given]:
    """The bundled ones of the settings that are asked for, and the user's; of a setting that both have, the user's."""
    from ncp.benchmark import settings
    from ncp.explore.describe import Given
    from ncp.predictors import load

    bundled = settings.PAPER if options.settings is None else [
        settings.full_name(name) for name in _listed(options.settings, "settings")
    ]  # fmt: skip
    unknown = next((name for name in bundled if name not in settings.PAPER), None)
    if unknown is not None:
        known = ", ".join(settings.PAPER)
        raise UserError(
            f"settings names '{files.shown(unknown)}', for which no predictor is bundled; bundled are {known}"
        )
    found: dict[str, Given] = {}
    for file in _listed(options.predictors, "predictors"):
        predictor = load(file)
        if not file.endswith(".safetensors"):
            raise UserError(
                f"predictors is a list of .safetensors files, given was {shown(file)}; bundled ones: settings=[seg]"
            )
        if predictor.setting in found:
            raise UserError(f"two of the given predictors are of the setting {predictor.setting}; give one of them")
        found[predictor.setting] = Given(predictor, file=file)
    # bundled ones first, in their own order
    first = [found.pop(name) if name in found else Given(load(name)) for name in bundled]
    return [*first, *found.values()]


def _paper(default: Sequence[Given]) -> list[Given]:
    """What the paper's strategies ask: for each bundled setting its main metric and the learned cost."""
    from ncp.benchmark import settings
    from ncp.explore.describe import Given, paper_part
    from ncp.predictors import load

    names = [given.predictor.setting for given in default]
    return [Given(paper_part(load(name, family="paper")), "paper") for name in names if name in settings.PAPER]


def _page(default: Sequence[Given], paper: Sequence[Given], machines: Sequence[Any]) -> bytes:
    from ncp.explore import bundle, describe

    block = describe.Arrays()
    content = describe.description([*default, *paper], machines, block)
    return bundle.page(content, block.joined()).encode()


def _has_browser() -> bool:
    """Whether there is a screen and somebody before it."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    if not sys.stdout.isatty():
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def show(outcome: Outcome, brief: bool = False) -> None:
    """Say where the page is and what is in it."""
    terminal.say(f"{outcome.size / 1e6:.1f} MB, with {', '.join(outcome.settings)}; it asks for nothing else")
    for note in outcome.notes:
        terminal.say(note)
    terminal.fields({name: terminal.relative(path) for name, path in outcome.files.items()}, 13)
    if not outcome.opened:
        terminal.say("open the page in any browser")
