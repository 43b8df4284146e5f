"""The table at the end of a search: what was found beside where it began and the space's default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ncp import terminal
from ncp.benchmark import settings
from ncp.metrics.kitti_names import labelled, labelled_objective
from ncp.numeric import several

if TYPE_CHECKING:
    from ncp.search.result import Candidate, Opinion, Result

LEARNED_COSTS = ("flops", "params")  # predicted beside the metrics, but exact cost is known
_COSTS = (("multiply-adds", "macs", 1e9, "G"), ("parameters", "params", 1e6, "M"))


def references(result: Result) -> dict[str, Candidate]:
    """What the found architecture is told against: the default code, and the start if one was given."""
    out = {"default": result.default}
    if result.before.architecture != result.default.architecture:
        out["start"] = result.before
    return out


def asked_by(panel: dict[str, str]) -> str:
    """Who predicts, in words: one name where it is the same for all settings."""
    names = set(panel.values())
    return names.pop() if len(names) == 1 else ", ".join(f"{setting}: {name}" for setting, name in panel.items())


def comparison(result: Result, title: str, kappa: Any = None) -> Any:
    """A rich table: predicted metrics with their two uncertainties, and cost; gains against the references.

    Args:
        result: of a search.
        title: above the table.
        kappa: how many times its doubt the search took off a prediction; None where that is not known.
    """
    before = references(result)
    table = terminal.table(title, _caption(result, kappa))
    table.add_column("")
    for name in (*before, "found", "± doubt", "± noise", *(f"against {name}" for name in before)):
        table.add_column(name, justify="right", header_style="dim")
    two = result.judge != result.predictor
    _metric_rows(table, result, "predicted", f"predicted by {asked_by(result.predictor)}" if two else "predicted")
    if two:
        _metric_rows(table, result, "judged", f"judged by {asked_by(result.judge)}")
    for name, key, unit, letter in _COSTS:
        values = [getattr(c, key) for c in (*before.values(), result.found)]
        changes = [f"{100 * (values[-1] / value - 1):+.0f} %" for value in values[:-1]]
        table.add_row(name, *(f"{value / unit:.3f} {letter}" for value in values), "", "", *changes)
    for quantity in result.trajectory.objectives.quantities:
        values = [c.others[quantity.name] for c in (*before.values(), result.found)]
        changes = [f"{100 * (values[-1] / value - 1):+.0f} %" for value in values[:-1]]
        std = result.found.others.get(f"{quantity.name}_std")
        doubt = "" if std is None else f"± {std:.3g}"
        cells = [f"{value:.4g} {quantity.unit}" for value in values]
        table.add_row(quantity.words, *cells, doubt, "", *changes)
    how = several(result.trajectory.starts, "start")
    table.add_row("search", *[""] * (len(before) - 1), how, f"{result.seconds:.2f} s", style="dim")
    return table


def _metric_rows(table: Any, result: Result, who: str, words: str) -> None:
    before = references(result)
    wanted = {o.name for o in result.objectives}
    opinion: Opinion = getattr(result.found, who)
    for setting, metrics in opinion.value.items():
        for metric, value in metrics.items():
            name = f"{setting}.{metric}"
            if metric in LEARNED_COSTS and name not in wanted:
                continue
            old = [getattr(c, who).value[setting][metric] for c in before.values()]
            cells = [_measured(name, v, c.known) for v, c in zip(old, before.values(), strict=True)]
            doubts = [_spread(name, part[setting][metric]) for part in (opinion.doubt, opinion.noise)]
            changes = [settings.figure_text(name, value - v, sign="+") for v in old]
            strong = name in wanted and (who == "judged" or result.judge == result.predictor)
            found = _measured(name, value, result.found.known)
            table.add_row(
                f"{setting} {labelled(metric, opinion.min_overlap.get(setting, {}))}, {words}",
                *cells,
                found,
                *doubts,
                *changes,
                style="bold" if strong else None,
            )


def _measured(name: str, value: float, known: bool = True) -> str:
    return " ".join(filter(None, (settings.figure_text(name, value), settings.unit(name), "" if known else "*")))


def _spread(name: str, std: float) -> str:
    return f"± {settings.figure_text(name, std)}" if std > 1e-4 else "-"


def _caption(result: Result, kappa: Any) -> str:
    taken = "" if kappa is None else f", of which the search takes off {kappa:g}"
    lines = [
        f"strategy {result.strategy}: {result.trajectory.walk.reason}",
        f"± doubt: one standard deviation of the predictor's own doubt{taken}; ± noise: of one training's result around that",
    ]
    if not all(c.known for c in (result.found, *references(result).values())):
        lines.append("* extrapolated: outside of the architectures that the predictor was fitted on")
    return "\n".join(lines)


def in_a_line(result: Result) -> str:
    """The objectives' figures in the eyes of the judge, for one search among many."""
    parts = []
    for o in result.objectives:
        judged = (
            result.found.judged if o.metric in result.found.judged.value.get(o.setting, {}) else result.found.predicted
        )
        value, doubt, noise = (part[o.setting][o.metric] for part in (judged.value, judged.doubt, judged.noise))
        spreads = [f"{_spread(o.name, s)} {word}" for s, word in ((doubt, "doubt"), (noise, "noise")) if s > 1e-4]
        name = labelled_objective(o.name, [judged.min_overlap])
        parts.append(f"{name} {_measured(o.name, value)}" + (f" ({', '.join(spreads)})" if spreads else ""))
    return ", ".join(parts)
