"""What the commands say: one line for a user's mistake, and the help, written from the comments in ``conf/``."""

from __future__ import annotations

import difflib
import errno
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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

from ncp import configs, runs, terminal
from ncp.commandline import override, shell_word
from ncp.errors import UserError
from ncp.files import printable
from ncp.jobs.composing import DEFAULT_SETTING

_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}
_CHOOSING = ("setting=", "task=", "data=", "recipe=", "data.root=")
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
    if found := re.match(r"Error merging override (([\w.]+)=.*)", str(error)):
        shown = f"'{found[1]}' does not fit: what stands there by default is of another shape"
        return f"{shown} (a list, or keys with values as in {found[2]}.KEY=VALUE); --help shows it"
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
    key, equals, value = error.override.partition("=")
    how = "overrides are key=value, quoted where the shell needs it"
    if equals and re.fullmatch(r"[\w./@+~-]+", key):
        how = f"to give a text with such signs, write {shell_word(override(key, value))}"
    return f"cannot read '{error.override}' ({reason}); {how}"


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


def first_line(module: Any) -> str:
    """What a command does, in one line: the first one of its ``run``."""
    return (module.run.__doc__ or "").strip().splitlines()[0]


def command_help(conf: Path, name: str, module: Any, given: Sequence[str] = ()) -> str:
    """The help of a command: what it does, and its examples and keys from ``conf/<name>.yaml`` itself.

    Of a training the keys of the setting's data, recipe and task are listed too; ``given`` words choose the setting.
    """
    lines = (conf / f"{name}.yaml").read_text().splitlines()
    opening = [line[2:].rstrip() for line in _leading_comments(lines) if not line.startswith("# @package")]
    keys = _sections(lines[len(_leading_comments(lines)) :], without=("defaults", "hydra"))
    parts = [
        first_line(module),
        f"Usage: {runs.invocation(name)} [KEY=VALUE ...] [GROUP=OPTION ...]",
        "\n".join(opening),
        "Keys and their defaults (conf/"
        + f"{name}.yaml):\n"
        + "\n".join("  " + line if line else "" for line in keys).rstrip(),
        _settings_help(name, keys),
        _groups_help(conf, lines),
        _parts_help(name, given),
        "More:\n"
        "  --cfg job             print the whole configuration and stop (with --resolve: its final values)\n"
        "  --multirun, -m        one run for each combination of KEY=A,B,...\n"
        f"  --config-dir FOLDER   further options and settings of your own (or ${configs.VARIABLE})\n"
        "  paths.outputs=FOLDER  where run folders are made (default: outputs)\n"
        '  shell completion      eval "$(ncp -sc install=bash)" (or zsh, fish), where ncp is installed\n'
        "Exit codes: 0 done, 2 a mistake in what was given (one line on stderr), 1 a mistake of ours, 130 or 143 interrupted.",
    ]
    return "\n\n".join(_spelled(part) for part in parts if part)


def _spelled(line: str) -> str:
    """Examples as they are typed here."""
    return re.sub(r"python -m src\.(\w+)", lambda found: runs.invocation(found[1]), line)


def _settings_help(name: str, keys: Sequence[str]) -> str:
    if not any(line.startswith("setting:") for line in keys):
        return ""
    from ncp.benchmark import settings

    lines = []
    for setting in settings.SETTINGS.values():
        if name in DEFAULT_SETTING and setting.real is None and setting.builtin is None:
            continue
        real = f"; data.root: {setting.real.data}" if setting.real and name in DEFAULT_SETTING else ""
        lines.append(f"  setting={setting.name:<20} {setting.task}: {setting.dataset}{real}")
    return "Settings (conf/setting/NAME.yaml, and those of your own folder):\n" + "\n".join(lines)


def _parts_help(name: str, given: Sequence[str]) -> str:
    """The keys that a setting's data, recipe and task bring, with their values."""
    if name not in DEFAULT_SETTING:
        return ""
    from ncp.jobs import composing

    config = composing.values(composing.compose(name, [word for word in given if word.startswith(_CHOOSING)]))
    lines = [
        f"  {override(key, value)}"
        for part in ("data", "recipe", "task")
        for key, value in _leaves(config[part], f"{part}.")
        if not key.endswith("._target_")
    ]
    return (
        f"Keys of setting={config['setting']} and their values (of another: --help setting=NAME data.root=...):\n"
        + "\n".join(lines)
    )


def known_keys(conf: Path, name: str) -> list[str]:
    """All keys of the command's default configuration, dotted."""
    from ncp.jobs import composing

    return [key for key, _ in _leaves(composing.values(composing.compose(name, (), conf)), with_groups=True)]


def _leaves(node: Mapping[str, Any], prefix: str = "", with_groups: bool = False) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            if with_groups:
                yield f"{prefix}{key}", None
            yield from _leaves(value, f"{prefix}{key}.", with_groups)
        else:
            yield f"{prefix}{key}", value


def say_error(message: str) -> None:
    """One line on stderr, and in the run's log where there is one."""
    line = f"error: {printable(message)}"
    terminal.say(line, stderr=True)
    log_to_file(line)


def log_to_file(text: str, level: int = logging.ERROR) -> None:
    """Write to the run's log alone, not to the terminal."""
    record = logging.LogRecord("ncp", level, __file__, 0, text.rstrip(), None, None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


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
