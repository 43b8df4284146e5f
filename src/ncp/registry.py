"""Which classes a configuration may name by ``_target_``: the project's own, those that an installed package announces, and those
that the user's own configuration names.

A received file (a checkpoint, a build's plan, a run's configuration) is not the user's word: a class that it alone names is
refused, and nothing is imported for it. An installed package announces its classes by entry points in the groups ``ncp.data`` and
``ncp.tasks`` (pyproject: ``[project.entry-points."ncp.data"]``); a user's own configuration folder by files in ``data/`` and
``task/`` (see :mod:`ncp.configs`). Search spaces and kinds of predictors are announced likewise, in the groups ``ncp.spaces`` and
``ncp.predictors``.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from ncp import configs, files
from ncp.errors import UserError

T = TypeVar("T")
# group -> the package of our own classes, and the group of configurations that may name others
GROUPS = {"data": "ncp.data", "task": "ncp.tasks"}
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_named: set[str] = set()  # by the user, in this process


def name(target: str) -> None:
    """Note that the user's own command line or configuration names ``target``."""
    _named.add(target)


def resolve(target: Any, group: str, kind: type[T]) -> type[T]:
    """The class that ``target`` names.

    Args:
        target: ``package.module.Class``.
        group: ``data`` or ``task``.
        kind: what it must be a subclass of.

    Raises:
        UserError: where it is not allowed (see above), does not exist, or is something else.
    """
    shown = files.printable(target)[:120]
    if not isinstance(target, str) or not _TARGET.fullmatch(target):
        raise UserError(f"{group}._target_ must be the dotted name of a class, given was '{shown}'")
    module, _, title = target.rpartition(".")
    own = module.startswith(f"{GROUPS[group]}.") and _is_ours(module)
    if not (own or target in _named or target in announced(GROUPS[group]).values() or target in _in_own_folder(group)):
        raise UserError(
            f"{group}._target_='{shown}' is not one of this project's classes, and your own configuration does not name it; "
            f"if you trust it, name it in {group}/NAME.yaml of your configuration folder ({configs.VARIABLE}, --config-dir)"
        )
    try:
        found = getattr(importlib.import_module(module), title)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{group}._target_='{shown}' cannot be imported ({error})") from None
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise UserError(f"{group}._target_='{shown}' is no {kind.__name__}")
    return found


def _is_ours(module: str) -> bool:
    """Whether a dotted name is a module file of this package (a module that something else put there is not)."""
    path = Path(__file__).resolve().parent.joinpath(*module.split(".")[1:])
    return path.with_suffix(".py").is_file()


@cache
def announced(group: str) -> Mapping[str, str]:
    """What installed packages announce as entry points of ``group`` (``ncp.data``, ``ncp.spaces``, ...): name -> dotted name."""
    from importlib.metadata import entry_points

    return {point.name: point.value.replace(":", ".") for point in entry_points(group=group)}


def _in_own_folder(group: str) -> set[str]:
    found = set()
    for path in (path for folder in configs.own() for path in sorted((folder / group).glob("**/[!.]*.yaml"))):
        content = files.read_yaml(path)
        if isinstance(content, dict) and isinstance(content.get("_target_"), str):
            found.add(content["_target_"])
    return found
