"""The commands' names, and the module of each."""

from __future__ import annotations

import importlib
from types import ModuleType

from ncp.errors import UserError

COMMANDS = (
    "search", "front", "train", "evaluate", "predict", "export", "fit", "benchmark", "build", "discover", "loop", "report",
    "compare", "paper", "explore", "data", "latency", "adopt",
)  # fmt: skip


def module(command: str) -> ModuleType:
    """The module of a command. Raises ``UserError`` for an unknown one."""
    if command not in COMMANDS:
        raise UserError(f"unknown command '{command}'; the commands are {', '.join(COMMANDS)}")
    return importlib.import_module(f"ncp.jobs.{command}")
