"""Run folders: where a command leaves what it computed, and how an unfinished run is found again.

Every command writes ``outputs/<command>/<date>/<time>-<suffix>/``. Beside the results a folder holds

* ``run.json``: the command, its overrides, its state (:data:`STATES`) and a hash of its configuration;
* ``config.yaml``: the resolved configuration; ``<command>.log``: what was said, with times;
* ``.lock``: locked while a process works in the folder, so that no second one joins it; the system frees the lock when
  the process ends, however it ends.

Needs the standard library and :mod:`ncp.files`, so that any part may use it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ncp import files
from ncp.errors import UserError

try:
    import fcntl
except ImportError:  # Windows has no such locks; two runs are then told apart by their folders alone
    fcntl = None  # type: ignore[assignment]

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
    """Write strict JSON so that a reader sees the old file or the new one, never half of one.

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
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        raise UserError(
            f"no result at '{file}'; give a run folder that holds a {RESULT_FILE}, or such a file"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"'{file}' cannot be read as JSON ({error})") from None
    if not isinstance(content, dict):
        raise UserError(f"'{file}' is JSON, but not the result of a command")
    return content


def found_architecture(value: Any) -> Any:
    """Replace a run folder or its ``result.json`` by the architecture found there; anything else stays as it is.

    Raises ``UserError`` for a file without an architecture.
    """
    if not isinstance(value, (str, os.PathLike)):
        return value
    path = Path(value)
    if not (path.suffix == ".json" or path.is_dir()):
        return value
    architecture = read_result(path).get("architecture")
    if not isinstance(architecture, Mapping):
        raise UserError(f"'{path}' holds no architecture; give the run of a search, or an architecture.yaml")
    return dict(architecture)


def state(folder: Path) -> dict[str, Any]:
    """What ``run.json`` says, ``{}`` where there is none or it cannot be read."""
    try:
        content = json.loads((folder / STATE_FILE).read_text())
    except (OSError, ValueError):
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
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises ``UserError`` when another process works there."""
    with open(folder / LOCK_FILE, "a") as file:
        if not _try_lock(file):
            raise UserError(f"another run works in '{folder}'; wait for it or give another folder")
        yield


def in_use(folder: Path) -> bool:
    """Whether a process works in the folder now."""
    try:
        with open(folder / LOCK_FILE, "r+") as file:
            return not _try_lock(file)
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


def _try_lock(file: Any) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


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
