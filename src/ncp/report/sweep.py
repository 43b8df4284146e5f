"""After a multirun of searches: one table of all of them, in the eyes of one judge, and a Pareto plot."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ncp import files, runs, spaces, terminal
from ncp.benchmark import settings
from ncp.benchmark.ranking import front
from ncp.errors import UserError
from ncp.metrics.kitti_names import labelled_objective
from ncp.numeric import as_written
from ncp.report import pictures
from ncp.results import Found, WantedMetric

TABLE_FILE, PICTURE_FILE = "sweep.csv", "pareto.png"
BROKEN = "misses its limit"
# parts of a result by the judge -> of an opinion
_JUDGED = {
    **{"judged": "value", "judged_doubt": "doubt", "judged_noise": "noise"},
    "judged_min_overlap": "min_overlap",
}


class SearchesTable(Callback):
    """Hydra calls this around a multirun; the jobs themselves may have run on other machines."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write ``sweep.csv`` and ``pareto.png`` into the sweep's folder and print the table."""
        folder = Path(config.hydra.sweep.dir)
        try:
            summarise(folder)
        except OSError as error:
            warnings.warn(f"the summary of the sweep could not be written: {error}", stacklevel=2)


@dataclass
class SweepPoint:
    """One search.

    Attributes:
        job, label: its folder's name, and the overrides in which jobs differ.
        found: its result.
        metrics, doubt, noise: ``setting.metric`` -> what the table's judge says, of all objectives of all searches.
        own: what the search's own predictors said, of its objectives.
    """

    job: str
    label: str
    found: Found
    metrics: dict[str, float] = field(default_factory=dict)
    doubt: dict[str, float] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)
    own: dict[str, float] = field(default_factory=dict)

    def drawn(self, lower: Sequence[str], titles: dict[str, str]) -> dict[str, Any]:
        """As :func:`ncp.report.pareto.pareto_figure` takes it, with ``titles`` for the metrics' names."""
        kept = self.found.keeps_limits
        label = self.label if kept else f"{self.label} ({BROKEN})"
        metrics = {titles[name]: value for name, value in self.metrics.items()}
        lowered = [titles[name] for name in lower if name in titles]
        return {"label": label, "macs": self.found.cost.macs, "metrics": metrics, "lower": lowered, "kept": kept}


def summarise(folder: Path) -> list[SweepPoint]:
    """Collect the results under a sweep's folder, write and print their summary; one point for each finished search."""
    points = collect(folder)
    if not points:
        return []
    judges = judge_all(points)
    names = list(dict.fromkeys(o.name for p in points for o in p.found.objectives))
    names = [name for name in names if any(name in p.metrics for p in points)]
    lower = [o.name for p in points for o in p.found.objectives if o.direction == "min"]
    files.write_text(folder / TABLE_FILE, _as_csv(points, names))
    under = f"judged by {_words(judges)}; line: those that no other one beats in metric and cost"
    if any(not p.found.keeps_limits for p in points):
        under += f"; hollow: {BROKEN}"
    titles = {
        name: labelled_objective(name, [p.found.judged_min_overlap for p in points if name in p.metrics])
        for name in names
    }

    def picture() -> Path:
        from ncp.report import pareto, style

        drawing = pareto.pareto_figure([p.drawn(lower, titles) for p in points], _searches(points), under)
        return style.save(drawing, folder / PICTURE_FILE)

    _show(points, titles, lower, judges, (*pictures.drawn(picture).values(), folder / TABLE_FILE))
    return points


def collect(folder: Path) -> list[SweepPoint]:
    """One point for each job with a result that can be read, without the judge's figures."""
    read = []
    for job in runs.jobs(folder, runs.RESULT_FILE):
        try:
            found: Found = files.read_json(job / runs.RESULT_FILE, Found)
            spaces.get(found.space).parse(found.architecture.code)
            read.append((job, found))
        except UserError as error:
            terminal.say(f"left out of the summary: {error}", stderr=True)
    overrides = [runs.state(job).get("overrides", []) for job, _ in read]
    points = []
    for (job, found), label in zip(read, distinct(overrides), strict=True):
        own = {o.name: found.predicted.get(o.setting, {}).get(o.metric) for o in found.objectives}
        points.append(
            SweepPoint(job.name, label or job.name, found, own={k: v for k, v in own.items() if v is not None})
        )
    return points


