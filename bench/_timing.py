"""What the benchmarks of the space and of the tables share."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def best(function: Callable[[], Any], repeat: int = 15, at_least: float = 0.02) -> float:
    """Seconds of one call, the least of ``repeat`` measurements: other work on the machine only ever adds time."""
    function()
    start = time.perf_counter()
    function()
    calls = max(1, int(at_least / max(time.perf_counter() - start, 1e-9)))
    least = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        for _ in range(calls):
            function()
        least = min(least, (time.perf_counter() - start) / calls)
    return least


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print one table under a line that says where and on what it was measured."""
    table = Table(title=f"{title}\n{machine()}", title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=None if sys.stdout.isatty() else 160).print(table)  # a pipe shall not break the cells


def machine() -> str:
    """Processor count, versions and commit."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    commit = found.stdout.strip() or "no commit"
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}, {commit}"
