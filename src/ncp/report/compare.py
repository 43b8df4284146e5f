"""Architectures side by side: predicted by one judge, measured where they were trained, bars (Figure 8) and walks (Figure 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ncp import files, runs, terminal
from ncp.benchmark import settings
from ncp.metrics.kitti_names import labelled, labelled_objective
from ncp.report.entries import Entries, Entry
from ncp.report.judgement import Judgement

MOST_CLASSES = 40  # in the terminal; the file holds all
WALKS = "metrics as each search predicted them; the dot is what it returned"
MOST_BARS = 24  # architectures in one picture


def measured(entry: Entry) -> dict[str, float]:
    """``setting.metric`` -> percent of a training or an evaluation: the main metric and the benchmark's others."""
    training = entry.training
    if training is None:
        return {}
    known = settings.SETTINGS.get(settings.full_name(training.measures))
    names = dict.fromkeys([training.main_metric, *(known.metrics if known else ())])
    found = {name: training.metrics.get(name) for name in names}
    return {f"{training.measures}.{name}": value for name, value in found.items() if value is not None}


def _labelled(entry: Entry) -> dict[tuple[str, str], float]:
    """The same, in words that tell metrics of different overlaps apart, and with the metric's unit."""
    if (training := entry.training) is None:
        return {}
    named = ((*name.rpartition("."), value) for name, value in measured(entry).items())
    return {
        (f"{setting}.{labelled(metric, training.min_overlap)}", settings.unit(f"{setting}.{metric}")): value
        for setting, _, metric, value in named
    }


def costs(entry: Entry) -> dict[str, int | None]:
    """``macs`` in the benchmark's unit and ``params``: of the architecture, else (a baseline) what its training counted."""
    if entry.architecture is not None:
        cost = entry.space.cost([entry.architecture.code])
        return {"macs": int(cost.macs[0]), "params": int(cost.params[0])}
    assert entry.training is not None
    return {"macs": None, "params": entry.training.cost.params}


# ---- files


def write_comparison(entries: Entries, judged: Judgement, folder: Path, title: str) -> dict[str, Path]:
    """Write ``result.json``, ``comparison.csv``, ``per_class.csv``, ``architectures.png`` and ``trajectories.png``; name -> path.

    The last three only where there is something for them. Numbers are on disk before pictures are drawn.
    """
    rows = [
        _row(entry)
        | {name: dict(of[i]) for name, of in judged.by_line.items()}
        | {"extrapolated": list(judged.outside[i])}
        for i, entry in enumerate(entries.items)
    ]
    content = {
        "command": "report",
        "space": entries.items[0].space.name,
        "judge": dict(judged.judges),
        "architectures": rows,
        "left_out": dict(entries.left_out),
    }
    out = {"result": runs.write_result(folder, content)}
    out["table"] = files.write_text(
        folder / "comparison.csv", terminal.csv_text(table(entries.items, judged, exact=True))
    )
    if classes := per_class(entries.items):
        out["per_class"] = files.write_text(folder / "per_class.csv", terminal.csv_text(classes))
    return out | _draw(entries.items, folder, title)


def _row(entry: Entry) -> dict[str, Any]:
    architecture, training = entry.architecture, entry.training
    text = architecture.text if architecture is not None else training.architecture.text if training else entry.name
    return {
        "name": entry.name,
        "given": entry.given,
        "architecture": {"code": None if architecture is None else list(architecture.code), "text": text},
        "measured": measured(entry),
        "measured_min_overlap": {} if training is None else training.min_overlap,
        "data": None if training is None or training.data is None else training.data.name,
        "per_class": None if training is None else training.per_class,
        "cost": costs(entry),
    }


def _draw(entries: Sequence[Entry], folder: Path, title: str) -> dict[str, Path]:
    from ncp.report import bars, propagation, style

    out = {}
    names = _unique([entry.name for entry in entries])
    drawn = {n: e.architecture for n, e in zip(names, entries, strict=True) if e.architecture is not None}
    if drawn:
        space = next(entry.space for entry in entries if entry.architecture is not None)
        subtitle = "each bar is a part of its dimension's range"
        if len(drawn) > MOST_BARS:
            subtitle += f"; the first {MOST_BARS} of {len(drawn)} architectures"
            drawn = dict(list(drawn.items())[:MOST_BARS])
        picture = bars.dimensions_figure(drawn, space, title, subtitle)
        out["architectures"] = style.save(picture, folder / "architectures.png")
    searched = [
        propagation.DrawnWalk(
            name, e.walk, [o.name for o in e.search.objectives], e.search.chosen_step, e.search.min_overlap
        )
        for name, e in zip(names, entries, strict=True)
        if e.walk is not None and e.search is not None
    ][:MOST_BARS]
    if searched:
        walks = propagation.transfer_figure(searched, space, title, WALKS)
        out["trajectories"] = walks.save(folder / "trajectories.png")
    return out


# ---- tables


