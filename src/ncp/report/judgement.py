"""What one judge predicts for architectures side by side: the same predictors for all of them, and where these only guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.report.entries import Entry

FAMILY = "default"


@dataclass(frozen=True)
class Judgement:
    """What one judge predicts for all lines alike.

    Attributes:
        judges: setting -> which predictor, in words.
        values: a mapping ``setting.metric`` -> percent for each line, empty for one that no judge can read.
        doubt, noise, std: likewise one standard deviation of the judge's own doubt, of one training's result around that,
            and of both together.
        recorded: names of metrics without a judge here; their values are those that each search recorded.
        outside: settings for each line whose judge was fitted on other architectures only (beyond its rows' bounds).
        min_overlap: for each line setting -> class -> the overlap from which boxes count as found, of detection.
    """

    judges: Mapping[str, str]
    values: Sequence[Mapping[str, float]]
    std: Sequence[Mapping[str, float]]
    recorded: Sequence[str] = ()
    outside: Sequence[Sequence[str]] = ()
    doubt: Sequence[Mapping[str, float]] = ()
    noise: Sequence[Mapping[str, float]] = ()
    min_overlap: Sequence[Mapping[str, Mapping[str, float]]] = ()
    names: list[str] = field(init=False)

    @property
    def by_line(self) -> dict[str, Sequence[Mapping[str, Any]]]:
        """What the result says of each line: key -> a mapping a line."""
        return {
            **{"predicted": self.values, "std": self.std, "doubt": self.doubt, "noise": self.noise},
            "min_overlap": self.min_overlap,
        }

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", list(dict.fromkeys(name for values in self.values for name in values)))


def judge(entries: Sequence[Entry], predictors: Any = None) -> Judgement:
    """Predict all metrics that any line was searched or trained for, for every line, by the same predictors.

    Args:
        entries: the lines.
        predictors: the judges: None or ``default`` (the bundled default ones), ``paper``, or setting -> file.
    """
    import numpy as np

    from ncp.predictors.trust import knows
    from ncp.search.judges import PredictorPanel, read_predictors
    from ncp.search.result import opinions

    given = read_predictors(predictors) if isinstance(predictors, Mapping) else None
    wanted = _wanted(entries, given or {})
    able = [i for i, entry in enumerate(entries) if entry.architecture is not None]
    space: Any = entries[able[0]].space if able else None
    codes = np.array([entry.architecture.code for entry in entries if entry.architecture is not None], dtype=np.float64)
    judges: dict[str, str] = {}
    values: list[dict[str, float]] = [{} for _ in entries]
    spreads: dict[str, list[dict[str, float]]] = {part: [{} for _ in entries] for part in ("doubt", "noise", "std")}
    overlaps: list[dict[str, Mapping[str, float]]] = [{} for _ in entries]
    outside: list[list[str]] = [[] for _ in entries]
    recorded = []
    for setting, metrics in wanted.items() if space is not None else ():
        predictor = given.get(setting) if given is not None else _bundled(setting, predictors)
        if predictor is None or predictor.card.space != space.name:
            recorded += [f"{setting}.{metric}" for metric in metrics]
            for i in able:
                values[i] |= _recorded(entries[i], setting, metrics)
                overlaps[i][setting] = _recorded_overlap(entries[i], setting)
            continue
        said = opinions(PredictorPanel({setting: predictor}, {}), codes)
        card = predictor.card
        bundled = f"the {'paper' if card.kind == 'mlp' else 'default'} predictor"
        name = bundled if given is None else "the predictor given"
        judges[setting] = f"{name}, fitted on {card.rows:,} rows"
        for i, inside in zip(able, knows(predictor, codes), strict=True):
            outside[i] += [] if inside else [setting]
        known = [metric for metric in metrics or predictor.metrics[:1] if metric in predictor.metrics]
        for i, opinion in zip(able, said, strict=True):
            overlaps[i][setting] = predictor.min_overlap
            for metric in known:
                values[i][f"{setting}.{metric}"] = opinion.value[setting][metric]
                for part, figures in spreads.items():
                    figures[i][f"{setting}.{metric}"] = getattr(opinion, part)[setting][metric]
    shown = [name for name in recorded if any(name in v for v in values)]
    return Judgement(judges, values, recorded=shown, outside=outside, min_overlap=overlaps, **spreads)


def _wanted(entries: Sequence[Entry], given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Setting -> metrics to predict: of all searches, trainings and given judges (none: its first), else of the four tasks."""
    out: dict[str, list[str]] = {name: [] for name in given}
    for entry in entries:
        pairs = [(o.setting, o.metric) for o in entry.search.objectives] if entry.search else []
        if entry.training and entry.architecture is not None:
            pairs.append((settings.full_name(entry.training.measures), entry.training.main_metric))
        for setting, metric in pairs:
            out.setdefault(setting, [])
            out[setting] += [metric] if metric not in out[setting] else []
    if not out and any(entry.architecture is not None for entry in entries):
        out = {name: [settings.get(name).main] for name in settings.SHORT.values()}
    return out


def _bundled(setting: str, family: Any) -> Any:
    """The bundled predictor of a setting; None for a setting of the user's own."""
    from ncp.predictors import load

    try:
        return load(setting, family=str(family or FAMILY))
    except UserError:
        if family not in (None, FAMILY, "paper"):
            raise
        return None


def _recorded_overlap(entry: Entry, setting: str) -> Mapping[str, float]:
    return entry.search.min_overlap.get(setting, {}) if entry.search else {}


def _recorded(entry: Entry, setting: str, metrics: Sequence[str]) -> dict[str, float]:
    known = entry.search.predicted.get(setting, {}) if entry.search else {}
    return {f"{setting}.{metric}": value for metric in metrics if (value := known.get(metric)) is not None}
