"""Architectures side by side: predicted by one judge, measured where they were trained, bars (Figure 8) and walks (Figure 9)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ncp import files, runs, terminal
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.report import entries as reading
from ncp.report.entries import Entries, Entry

FAMILY = "default"
MOST_CLASSES = 40  # in the terminal; the file holds all
WALKS = "metrics as each search predicted them; the dot is what it returned"
MOST_BARS = 24  # architectures in one picture


@dataclass(frozen=True)
class Judgement:
    """What one judge predicts for all lines alike.

    Attributes:
        judges: setting -> which predictor, in words.
        values, std: a mapping ``setting.metric`` -> percent for each line, empty for one that no judge can read.
        recorded: names of metrics without a judge here; their values are those that each search recorded.
    """

    judges: Mapping[str, str]
    values: Sequence[Mapping[str, float]]
    std: Sequence[Mapping[str, float]]
    recorded: Sequence[str] = ()
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", list(dict.fromkeys(name for values in self.values for name in values)))


def read(given: Any, names: Any = None, space: str = "multires") -> Entries:
    """What is to be compared; see :func:`ncp.report.entries.read`."""
    return reading.read(given, names, space)


def judge(entries: Sequence[Entry], predictors: Any = None) -> Judgement:
    """Predict all metrics that any line was searched or trained for, for every line, by the same predictors.

    Args:
        entries: the lines.
        predictors: the judges: None or ``default`` (the bundled default ones), ``paper``, or setting -> file.
    """
    import numpy as np

    wanted = _wanted(entries)
    able = [i for i, entry in enumerate(entries) if entry.architecture is not None]
    space = entries[able[0]].space if able else None
    codes = np.array([entry.architecture.code for entry in entries if entry.architecture is not None], dtype=np.float64)
    judges: dict[str, str] = {}
    values: list[dict[str, float]] = [{} for _ in entries]
    std: list[dict[str, float]] = [{} for _ in entries]
    recorded = []
    for setting, metrics in wanted.items() if space is not None else ():
        predictor = _judge_of(setting, predictors, space)
        if predictor is None:
            recorded += [f"{setting}.{metric}" for metric in metrics]
            for i in able:
                values[i] |= _recorded(entries[i], setting, metrics)
            continue
        predicted, deviation = predictor.predict(codes), predictor.predict_std(codes)
        card = predictor.card
        judges[setting] = (
            f"{'the paper' if card.kind == 'mlp' else 'the default'} predictor, fitted on {card.rows:,} rows"
        )
        for metric in metrics:
            for i, value, spread in zip(able, predicted.get(metric, ()), deviation.get(metric, ()), strict=False):
                values[i][f"{setting}.{metric}"], std[i][f"{setting}.{metric}"] = float(value), float(spread)
    return Judgement(judges, values, std, [name for name in recorded if any(name in v for v in values)])


def _wanted(entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Setting -> metrics to predict: of all searches and trainings, else the main ones of the four tasks."""
    out: dict[str, list[str]] = {}
    for entry in entries:
        pairs = [(o.setting, o.metric) for o in entry.search.objectives] if entry.search else []
        if entry.training and entry.architecture is not None:
            pairs.append((entry.training.setting, entry.training.main_metric))
        for setting, metric in pairs:
            out.setdefault(setting, [])
            out[setting] += [metric] if metric not in out[setting] else []
    if not out and any(entry.architecture is not None for entry in entries):
        out = {name: [settings.get(name).main] for name in settings.SHORT.values()}
    return out


def _judge_of(setting: str, predictors: Any, space: Any) -> Any:
    """The predictor that judges a setting; None where there is none for these architectures."""
    from ncp.predictors import load

    if isinstance(predictors, Mapping):
        given = {settings.SHORT.get(str(name), str(name)): path for name, path in predictors.items()}
        predictor = load(str(given[setting])) if setting in given else None
    else:
        try:
            predictor = load(setting, family=str(predictors or FAMILY))
        except UserError:
            if predictors not in (None, FAMILY, "paper"):
                raise
            return None  # a setting of the user's own, or of another space
    return predictor if predictor is not None and predictor.card.space == space.name else None


