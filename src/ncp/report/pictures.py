"""Pictures that are drawn where what draws them is installed: figures and tables do not wait for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ncp import terminal
from ncp.errors import missing_module


def drawn(draw: Callable[[], Path]) -> dict[str, Path]:
    """``picture`` and the file that ``draw`` writes; empty, with a line on stderr, where that needs what is not installed."""
    try:
        return {"picture": draw()}
    except ModuleNotFoundError as error:
        missing = missing_module(error)
        if missing is None:
            raise
        terminal.say(f"no picture was drawn: {missing}", stderr=True)
        return {}
