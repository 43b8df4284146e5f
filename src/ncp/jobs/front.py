"""What accuracy costs: ``ncp front quantities=[seg,latency_ms] latency=FILE``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

import ncp
from ncp import files, progress, runs, terminal
from ncp.numeric import several

if TYPE_CHECKING:
    from ncp.search.trade import Trade

Count = Annotated[int, Meta(ge=1, le=10_000)]


@dataclass
class Options:
    """``conf/front.yaml``; the arguments of :func:`ncp.search.trade.trade` under the same names."""

    quantities: list[str] = field(default_factory=lambda: ["seg", "macs"])
    points: Annotated[int, Meta(ge=2, le=200)] = 15
    starts: Count = 4
    iterations: Count = 70
    kappa: float = 1.0
    budget: dict[str, Any] = field(default_factory=dict)
    fixed: list[str] = field(default_factory=list)
    bounds: dict[str, Any] = field(default_factory=dict)
    multiple_of: Count | None = None
    relations: list[str] = field(default_factory=list)
    latency: Any = None
    latency_trust: bool = False
    latency_margin: float = 1.0
    size: list[int] | None = None
    batch: Count = 1
    dtype: str = "fp32"
    start: Any = None
    predictors: Any = None
    force: bool = False
    seed: Annotated[int, Meta(ge=0)] = 0


@dataclass
class Outcome:
    """The front, and name -> file of what was written."""

    front: Trade
    files: dict[str, Path]


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Find the architectures that nothing beats in two or three quantities, and propose one.

    Args:
        options: which quantities, within which limits.
        folder: where the files go; None for a new run folder.

    Raises:
        UserError: for anything that does not exist or cannot be met.
    """
    from ncp.report import pictures
    from ncp.report.search import as_csv
    from ncp.search.trade import trade

    folder = runs.made(folder, "front")
    given = {name: value for name, value in vars(options).items() if name != "predictors"}
    with progress.bar("front", after=1.0):
        found = trade(**given, predictor=options.predictors)
    chosen = found.architectures[found.chosen]
    content = {
        "command": "front", "version": ncp.__version__, "quantities": [axis.name for axis in found.axes],
        "architecture": {"code": list(chosen.code), "text": chosen.text},
        "chosen": {axis.name: float(found.values[found.chosen, i]) for i, axis in enumerate(found.axes)},
        "reasons": found.reasons, "size": len(found), "seconds": {"search": found.seconds, "total": runs.seconds()},
    }  # fmt: skip
    written = {"front": files.write_text(folder / "front.csv", as_csv(found.to_table()))}
    written["result"] = runs.write_result(folder, content)
    return Outcome(found, written | pictures.drawn(lambda: _picture(found, folder)))


def _picture(found: Trade, folder: Path) -> Path:
    from ncp.report import front as report
    from ncp.report import style

    return style.save(report.figure(found), folder / "front.png")


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print some of the front, the proposed one and why, and where the files are."""
    front = outcome.front
    if not brief:
        table = terminal.table(
            f"{several(len(front), 'architecture')} that none beats in {', '.join(a.words for a in front.axes)}"
        )
        for axis in front.axes:
            table.add_column(", ".join(filter(None, (axis.words, axis.unit))), justify="right", header_style="dim")
        table.add_column("architecture", header_style="dim")
        step = max(1, len(front) // 12)
        for i in sorted({*range(0, len(front), step), front.chosen, len(front) - 1}):
            cells = [f"{v / a.scale:.4g}" for v, a in zip(front.values[i], front.axes, strict=True)]
            table.add_row(*cells, front.architectures[i].text, style="bold" if i == front.chosen else None)
        terminal.console().print(table)
    terminal.say(f"proposed: {front.architectures[front.chosen].text}")
    for reason in front.reasons:
        terminal.say(f"  {reason}")
    terminal.fields({name: terminal.relative(path) for name, path in outcome.files.items()}, 13)