def distinct(overrides: Sequence[Sequence[str]]) -> list[str]:
    """The overrides of each job that not all jobs have, joined, with numbers as people write them.

    >>> distinct([["lam=1", "budget.macs=1000000000.0", "seed=3"], ["lam=1", "budget.macs=2500000000.0", "seed=3"]])
    ['budget.macs=1e9', 'budget.macs=2.5e9']
    """
    common = set.intersection(*(set(o) for o in overrides)) if len(overrides) > 1 else set()
    return [" ".join(as_written(o.lstrip("+")) for o in own if o not in common) for own in overrides]


def judge_all(points: Sequence[SweepPoint]) -> dict[str, str]:
    """Give every point the figures of one judge for all objectives of all searches; setting -> who that is.

    The judge that the searches name; where they name several, the default predictors. Figures that a search did not record
    are predicted here. A metric that the judge does not predict keeps what the search's own predictor said.
    """
    wanted: dict[str, list[WantedMetric]] = {}
    for o in {o.name: o for p in points for o in p.found.objectives}.values():
        wanted.setdefault(o.setting, []).append(o)
    judges: dict[str, str] = {}
    for setting, objectives in wanted.items():
        named = list(dict.fromkeys(p.found.judge[setting] for p in points if setting in p.found.judge))
        judges[setting] = named[0] if len(named) == 1 else "default"
        if len(named) != 1 or any(_recorded(p, o) is None for p in points for o in objectives):
            _predict(points, setting, judges)
        for p in points:
            for o in objectives:
                _fill(p, o, judges[setting])
    return judges


def _predict(points: Sequence[SweepPoint], setting: str, judges: dict[str, str]) -> None:
    """Let a setting's judge predict all points; where it cannot be had, the recorded figures stay and a line says so."""
    import numpy as np

    from ncp.predictors.base import FAMILIES, load
    from ncp.search.judges import PredictorPanel
    from ncp.search.result import opinions

    name = judges[setting]
    try:
        predictor = load(setting, family=name) if name in FAMILIES else load(name)
        able = [p for p in points if p.found.space == predictor.space.name]
        codes = np.array([p.found.architecture.code for p in able], dtype=np.float64)
        if len(able):
            for p, opinion in zip(
                able, opinions(PredictorPanel({setting: predictor}, {setting: name}), codes), strict=True
            ):
                p.found.judge = {**p.found.judge, setting: name}
                for own, part in _JUDGED.items():
                    setattr(p.found, own, {**getattr(p.found, own), **getattr(opinion, part)})
    except UserError as error:
        terminal.say(f"{setting} is not judged anew: {error}", stderr=True)


def _recorded(point: SweepPoint, o: WantedMetric) -> float | None:
    return point.found.judged.get(o.setting, {}).get(o.metric)


def _fill(point: SweepPoint, o: WantedMetric, judge: str) -> None:
    if point.found.judge.get(o.setting) == judge and (value := _recorded(point, o)) is not None:
        point.metrics[o.name] = value
        for figures, out in ((point.found.judged_doubt, point.doubt), (point.found.judged_noise, point.noise)):
            if (spread := figures.get(o.setting, {}).get(o.metric)) is not None:
                out[o.name] = spread
    elif o.name in point.own:
        point.metrics[o.name] = point.own[o.name]


def _words(names: dict[str, str]) -> str:
    """Who answers, in words."""
    if len(set(names.values())) == 1:
        return next(iter(names.values()))
    return ", ".join(f"{name} for {setting}" for setting, name in names.items())


