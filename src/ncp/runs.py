"""Run folders: where a command leaves what it computed, and how an unfinished run is found again.

Every command writes ``outputs/<command>/<date>/<time>-<suffix>/``. Beside the results a folder holds

* ``run.json``: the command, its overrides, its state (:data:`STATES`) and a hash of its configuration;
* ``config.yaml``: the resolved configuration; ``<command>.log``: what was said, with times;
* ``.lock``: locked while a process works in the folder, so that no second one joins it; the system frees the lock when
  the process ends, however it ends.

Any part may use it: it needs nothing but :mod:`ncp.files` and, to read results, :mod:`ncp.results`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

from ncp import files, scratch
from ncp.errors import UserError

STATE_FILE = "run.json"
LOCK_FILE = ".lock"
HANDED_DOWN = "NCP_RUN_FOLDER"  # in the environment of processes that take part in another one's run
CONFIG_FILE = "config.yaml"  # resolved
RESULT_FILE = "result.json"
# "continued": another run's folder took over (``ckpt_path=auto``); its path stands under ``continued_in``
STATES = ("running", "finished", "failed", "interrupted", "continued")
UNFINISHED = ("running", "failed", "interrupted")
# what may differ between a run and its continuation
NOT_HASHED = ("hydra", "paths", "ckpt_path")
STATE_LIMIT = 2**20  # bytes of a run.json


class RunState(TypedDict, total=False):
    """What ``run.json`` holds; it may hold more."""

    command: str
    state: str
    hash: str
    overrides: list[str]
    started: str
    last_started: str
    ended: str
    error: str | None
    continued_in: str


_began = time.perf_counter()
_prefix = "ncp "


def start_clock() -> None:
    """Let :func:`seconds` count from now on: one job of several in a process begins."""
    global _began
    _began = time.perf_counter()


def seconds() -> float:
    """Seconds since the command (or the job of a multirun) began; elsewhere since this module was imported."""
    return time.perf_counter() - _began


def invoked_as(prefix: str) -> None:
    """Note how this process' commands are written: ``python -m src.`` in a clone, ``ncp`` and a blank where it is installed."""
    global _prefix
    _prefix = prefix


def invocation(command: str) -> str:
    """A command as its user would type it: ``python -m src.search`` or ``ncp search``."""
    return f"{_prefix}{command}"


def made(folder: str | Path | None, command: str) -> Path:
    """``folder``, made where it is not there yet; a new run folder of ``command`` for None."""
    if folder is None:
        return new_folder(command)
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


def new_folder(command: str, outputs: str | Path | None = None) -> Path:
    """Make a run folder for a command that is called as a function: ``<outputs>/<command>/<date>/<time>-<suffix>``.

    Args:
        command: its name.
        outputs: the folder of all outputs; None for ``$NCP_OUTPUTS``, else ``outputs`` here.
    """
    now = datetime.now()
    day = Path(outputs or os.environ.get("NCP_OUTPUTS") or "outputs") / command / f"{now:%Y-%m-%d}"
    while True:
        folder = day / f"{now:%H-%M-%S}-{suffix()}"
        with contextlib.suppress(FileExistsError):  # another one's of this second: draw again
            folder.mkdir(parents=True)
            return folder


def suffix() -> str:
    """Eight random hexadecimal digits: folders of thousands of runs that begin in one second still differ."""
    return secrets.token_hex(4)


