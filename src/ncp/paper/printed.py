"""What the paper prints, read from ``printed.yaml`` and ``statistics.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ncp import files
from ncp.errors import UserError

FOLDER = Path(__file__).parent
FIGURES = tuple(range(3, 25))
"""Those of measured things; 1 and 2 are drawings of the method."""
NOT_FIGURES = ("name", "kind", "search", "network", "timm", "params_m", "flops_g", "seconds", "note", "same")


@dataclass(frozen=True)
class PrintedRow:
    """A network, or a search, as a table of the paper prints it.

    Attributes:
        name: the paper's.
        figures: ``setting.metric`` (of a setting that we know) or another name -> percent points, of a trained network.
        params_m, flops_g: millions of parameters, billions of multiply-adds at the table's input size; None where not printed.
        search: our search that stands for it; None for a network that was not found.
        network: its name among the public codes.
        timm: of a network that was designed by hand, the same one's name in timm.
        kind: what it is, of networks that were not found.
        seconds: of the search, where that is what the table is about.
        same: of a transfer, the figure of the network before it was transferred (-F).
        note: what else the paper says.
    """

    name: str
    figures: dict[str, float] = field(default_factory=dict)
    params_m: float | None = None
    flops_g: float | None = None
    search: str | None = None
    network: str | None = None
    timm: str | None = None
    kind: str = "found by a search"
    seconds: float | None = None
    same: float | None = None
    note: str = ""


@dataclass(frozen=True)
class PrintedTable:
    """A table of the paper.

    Attributes:
        number, title: which, and what it is about.
        size, head: input and head for which ``flops_g`` counts.
        rows: in the paper's order.
    """

    number: int
    title: str
    size: tuple[int, int]
    head: str
    rows: tuple[PrintedRow, ...]

    def of(self, search: str) -> PrintedRow | None:
        """The row that a search stands for."""
        return next((row for row in self.rows if row.search == search), None)


@dataclass(frozen=True)
class Statistics:
    """Table 6, Figure 4 and Figure 5 (a).

    Attributes:
        settings: S names.
        mean, std, loss: ``(S,)`` of the main metric, and the error of the paper's predictor, in percent points.
        spearman: ``(S, S)``.
        epoch_labels, epoch_spearman: E labels and ``(E, E)``.
    """

    settings: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    loss: np.ndarray
    spearman: np.ndarray
    epoch_labels: tuple[str, ...]
    epoch_spearman: np.ndarray


@cache
def tables() -> dict[int, PrintedTable]:
    """All tables that name networks or searches, by number."""
    found = {}
    for key, content in files.read_yaml(FOLDER / "printed.yaml").items():
        size = content.get("measured_size", content["size"])
        rows = tuple(map(_row, content["rows"]))
        found[int(key)] = PrintedTable(int(key), content["title"], (size[0], size[1]), content["head"], rows)
    return found


def table(number: int) -> PrintedTable:
    """A table by its number; raises ``UserError`` for one that holds no networks."""
    if number not in tables():
        raise UserError(f"table is one of {', '.join(map(str, tables()))}, given was {number}")
    return tables()[number]


@cache
def statistics() -> Statistics:
    """The paper's statistics of the benchmark."""
    content: dict[str, Any] = files.read_yaml(FOLDER / "statistics.yaml")
    mean, std, loss, spearman = (np.array(content[name], dtype=float) for name in ("mean", "std", "loss", "spearman"))
    epochs = content["epochs"]
    labels, matrix = tuple(epochs["labels"]), np.array(epochs["spearman"], dtype=float)
    return Statistics(tuple(content["settings"]), mean, std, loss, spearman, labels, matrix)


def _row(content: dict[str, Any]) -> PrintedRow:
    figures = {name: float(value) for name, value in content.items() if name not in NOT_FIGURES}
    return PrintedRow(figures=figures, **{name: value for name, value in content.items() if name in NOT_FIGURES})
