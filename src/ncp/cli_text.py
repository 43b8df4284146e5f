"""What the commands say: one line for a user's mistake, and the help, written from the comments in ``conf/``."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf.errors import (
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    UnsupportedInterpolationType,
    ValidationError,
)

from ncp.errors import UserError

_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}
_VALUE_ERRORS = (ValidationError, UnsupportedInterpolationType, InterpolationResolutionError)


def mistake(error: BaseException, composing: bool = False, known: Callable[[], list[str]] | None = None) -> str | None:
    """The line for a user's mistake; None where the mistake is ours and the traceback is wanted.

    Args:
        error: what was raised.
        composing: it was raised while Hydra read the command line and made the run folder, before the command's own code.
        known: gives the configuration's keys, to propose the one that was meant.
    """
    for cause in _causes(error):
        if isinstance(cause, UserError):
            return _one_line(str(cause))
        if isinstance(cause, MissingMandatoryValue):
            return _missing_value(cause)
        if isinstance(cause, OSError) and (cause.errno in _UNWRITABLE or (composing and cause.errno is not None)):
            return f"cannot write '{cause.filename}' ({cause.strerror}); give another folder with paths.outputs=..."
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    if isinstance(error, InstantiationException) and not composing:
        return _wrong_target(error)
    if isinstance(error, _VALUE_ERRORS) or (
        composing and isinstance(error, (HydraException, OmegaConfBaseException, ValueError))
    ):
        return _unknown_key(str(error), known) or _no_choice(str(error)) or _one_line(str(error))
    return None


def _no_choice(text: str) -> str | None:
    """A group of which one option must be chosen and none was."""
    found = re.match(r"You must specify '(\w+)'.*Available options:(.*)", text, re.DOTALL)
    return found and f"{found[1]} is missing: give {found[1]}=OPTION, one of {', '.join(found[2].split())}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _one_line(text: str) -> str:
    noise = ("See https://", "full_key:", "object_type=", "reference_type=")
    lines = [line.strip() for line in text.splitlines()]
    joined = ""
    for line in lines:
        if line and not line.startswith(noise):
            joined += ("" if not joined else " " if joined[-1] in ";:,." else "; ") + line
    return joined


def _missing_value(error: MissingMandatoryValue) -> str:
    key = getattr(error, "full_key", None) or "?"
    return f"'{key}' has no value; give one as {key}=..."


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if not group or not error.options:
        return _one_line(str(error))
    return f"no option '{option}' for '{group}'; options: {', '.join(sorted(error.options))}{_meant(option, list(error.options))}"


def _unreadable(error: OverrideParseException) -> str:
    reason = (
        _one_line(error.message).split(" expecting ")[0].removeprefix(f"Error parsing override '{error.override}'; ")
    )
    return f"cannot read '{error.override}' ({reason}); overrides are key=value, quoted where the shell needs it"


def _unknown_key(text: str, known: Callable[[], list[str]] | None) -> str | None:
    found = re.search(r"Could not (?:override|append|delete)[^']*'([^']+)'", text)
    if not found:
        return None
    key = re.split(r"[=@]", found.group(1))[0]
    return f"unknown key '{key}'{_meant(key, known() if known else [])}; --help lists the keys"


def _wrong_target(error: InstantiationException) -> str | None:
    """A class that does not exist, or an argument that it does not take: both come from the configuration."""
    text = str(error)
    if "Error locating target" in text or re.search(r"unexpected keyword argument|missing \d+ required", text):
        return _one_line(text)
    return None


def _meant(given: str, known: list[str]) -> str:
    """A hint at the known name that was probably meant: a sibling with a similar last part, else a similar whole."""
    parent, _, last = given.rpartition(".")
    siblings = {key.rpartition(".")[2]: key for key in known if key.rpartition(".")[0] == parent}
    close = difflib.get_close_matches(last, siblings, n=1, cutoff=0.6)
    best = siblings[close[0]] if close else None
    if best is None:
        best = next(
            iter(difflib.get_close_matches(given, [k for k in known if k not in siblings.values()], 1, 0.75)), None
        )
    return f"; did you mean '{best}'?" if best else ""


def command_help(conf: Path, name: str, function: Callable[..., Any]) -> str:
    """The help of a command: its docstring, its examples and its keys, the last two from ``conf/<name>.yaml`` itself."""
    lines = (conf / f"{name}.yaml").read_text().splitlines()
    opening = [line[2:].rstrip() for line in _leading_comments(lines) if not line.startswith("# @package")]
    keys = _sections(lines[len(_leading_comments(lines)) :], without=("defaults", "hydra"))
    parts = [
        f"{(function.__doc__ or '').strip()}",
        f"Usage: python -m src.{name} [KEY=VALUE ...] [GROUP=OPTION ...]",
        "\n".join(opening),
        "Keys and their defaults (conf/"
        + f"{name}.yaml):\n"
        + "\n".join("  " + line if line else "" for line in keys).rstrip(),
        _groups_help(conf, lines),
        "More:\n"
        "  --cfg job             print the whole configuration and stop (with --resolve: its final values)\n"
        "  --multirun, -m        one run for each combination of KEY=A,B,...\n"
        "  paths.outputs=FOLDER  where run folders are made (default: outputs)\n"
        "Exit codes: 0 done, 2 a mistake in what was given (one line on stderr), 1 a mistake of ours, 130 or 143 interrupted.",
    ]
    return "\n\n".join(part for part in parts if part)


def _leading_comments(lines: list[str]) -> list[str]:
    end = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:end]


def _sections(lines: list[str], without: tuple[str, ...]) -> list[str]:
    """The lines of a YAML file less some top-level keys and the comments right above them."""
    kept: list[str] = []
    pending: list[str] = []
    dropping = False
    for line in lines:
        if line.startswith("#") or not line.strip():
            pending.append(line)
        elif line[0].isspace() or line.startswith("-"):
            if not dropping:
                kept += [*pending, line]
            pending = []
        else:
            dropping = line.split(":")[0] in without
            if not dropping:
                kept += [*pending, line]
            pending = []
    while kept and not kept[0].strip():
        kept.pop(0)
    return kept


def _groups_help(conf: Path, lines: list[str]) -> str:
    """The config groups in the command's defaults: their options, each with its first comment, and the keys that the
    default option adds at the top level."""
    chosen = dict(
        re.findall(r"^\s+- (?:override )?/?([a-z_]+)(?:@[\w.]+)?: *(\S+)", "\n".join(lines), flags=re.MULTILINE)
    )
    out, keys = [], []
    for group, default in chosen.items():
        for file in sorted((conf / group).glob("*.yaml")):
            text = file.read_text().splitlines()
            comments = [line[1:].strip() for line in _leading_comments(text) if not line.startswith("# @package")]
            out.append(
                f"  {group}={file.stem:<{28 - len(group)}} {comments[0].rstrip(':') if comments else ''}".rstrip()
            )
            if file.stem == default and "# @package _global_" in text:
                body = _sections(text[len(_leading_comments(text)) :], without=("defaults", "hydra", group))
                keys.append(f"Keys of {group}={default}, the default:\n" + "\n".join(f"  {line}" for line in body))
    if not out:
        return ""
    return "\n\n".join(["Groups and their options (conf/GROUP/OPTION.yaml):\n" + "\n".join(out), *keys])
