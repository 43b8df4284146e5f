"""Compare architectures, found or given: ``ncp report runs=[outputs/search/DATE/RUN,...]``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncp import runs
from ncp.errors import UserError

if TYPE_CHECKING:
    from ncp.report.entries import Entries
    from ncp.report.judgement import Judgement


@dataclass
class Options:
    """``conf/report.yaml``, where each is explained."""

    runs: Any = field(default_factory=list)
    names: list[Any] | None = None
    predictors: Any = "default"
    space: str = "multires"
    title: str = "Found architectures"


@dataclass
class Outcome:
    """What was compared, what one judge says of it, and name -> file of what was written."""

    entries: Entries
    judged: Judgement
    files: dict[str, Path]


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Compare architectures, found, trained or given: a table, their dimensions as bars (Figure 8), their searches (Figure 9).

    Args:
        options: what to compare.
        folder: where the files go; None for a new run folder.

    Raises:
        UserError: where nothing can be read, or for architectures of different spaces.
    """
    from ncp.report import compare, judgement
    from ncp.report import entries as reading

    entries = reading.read(options.runs, options.names, options.space)
    judged = judgement.judge(entries.items, options.predictors)
    folder = runs.made(folder, "report")
    return Outcome(entries, judged, compare.write_comparison(entries, judged, folder, options.title))


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print the table and the files.

    Raises:
        UserError: after that, for what was given and could not be used.
    """
    from ncp.report import compare

    compare.show(outcome.entries, outcome.judged, outcome.files)
    if outcome.entries.mistaken:
        raise UserError(f"left out: {'; left out: '.join(outcome.entries.mistaken)}")
