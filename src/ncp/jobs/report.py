"""Compare architectures, found or given: ``ncp report runs=[outputs/search/DATE/RUN,...]``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncp import runs

if TYPE_CHECKING:
    from ncp.report.compare import Entry


@dataclass
class Options:
    """``conf/report.yaml``, where each is explained."""

    runs: Any = field(default_factory=list)
    names: list[Any] | None = None
    space: str = "multires"
    title: str = "Found architectures"


@dataclass
class Outcome:
    """What was compared, and name -> file of what was written."""

    entries: list[Entry]
    files: Any


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Compare architectures: a table, their dimensions as bars (Figure 8), their searches (Figure 9).

    Args:
        options: what to compare.
        folder: where the files go; None for a new run folder.

    Raises:
        UserError: for what cannot be read, or architectures of different spaces.
    """
    from ncp.report import compare

    entries = compare.read(options.runs, options.names, options.space)
    return Outcome(entries, compare.write(entries, folder or runs.new_folder("report"), options.title))


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print the table and the files."""
    from ncp.report import compare

    compare.show(outcome.entries, outcome.files)
