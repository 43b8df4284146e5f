"""A setting file for a data set of one's own (see :mod:`ncp.benchmark.settings`), as text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ncp import runs
from ncp.data.folder.files import OwnData
from ncp.data.folder.look import Look
from ncp.data.folder.suggest import metrics_of
from ncp.files import printable
from ncp.metrics.kitti_names import MAIN, names_of
from ncp.numeric import several


def setting_name(root: str, task: str) -> str:
    """A name of a folder's: letters, digits and ``. _ -``, with the task behind it where it would be too short or a task's."""
    made = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(root).expanduser().resolve().name).strip("-._").lower()[:60]
    return f"{made}-{task}" if made else f"own-{task}"


def told_metrics(task: str, classes: Sequence[str]) -> list[str]:
    """What a training of the task measures on these classes, the main metric first."""
    lower = [name.lower() for name in classes]
    return metrics_of(task, [MAIN, *(name for name in names_of(lower) if name != MAIN)])


def setting_text(
    name: str,
    data: OwnData,
    found: Look,
    recipe: str,
    change: Mapping[str, Mapping[str, Any]],
    why: Sequence[str],
) -> str:
    """The file's content: what differs from the options of ``data`` and ``recipe``, with the reasons ``why`` as comments."""
    counts = f"{found.files.get('train', 0):,} training and {several(found.files.get('val', 0), 'validation file')}"
    what = f"{several(len(found.classes), 'class', 'classes')}, {counts}"
    differing = {part: dict(values) for part, values in change.items() if values}
    content = {
        "name": name,
        "task": data.task,
        "metrics": told_metrics(data.task, found.classes),
        "dataset": printable(f"{data.source}: {what}"),
        "real": {"data": "folder", "recipe": recipe, "change": differing},
    }
    head = [
        f"A setting of your own, written by a look at its data; train, build, fit, search and report take its name ({name}):",
        f"  {runs.invocation('train')} --config-dir FOLDER setting={name}",
        "Change what you like: data and recipe have all options of conf/data/folder and conf/recipe/folder. Why it is as it is:",
        *(f"- {line}" for line in (*found.notes, *why)),
    ]
    comments = "".join(f"# {printable(line)}\n" for text in head for line in text.splitlines())
    body: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000, default_flow_style=None)
    return comments + body