def _as_csv(points: Sequence[SweepPoint], names: Sequence[str]) -> str:
    more = [f"{name}.{part}" for name in names for part in ("doubt", "noise", "own")]
    rows: list[list[Any]] = [
        ["job", "overrides", *names, "macs", "params", "seconds", "text", *more, "predictor", "judge", "keeps_limits"]
    ]
    for p in points:
        f = p.found
        row = [p.job, p.label, *(p.metrics.get(n) for n in names), f.cost.macs, f.cost.params, f.seconds.search]
        row += [f.architecture.text, *(part.get(n) for n in names for part in (p.doubt, p.noise, p.own))]
        rows.append([*row, _words(f.predictor), _words(f.judge), f.keeps_limits])
    return terminal.csv_text(rows)


def _show(
    points: Sequence[SweepPoint],
    names: dict[str, str],
    lower: Sequence[str],
    judges: dict[str, str],
    made: Sequence[Path],
) -> None:
    """``names``: of the metrics, and what they are called in the table."""
    best: set[int] = set()
    for name in names:
        have = [i for i, p in enumerate(points) if name in p.metrics and p.found.keeps_limits]
        sign = -1 if name in lower else 1
        on = front([points[i].found.cost.macs for i in have], [sign * points[i].metrics[name] for i in have])
        best |= {have[i] for i in on}
    known = [n for n in names if any(p.doubt.get(n) or p.noise.get(n) for p in points)]
    spreads = known if len(names) <= 2 else []
    table = terminal.table(_searches(points), _caption(judges, spreads, known))
    table.add_column("search", header_style="dim", no_wrap=True)
    asked = {n: n.rpartition(".")[0] for n in names}
    others = [
        n for n in names if any(n in p.own and p.found.predictor.get(asked[n]) != judges[asked[n]] for p in points)
    ]
    heads = [h for n in names for h in (_head(names[n], n), *(("± doubt", "± noise") if n in spreads else ()))]
    heads += [f"{labelled_objective(n, [p.found.min_overlap for p in points if n in p.own])}, its own" for n in others]
    for head in (*heads, "multiply-adds, G", "params, M", "search, s"):
        table.add_column(head, justify="right", header_style="dim")
    for i, p in enumerate(points):
        cells = []
        for n in names:
            cells += [_number(p.metrics, n), *([_number(p.doubt, n), _number(p.noise, n)] if n in spreads else [])]
        cells += [_number(p.own, n) for n in others]
        cost = (f"{p.found.cost.macs / 1e9:.3f}", f"{p.found.cost.params / 1e6:.3f}", f"{p.found.seconds.search:.2f}")
        label = p.label if p.found.keeps_limits else f"{p.label} ({BROKEN})"
        table.add_row(label, *cells, *cost, style="bold" if i in best else None)
    out = terminal.console()
    out.print()
    out.print(table)
    for file in made:
        terminal.say(terminal.relative(file), style="dim")


def _caption(judges: dict[str, str], spreads: Sequence[str], known: Sequence[str]) -> str:
    """What the table's figures are.

    Args:
        judges: setting -> who judges it.
        spreads: metrics beside which doubt and noise stand.
        known: metrics for which both are known.
    """
    lines = [f"metrics as judged by {_words(judges)}; bold: on the Pareto front of a metric"]
    if spreads:
        lines.append(
            "± doubt: one standard deviation of the judge's own doubt; ± noise: of one training's result around that"
        )
    elif known:
        lines.append(f"the judge's own doubt and the noise of one training's result stand in {TABLE_FILE}")
    return "\n".join(lines)


def _searches(points: Sequence[SweepPoint]) -> str:
    return f"{len(points)} search{'es' if len(points) != 1 else ''}"


def _head(words: str, name: str) -> str:
    return ", ".join(filter(None, (words, settings.unit(name))))


def _number(values: dict[str, float], name: str) -> str:
    return settings.figure_text(name, values[name]) if name in values else ""
