"""What a fit leaves behind and what it shows: the predictor's file, its errors, and predicted against measured as a picture.

Shape suffixes: K rows held out, M metrics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import ncp
from ncp import runs, terminal
from ncp.benchmark import settings
from ncp.commandline import command_line
from ncp.files import safe_file
from ncp.metrics.kitti_names import labelled
from ncp.report.learning import curve_figure, curve_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ncp.predictors.protocols import HeldOut, Outcome

SHOWN = ("mae", "rmse", "spearman", "kendall", "calibration")
_TITLES = {"mae": "MAE", "rmse": "RMSE", "spearman": "Spearman", "kendall": "Kendall τ", "calibration": "|error| / std"}
_FAMILIES = {
    "mlp": "the paper's predictor",
    "gp": "the default predictor",
    "transfer": "rows and what other settings' predictors know",
}
_COST_UNITS = {
    "flops": {"multires": "billions", "nasbench201": "millions"},
    "params": {"multires": "millions", "nasbench201": "millions"},
}


def write_fit(outcome: Outcome, folder: Path, out: str | Path | None = None) -> dict[str, Path]:
    """Write ``predictor.safetensors``, ``card.json``, ``scatter.png`` and ``curve.png`` into ``folder``; name -> path.

    With ``out`` the weights also go to ``<out>/<setting>.safetensors`` with matrices in half precision, as they are bundled.
    """
    from ncp.report import style

    files = {
        "predictor": outcome.predictor.save(folder / "predictor.safetensors"),
        "card": runs.write_json(folder / "card.json", asdict(outcome.predictor.card)),
    }
    if out is not None:
        import torch

        name = safe_file(outcome.predictor.setting, "setting's name")  # it may come out of a file
        path = Path(out).expanduser() / f"{name}.safetensors"
        files["bundled"] = outcome.predictor.save(path, torch.float16)
    files["picture"] = style.save(errors_figure(outcome), folder / "scatter.png")
    if (curve := outcome.predictor.curve) is not None:
        files["curve"] = style.save(curve_figure(curve, outcome.predictor.setting), folder / "curve.png")
    return files


def summary(outcomes: Mapping[str, Outcome], options: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The content of ``result.json``: ``errors.<setting>.<metric>.<mae, rmse, spearman, kendall, calibration>`` and how."""
    return {
        "command": "fit",
        "version": ncp.__version__,
        "predictor": dict(options.get("predictor") or {}),
        "protocol": options.get("protocol"),
        "seed": options.get("seed"),
        "errors": {name: o.predictor.card.errors for name, o in outcomes.items()},
        "errors_with_wrong_rows": {name: o.all_rows for name, o in outcomes.items() if o.all_rows},
        "without_skill": {name: o.without_skill for name, o in outcomes.items()},
        "min_overlap": {name: o.predictor.min_overlap for name, o in outcomes.items() if o.predictor.min_overlap},
        "rows": {name: o.counts for name, o in outcomes.items()},
        "left_out": {name: o.left_out for name, o in outcomes.items() if o.left_out},
        "description": {name: o.predictor.card.protocol for name, o in outcomes.items()},
        "choice": {name: o.predictor.choice for name, o in outcomes.items() if o.predictor.choice},
        "curve": {name: o.predictor.curve.to_dict() for name, o in outcomes.items() if o.predictor.curve is not None},
        "seconds": {"fit": {name: o.seconds for name, o in outcomes.items()}, "total": seconds},
    }


def show(outcomes: Mapping[str, Outcome], files: Mapping[str, Path]) -> None:
    """Print the table of errors, how they were measured, and where the files are."""
    out = terminal.console()
    out.print()
    out.print(errors_table(outcomes))
    terminal.fields({name: outcome.predictor.card.protocol for name, outcome in outcomes.items()})
    for name, outcome in outcomes.items():
        for reason, number in outcome.left_out.items():
            terminal.say(
                f"{name}: {number:,} {'rows' if number > 1 else 'row'} {reason}, not fitted on", style="yellow"
            )
        for metric, reason in outcome.without_skill.items():
            terminal.say(
                f"warning: the predictor of {name} has not learned {metric}: {reason}; a search for it has to be forced",
                style="yellow",
            )
    out.print()
    terminal.fields({name: terminal.relative(written) for name, written in files.items()})
    if len(outcomes) == 1:
        (setting,) = outcomes
        given: dict[str, Any] = {"predictors": {setting: terminal.relative(files["predictor"])}}
        given |= {"force": True} if outcomes[setting].predictor.metrics[0] in outcomes[setting].without_skill else {}
        terminal.fields({"search with it": command_line("search", objectives=[setting], **given)})
    for outcome in outcomes.values():
        if (curve := outcome.predictor.curve) is not None:
            out.print()
            out.print(curve_table(curve))
            terminal.say(curve.sentence)