def config_hash(config: Mapping[str, Any], folder: Path | None = None) -> str:
    """16 hexadecimal digits that are equal when two runs would compute the same.

    Args:
        config: the resolved configuration as plain dictionaries and lists. Paths, the checkpoint to resume from and
            Hydra's own keys are left out.
        folder: the run's own folder; values that hold its path count as equal in every run.
    """
    kept = {key: value for key, value in config.items() if key not in NOT_HASHED}
    text = json.dumps(kept, sort_keys=True, default=str)
    if folder is not None:
        for form in {str(folder), str(folder.resolve()), os.path.relpath(folder)}:
            text = text.replace(json.dumps(form)[1:-1], "<run>")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write strict JSON, whole or not at all.

    numpy scalars and arrays become numbers and lists, paths strings, numbers that are not finite ``null``.
    """
    return files.write_text(path, _text(content))


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(_plain(content), indent=2, allow_nan=False) + "\n"


def write_result(folder: Path, result: Mapping[str, Any]) -> Path:
    """Write ``result.json`` (its keys: docs/result.md) into a run folder and return its path."""
    return write_json(folder / RESULT_FILE, result)


def read_result(path: str | Path) -> dict[str, Any]:
    """The result that lies in a run folder, or in the file given. Raises ``UserError`` if there is none."""
    file = Path(path) / RESULT_FILE if Path(path).is_dir() else Path(path)
    if not os.path.lexists(file):
        raise UserError(
            f"no result at '{files.printable(file)}'; give a run folder that holds a {RESULT_FILE}, or such a file"
        )
    content: Any = files.read_json(file)
    if not isinstance(content, dict):
        raise UserError(f"'{files.printable(file)}' is JSON, but not the result of a command")
    where = f"the result '{files.printable(file)}'"
    from ncp import results  # with msgspec: what begins a run reads no result

    files.checked(content, results.AnyResult, where)
    if "objectives" in content:
        found: results.Found = files.checked(content, results.Found, where)
        for wanted in found.objectives:
            if wanted.metric not in found.predicted.get(wanted.setting, {}):
                raise UserError(f"{where} lacks the prediction of its objective '{files.shown(wanted.name)}'")
    return content


def found_architecture(value: Any) -> Any:
    """Replace a run folder or its ``result.json`` by the architecture found there; anything else stays as it is.

    Raises ``UserError`` for a file without an architecture.
    """
    if not isinstance(value, (str, os.PathLike)) or not str(value).strip():  # an empty text is no folder
        return value
    path = Path(value)
    if not (path.suffix == ".json" or path.is_dir()):
        return value
    architecture = read_result(path).get("architecture")
    if not isinstance(architecture, Mapping):
        raise UserError(
            f"'{files.printable(path)}' holds no architecture; give the run of a search, or an architecture.yaml"
        )
    return dict(architecture)


def jobs(folder: Path, file: str = STATE_FILE) -> list[Path]:
    """The folders of a multirun's jobs that hold ``file``, by number."""
    return sorted((found.parent for found in folder.glob(f"*/{file}")), key=lambda p: (len(p.name), p.name))


def state(folder: Path) -> dict[str, Any]:
    """What ``run.json`` says, ``{}`` where there is none, it cannot be read or is no state of a run."""
    try:
        content = files.read_json(folder / STATE_FILE, limit=STATE_LIMIT)
        files.checked(content, RunState, STATE_FILE)
    except UserError:
        return {}
    return content if isinstance(content, dict) else {}


def begin(folder: Path, command: str, digest: str, overrides: Sequence[str]) -> None:
    """Note that ``command`` works in ``folder`` from now on; a continued run keeps its first start."""
    now = datetime.now().isoformat(timespec="milliseconds")
    content = {
        "command": command,
        "state": "running",
        "hash": digest,
        "overrides": list(overrides),
        "started": state(folder).get("started", now),
        "last_started": now,
    }
    write_json(folder / STATE_FILE, content)


def mark(folder: Path, new_state: str, **more: Any) -> None:
    """Set the state of a run, with ``more`` keys such as ``error``."""
    assert new_state in STATES, new_state
    now = datetime.now().isoformat(timespec="milliseconds")
    content = {**state(folder), "state": new_state, "ended": now, **more}
    try:
        write_json(folder / STATE_FILE, content)
    except OSError:  # a full disk has no room beside the file, but mostly some in it
        with open(folder / STATE_FILE, "r+") as file:
            file.write(_text({key: value[:300] if isinstance(value, str) else value for key, value in content.items()}))
            file.truncate()


@contextlib.contextmanager
def locked(folder: Path, what: str = "another run") -> Iterator[None]:
    """Hold the folder's lock. Raises ``UserError`` when ``what`` works there in another process."""
    with open(folder / LOCK_FILE, "a") as file:
        if scratch.try_lock(file) is False:  # without locks two runs are told apart by their folders alone
            raise UserError(f"{what} works in '{files.printable(folder)}'; wait for it or give another folder")
        yield


def in_use(folder: Path) -> bool:
    """Whether a process works in the folder now."""
    try:
        with open(folder / LOCK_FILE, "r+") as file:
            return scratch.try_lock(file) is False
    except OSError:  # no process ever worked there
        return False


def find_unfinished(root: Path, command: str, digest: str, ignore: Path | None = None) -> Path | None:
    """The newest run of ``command`` under ``root`` that has the same hash, did not finish and is not at work.

    Args:
        root: the folder of all outputs; runs lie at ``<root>/<command>/<date>/<run>`` and jobs of a sweep one below.
        digest: see :func:`config_hash`.
        ignore: a folder to leave out (the new run's own).
    """
    found: list[tuple[str, Path]] = []
    for depth in ("*/*", "*/*/*"):
        for file in (root / command).glob(f"{depth}/{STATE_FILE}"):
            folder, content = file.parent, state(file.parent)
            if ignore is not None and folder.resolve() == ignore.resolve():
                continue
            if content.get("hash") == digest and content.get("state") in UNFINISHED:
                found.append((str(content.get("last_started", "")), folder))
    for _, folder in sorted(found, reverse=True):
        if not in_use(folder):
            return folder
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # numpy and torch, scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return str(value)
