"""What the commands say: the help, written from the comments in ``conf/``, and one line for a mistake."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncp import configs, runs, terminal
from ncp.commandline import override
from ncp.files import printable
from ncp.jobs import composing
from ncp.jobs.composing import DEFAULT_SETTING, leaves

_CHOOSING = ("setting=", "task=", "data=", "recipe=", "data.root=")


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
        f"  --config-dir FOLDER   further options and settings of your own (or ${configs.VARIABLE}, which may list several)\n"
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
    config = composing.values(
        composing.compose(name, [word for word in given if word.startswith(_CHOOSING)]), whole=False
    )
    lines = [
        f"  {override(key, value)}"
        for part in ("data", "recipe", "task")
        for key, value in leaves(config[part], f"{part}.")
        if not key.endswith("._target_")
    ]
    return (
        f"Keys of setting={config['setting']} and their values (of another: --help setting=NAME data.root=...):\n"
        + "\n".join(lines)
    )


def say_error(message: str) -> None:
    """One line on stderr, and in the run's log where there is one."""
    line = f"error: {' '.join(printable(message).splitlines())}"
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
        for file in sorted((conf / group).glob("**/*.yaml")):
            option = file.relative_to(conf / group).with_suffix("").as_posix()
            text = file.read_text().splitlines()
            comments = [line[1:].strip() for line in _leading_comments(text) if not line.startswith("# @package")]
            out.append(f"  {group}={option:<{28 - len(group)}} {comments[0].rstrip(':') if comments else ''}".rstrip())
            if file.stem == default and "# @package _global_" in text:
                body = _sections(text[len(_leading_comments(text)) :], without=("defaults", "hydra", group))
                keys.append(f"Keys of {group}={default}, the default:\n" + "\n".join(f"  {line}" for line in body))
    if not out:
        return ""
    return "\n\n".join(["Groups and their options (conf/GROUP/OPTION.yaml):\n" + "\n".join(out), *keys])