def table(entries: Sequence[Entry], judged: Judgement, exact: bool = False) -> list[list[str]]:
    """Names, predictions, measurements and costs, a line each below a head; a ``-`` where there can be no number.

    Args:
        exact: numbers as they are, for a file, with deviations in columns of their own.
    """
    scores = [_labelled(entry) for entry in entries]
    names = list(dict.fromkeys(name for score in scores for name in score))
    trained = any(scores)
    head, then = ["name"], ", " if exact else "\n"
    for name in judged.names:
        title = labelled_objective(
            name, [o for o, v in zip(judged.min_overlap, judged.values, strict=True) if name in v]
        )
        spread = any(judged.doubt[i].get(name) or judged.noise[i].get(name) for i in range(len(entries)))
        known = settings.unit(name)
        percent = f", {known}" if known else ""
        head.append(f"{title}{then}predicted{percent}" + ("\n± doubt ± noise" if spread and not exact else ""))
        head += [f"{title}, {part}{percent}" for part in ("doubt", "noise")] if exact else []
    head += [f"{name}{then}measured{unit and f', {unit}'}" for name, unit in names] + (
        ["measured on"] if trained else []
    )
    head += ["multiply-adds", "params"] if exact else ["multiply-adds\nG", "params\nM"]
    out = [head]
    for i, (entry, score) in enumerate(zip(entries, scores, strict=True)):
        row = [entry.name]
        for name in judged.names:
            value, *spreads = (of[i].get(name) for of in (judged.values, judged.doubt, judged.noise))
            if exact:
                row += ["" if number is None else repr(number) for number in (value, *spreads)]
            else:
                beyond = name.rpartition(".")[0] in judged.outside[i]
                both = "".join(f" ± {settings.figure_text(name, s or 0)}" for s in spreads) if any(spreads) else ""
                row.append("-" if value is None else settings.figure_text(name, value) + both + "*" * beyond)
        for column in names:
            measured = score.get(column)
            told = "-" if measured is None else f"{measured:.{settings.places(column[1])}f}"
            row.append(told if not exact else "" if measured is None else repr(measured))
        row += [_data(entry) or ("" if exact else "-")] if trained else []
        cost = costs(entry)
        for key, unit in (("macs", 1e9), ("params", 1e6)):
            number = cost[key]
            row.append(("" if exact else "-") if number is None else str(number) if exact else f"{number / unit:.3f}")
        out.append(row)
    return out


def _data(entry: Entry) -> str:
    if entry.training is None:
        return ""
    data = entry.training.data
    return "unknown" if data is None else f"{data.name}, built in" if data.builtin else data.name


def per_class(entries: Sequence[Entry]) -> list[list[str]]:
    """IoU in percent, a line for each class, a column for each run that has such scores; empty where none has."""
    having = [(e.name, e.training.per_class) for e in entries if e.training is not None and e.training.per_class]
    if not having:
        return []
    classes = list(dict.fromkeys(name for _, scores in having for name in scores))
    out = [["class", *(f"{name}, IoU, %" for name, _ in having)]]
    for name in classes:
        values = [scores.get(name) for _, scores in having]
        out.append([name, *("" if value is None else f"{value:.2f}" for value in values)])
    return out


def show(entries: Entries, judged: Judgement, written: Mapping[str, Path]) -> None:
    """Print the tables, who judged, what was left out, and where the files are."""
    for reason in entries.left_out.values():
        if reason not in entries.mistaken:  # these are told in the end
            terminal.say(f"left out: {reason}", stderr=True)
    for entry in entries.items:
        if entry.walk_error:
            terminal.say(f"left out of the picture: {entry.walk_error}", stderr=True)
    terminal.console().print(_for_terminal(table(entries.items, judged)))
    same: dict[str, list[str]] = {}
    for setting, words in judged.judges.items():
        same.setdefault(words, []).append(setting)
    for words, of in same.items():
        terminal.say(f"{', '.join(of)} predicted by {words}", style="dim")
    if same:
        words = "± doubt: one standard deviation of the predictor's own doubt; ± noise: of one training's result around that"
        terminal.say(words, style="dim")
    if any(judged.outside):
        terminal.say(
            "*: outside the bounds of the architectures that the predictor was fitted on: a guess", style="dim"
        )
    for name in judged.recorded:
        terminal.say(f"{name}: no predictor here knows it; as each search recorded it", style="dim")
    classes = per_class(entries.items)
    if 1 < len(classes) <= MOST_CLASSES + 1:
        terminal.console().print(_for_terminal([[cell or "-" for cell in row] for row in classes]))
    for path in written.values():
        terminal.say(terminal.relative(path), style="dim")


def _for_terminal(rows: Sequence[Sequence[str]]) -> Any:
    out = terminal.table()
    for i, name in enumerate(rows[0]):
        how: dict[str, Any] = {"no_wrap": True} if i == 0 else {"justify": "right", "overflow": "fold"}
        out.add_column("" if i == 0 else name, header_style="dim", **how)
    for name, *cells in rows[1:]:
        out.add_row(terminal.shorten(name, 40), *cells)
    return out


def _unique(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that occur more than once."""
    return [f"{n} ({names[: i + 1].count(n)})" if names.count(n) > 1 else n for i, n in enumerate(names)]
