"""A latency model against what was measured, and the reference network's times while it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from ncp.report import style

if TYPE_CHECKING:
    from ncp.latency.model import Latency


def logarithmic(axis: Any) -> None:
    """Make an axis (``ax.xaxis``) logarithmic, with plain numbers at 1, 2, 5, 10, ..."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(ticker.NullLocator())


def figure(model: Latency, rows: Mapping[str, Sequence[Any]]) -> Figure:
    """Predicted against measured milliseconds of every network; beside it the reference, where there was one.

    Args:
        model: that was fitted.
        rows: columns ``kind`` (fit, check, reference), ``code`` and ``ms``.
    """
    kinds, times = np.array(rows["kind"]), np.array(rows["ms"], dtype=np.float64)
    reference = times[kinds == "reference"]
    card = model.card
    error = (
        ""
        if card.median_error is None
        else f"median error {100 * card.median_error:.1f} % on {card.held} unseen networks"
    )
    fig = style.figure(
        8.6 if len(reference) else 5.4, 4.6, "Latency, predicted and measured", f"{card.described()}\n{error}"[:150]
    )
    width = 0.42 if len(reference) else 0.82
    ax = fig.add_axes((0.09, 0.12, width, 0.64))
    style.dress(ax, "Predicted", "ms", "measured, ms")
    shown = [("fit", "fitted", style.SKY), ("check", "not seen by the model", style.VERMILION)]
    for kind, label, colour in shown:
        mine = kinds == kind
        if not mine.any():
            continue
        codes = [model.space.parse(text) for text, one in zip(rows["code"], mine, strict=True) if one]
        ax.scatter(times[mine], model.predict(codes), s=16, color=colour, linewidth=0, label=label, zorder=3)
    low, high = times[kinds != "reference"].min() * 0.8, times[kinds != "reference"].max() * 1.25
    ax.plot([low, high], [low, high], color=style.GREY, linewidth=1, zorder=1)
    logarithmic(ax.xaxis)
    logarithmic(ax.yaxis)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.legend(frameon=False, fontsize=8, loc="upper left")
    if len(reference):
        other = fig.add_axes((0.62, 0.12, 0.35, 0.64))
        style.dress(other, "Reference network", "ms", "its runs, in order")
        other.plot(
            np.arange(1, len(reference) + 1), reference, color=style.BLUE, marker="o", markersize=3, linewidth=1.2
        )
        other.set_ylim(0, reference.max() * 1.15)
    return fig