def errors_table(outcomes: Mapping[str, Outcome]) -> Any:
    """A rich table: errors of every metric on rows that the predictor was not fitted on."""
    table = terminal.table("Errors on rows not fitted")
    for name in ("setting", "metric", "unit"):
        table.add_column(name, header_style="dim")
    for key in SHOWN:
        table.add_column(_TITLES[key], justify="right", header_style="dim")
    for setting, outcome in outcomes.items():
        space = outcome.predictor.card.space
        for i, metric in enumerate(outcome.held.metrics):
            row = outcome.predictor.card.errors[metric]
            shown = [f"{row[key]:.3f}" if key in row else "-" for key in SHOWN]
            table.add_row(
                setting if i == 0 else "",
                labelled(metric, outcome.predictor.min_overlap),
                unit(metric, setting, space),
                *shown,
                style="bold" if i == 0 else None,
            )
        for rows, errors in outcome.all_rows.items():
            row = errors[outcome.held.metrics[0]]
            which = "fitted on wrong rows too" if rows == "good" else "fitted and measured on wrong rows too"
            shown = [f"{row[key]:.3f}" if key in row else "-" for key in SHOWN]
            table.add_row("", f"{outcome.held.metrics[0]}, {which}", "", *shown, style="dim")
    return table


def unit(metric: str, setting: str, space: str = "multires") -> str:
    """The unit of a table's column, for labels: the setting's for metrics, billions or millions for recorded costs."""
    return _COST_UNITS.get(metric, {}).get(space) or settings.unit(f"{setting}.{metric}")


def errors_figure(outcome: Outcome) -> Figure:
    """Predicted against measured, a panel a metric, over the rows that the predictor was not fitted on."""
    from ncp.report import style

    card, held = outcome.predictor.card, outcome.held
    columns = 2 if len(held.metrics) == 4 else min(len(held.metrics), 3)
    lines = math.ceil(len(held.metrics) / columns)
    width, height = 0.5 + 3.1 * columns, 0.85 + 3.1 * lines
    family = _FAMILIES.get(card.kind, f"predictor {card.kind}")
    crossed = set(outcome.counts) == {"fitted"}
    rows = f"{len(held.measured):,} rows" + (", each predicted by a fit without it" if crossed else " not fitted")
    how = family if crossed else f"{family}, fitted on {card.rows:,} rows"
    fig = style.figure(
        width,
        height,
        f"{card.setting}: predicted and measured",
        rows if columns == 1 else f"{rows}; {how}",
    )
    grid = fig.add_gridspec(
        lines,
        columns,
        left=0.62 / width,
        right=1 - 0.15 / width,
        top=1 - 0.95 / height,
        bottom=0.5 / height,
        wspace=0.32,
        hspace=0.36,
    )
    for i, metric in enumerate(held.metrics):
        ax, overlap = fig.add_subplot(grid[i // columns, i % columns]), outcome.predictor.min_overlap
        _panel(ax, held, i, unit(metric, card.setting, card.space), card.errors[metric], overlap)
    return fig


def _panel(
    ax: Axes, held: HeldOut, i: int, unit: str, errors: Mapping[str, float], overlap: Mapping[str, float]
) -> None:
    from ncp.report import style

    measured_K, predicted_K = held.measured[:, i], held.predicted[:, i]
    both, given = np.concatenate([measured_K, predicted_K]), f" ({unit})" if unit else ""
    pad = 0.03 * max(float(np.ptp(both)), 1e-6)
    ends = (float(both.min()) - pad, float(both.max()) + pad)
    metric = held.metrics[i]
    colour = style.COST if metric in _COST_UNITS else style.BLUE
    style.dress(
        ax, f"recorded {metric}" if metric in _COST_UNITS else labelled(metric, overlap), unit, f"measured{given}"
    )
    ax.set_ylabel(f"predicted{given}", size=8.5, color=style.GREY, labelpad=2)
    ax.plot(ends, ends, color=style.GREY, linewidth=0.9, zorder=1)
    ax.scatter(measured_K, predicted_K, s=7, color=colour, alpha=0.45, linewidths=0, zorder=2)
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.set_aspect("equal")
    figures = [f"MAE {errors['mae']:.2f} {unit}".replace(" %", " points").rstrip()]
    figures += [f"τ {errors['kendall']:.2f}"] if "kendall" in errors else []
    box = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 2}
    ax.text(0.04, 0.96, "\n".join(figures), transform=ax.transAxes, va="top", size=8.5, color=style.INK, bbox=box)
