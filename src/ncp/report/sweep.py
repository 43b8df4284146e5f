"""After a multirun of searches: one table of all of them and a Pareto plot."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ncp import runs

TABLE_FILE, PICTURE_FILE = "sweep.csv", "pareto.png"


class Summary(Callback):
    """Hydra calls this around a multirun; the jobs themselves may have run on other machines."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write ``sweep.csv`` and ``pareto.png`` into the sweep's folder and print the table."""
        folder = Path(config.hydra.sweep.dir)
        try:
            summarise(folder)
        except OSError as error:
            warnings.warn(f"the summary of the sweep could not be written: {error}", stacklevel=2)


def summarise(folder: Path) -> list[dict[str, Any]]:
    """Collect the results under a sweep's folder, write and print their summary; one point for each finished search."""
    points = collect(folder)
    if not points:
        return []
    from ncp.report import pareto, style

    metrics = list(dict.fromkeys(name for point in points for name in point["metrics"]))
    with open(folder / TABLE_FILE, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["job", "overrides", *metrics, "macs", "params", "seconds", "text"])
        for p in points:
            values = [p["metrics"].get(name) for name in metrics]
            writer.writerow([p["job"], p["label"], *values, p["macs"], p["params"], p["seconds"], p["text"]])
    picture = style.save(
        pareto.figure(points, f"{len(points)} searches", "line: those that no other one beats in metric and cost"),
        folder / PICTURE_FILE,
    )
    _show(points, metrics, (picture, folder / TABLE_FILE))
    return points


def collect(folder: Path) -> list[dict[str, Any]]:
    """One entry for each job with a result: ``job``, ``label`` (the overrides in which jobs differ), ``metrics``, costs."""
    jobs = sorted((f.parent for f in folder.glob(f"*/{runs.RESULT_FILE}")), key=lambda p: (len(p.name), p.name))
    overrides = {job: runs.state(job).get("overrides", []) for job in jobs}
    labels = distinct(list(overrides.values()))
    points = []
    for job, label in zip(jobs, labels, strict=True):
        result = runs.read_result(job)
        points.append(
            {
                "job": job.name,
                "label": label or job.name,
                "metrics": {o["name"]: result["predicted"][o["setting"]][o["metric"]] for o in result["objectives"]},
                "macs": result["cost"]["macs"],
                "params": result["cost"]["params"],
                "seconds": result["seconds"]["search"],
                "text": result["architecture"]["text"],
            }
        )
    return points


def distinct(overrides: Sequence[Sequence[str]]) -> list[str]:
    """The overrides of each job that not all jobs have, joined.

    >>> distinct([["lam=1", "seed=3"], ["lam=2", "seed=3"]])
    ['lam=1', 'lam=2']
    """
    common = set.intersection(*(set(o) for o in overrides)) if len(overrides) > 1 else set()
    return [" ".join(o.lstrip("+") for o in own if o not in common) for own in overrides]


def _show(points: Sequence[dict[str, Any]], metrics: Sequence[str], files: Sequence[Path]) -> None:
    from ncp import terminal
    from ncp.report.pareto import front
    from ncp.terminal import console, relative

    best: set[int] = set()
    for name in metrics:
        have = [i for i, p in enumerate(points) if name in p["metrics"]]
        found = front([points[i]["macs"] for i in have], [points[i]["metrics"][name] for i in have])
        best |= {have[i] for i in found}
    table = terminal.table(f"{len(points)} searches")
    table.add_column("search", header_style="dim", no_wrap=True)
    for name in (*(f"{m}, %" for m in metrics), "multiply-adds, G", "params, M", "search, s"):
        table.add_column(name, justify="right", header_style="dim")
    for i, p in enumerate(points):
        values = [f"{p['metrics'][m]:.2f}" if m in p["metrics"] else "" for m in metrics]
        row = [p["label"], *values, f"{p['macs'] / 1e9:.3f}", f"{p['params'] / 1e6:.3f}", f"{p['seconds']:.2f}"]
        table.add_row(*row, style="bold" if i in best else None)
    table.caption, table.caption_justify = "bold: on the Pareto front of a metric", "left"
    out = console()
    out.print()
    out.print(table)
    for file in files:
        out.print(relative(file), style="dim")