def _recorded(entry: Entry, setting: str, metrics: Sequence[str]) -> dict[str, float]:
    known = entry.search.predicted.get(setting, {}) if entry.search else {}
    return {f"{setting}.{metric}": value for metric in metrics if (value := known.get(metric)) is not None}


def measured(entry: Entry) -> dict[str, float]:
    """``task.metric`` -> percent of a training or an evaluation: the main metric and the benchmark's others."""
    training = entry.training
    if training is None:
        return {}
    known = settings.SETTINGS.get(training.setting)
    names = dict.fromkeys([training.main_metric, *(known.metrics if known else ())])
    found = {name: training.metrics.get(name) for name in names}
    return {f"{training.task}.{name}": value for name, value in found.items() if value is not None}


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
    rows = [_row(entry, judged.values[i], judged.std[i]) for i, entry in enumerate(entries.items)]
    content = {
        "command": "report",
        "space": entries.items[0].space.name,
        "judge": dict(judged.judges),
        "architectures": rows,
        "left_out": dict(entries.left_out),
    }
    out = {"result": runs.write_result(folder, content)}
    out["table"] = files.write_text(folder / "comparison.csv", _as_csv(table(entries.items, judged, exact=True)))
    if classes := per_class(entries.items):
        out["per_class"] = files.write_text(folder / "per_class.csv", _as_csv(classes))
    return out | _draw(entries.items, folder, title)


def _row(entry: Entry, predicted: Mapping[str, float], std: Mapping[str, float]) -> dict[str, Any]:
    architecture, training = entry.architecture, entry.training
    text = architecture.text if architecture is not None else training.architecture.text if training else entry.name
    return {
        "name": entry.name,
        "given": entry.given,
        "architecture": {"code": None if architecture is None else list(architecture.code), "text": text},
        "predicted": dict(predicted),
        "std": dict(std),
        "measured": measured(entry),
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
        propagation.Search(name, e.walk, [o.name for o in e.search.objectives], e.search.chosen_step)
        for name, e in zip(names, entries, strict=True)
        if e.walk is not None and e.search is not None
    ][:MOST_BARS]
    if searched:
        picture = propagation.transfer_figure(searched, space, title, WALKS)
        out["trajectories"] = style.save(picture, folder / "trajectories.png")
    return out


def _as_csv(rows: Sequence[Sequence[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([terminal.csv_cell(cell) for cell in row] for row in rows)
    return buffer.getvalue()


# ---- tables


def table(entries: Sequence[Entry], judged: Judgement, exact: bool = False) -> list[list[str]]:
    """Names, predictions, measurements and costs, a line each below a head; a ``-`` where there can be no number.

    Args:
        exact: numbers as they are, for a file, with deviations in columns of their own.
    """
    scores = [measured(entry) for entry in entries]
    names = list(dict.fromkeys(name for score in scores for name in score))
    trained = any(scores)
    head, then = ["name"], ", " if exact else "\n"
    for name in judged.names:
        head += [f"{name}{then}predicted, %"] + ([f"{name}, deviation, %"] if exact else [])
    head += [f"{name}{then}measured, %" for name in names] + (["measured on"] if trained else [])
    head += ["multiply-adds", "params"] if exact else ["multiply-adds\nG", "params\nM"]
    out = [head]
    for i, (entry, score) in enumerate(zip(entries, scores, strict=True)):
        row = [entry.name]
        for name in judged.names:
            value, std = judged.values[i].get(name), judged.std[i].get(name)
            if exact:
                row += ["" if number is None else repr(number) for number in (value, std)]
            else:
                row.append("-" if value is None else f"{value:.2f}" + (f" ± {std:.2f}" if std else ""))
        row += [
            ("" if exact else "-") if name not in score else repr(score[name]) if exact else f"{score[name]:.2f}"
            for name in names
        ]
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
        terminal.say(f"left out: {reason}", stderr=True)
    for entry in entries.items:
        if entry.walk_error:
            terminal.say(f"left out of the picture: {entry.walk_error}", stderr=True)
    terminal.console().print(_for_terminal(table(entries.items, judged)))
    same: dict[str, list[str]] = {}
    for setting, words in judged.judges.items():
        same.setdefault(words, []).append(setting)
    for words, of in same.items():
        terminal.say(
            f"{', '.join(of)} predicted by {words}; ± is one standard deviation of a training's result", style="dim"
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
