"""``ncp data setting=transnas-micro/normal``: rooms with the labels of all seven tasks, as a picture and in figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ncp import options as typed
from ncp import progress, runs, terminal
from ncp.data.folder.files import spread
from ncp.data.views import LABELS, ViewData

COMMON = 5  # classes that are named


@dataclass
class Found:
    """What such a set holds.

    Attributes:
        source: where it is from.
        counts: by split, how many views.
        shares: by label with classes, the mean share of each class in the views that were read.
        files: name -> file of what was written.
    """

    source: str
    counts: dict[str, int]
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)


def run(kind: type[ViewData], settings: dict[str, Any], look: int | None, samples: int, folder: Path | None) -> Found:
    """Read views spread over the training split, and draw some of them with all labels.

    Args:
        kind, settings: of the data; all labels are read where ``labels`` is null.
        look: how many views are read; None for all.
        samples: in the picture.
        folder: for the files; None for a new run folder.

    Raises:
        UserError: for a set that cannot be read.
    """
    from ncp.data.base import Key
    from ncp.report import rooms, style

    given = settings.get("labels")
    wanted = list(LABELS) if given is None else [given] if isinstance(given, str) else list(given)
    data: ViewData = typed.call(kind, {**settings, "labels": wanted}, "data")
    data.setup()
    folder = runs.made(folder, "data")
    count = len(data.train_set)  # type: ignore[arg-type]
    found = Found(data.source, {"train": count, data.split: len(data.val_set)})  # type: ignore[arg-type]
    sums: dict[str, Any] = {}
    chosen = spread(count, look)
    with progress.bar(f"reading {data.source}", after=1.0) as tell:
        for done, item in enumerate(chosen, 1):
            label = data.train_set[Key(-1, item)]["label"]
            for name in [name for name in wanted if name in ("class_object", "class_scene", "segmentsemantic")]:
                numbers = label[name].numpy()
                if name == "segmentsemantic":
                    numbers = np.bincount(numbers[numbers < 255], minlength=len(data.names(name))) / max(
                        1, (numbers < 255).sum()
                    )
                sums[name] = sums.get(name, 0) + numbers / len(chosen)
            tell(done / len(chosen), f"{done:,} of {len(chosen):,}")
    for name, shares in sums.items():
        found.shares[name] = {str(k): round(float(share), 4) for k, share in zip(data.names(name), shares, strict=True)}
    if samples:
        found.files["samples"] = style.save(rooms.picture(data, spread(count, samples)), folder / "samples.png")
    result = {"source": found.source, "files": found.counts, "looked": {"train": len(chosen)}, "shares": found.shares}
    found.files["result"] = runs.write_result(folder, result)
    return found


def show(found: Found) -> None:
    """Print the counts and the commonest classes."""
    table = terminal.table(found.source, boxed=True)
    for name in ("label", "classes", "the commonest, mean share"):
        table.add_column(name)
    for label, shares in found.shares.items():
        first = sorted(shares, key=lambda name: -shares[name])[:COMMON]
        table.add_row(label, str(len(shares)), ", ".join(f"{name} {100 * shares[name]:.1f}%" for name in first))
    if found.shares:
        terminal.console().print(table)
    terminal.fields({split: f"{count:,} views" for split, count in found.counts.items()})
    for path in found.files.values():
        terminal.say(terminal.relative(path))
