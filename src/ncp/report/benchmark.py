"""The benchmark's statistics as pictures and tables: the paper's Figure 4, Figure 5 and Table 6; records for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ncp import terminal
from ncp.benchmark import settings
from ncp.metrics.kitti_names import labelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ncp.benchmark.collection import Benchmark
    from ncp.benchmark.statistics import Correlation, MetricSummary, Rankings
    from ncp.benchmark.table import Record

Rows = list[list[str]]  # a table of texts, its head first
_TURNED = 35  # degrees by which the names below a matrix are turned
_RULES = {
    "all": "all shared architectures",
    "clean": "without failed trainings and suspect batches",
    "paper": "the architectures of the paper's 3ddet run",
}


def correlation_figure(correlation: Correlation, title: str = "Spearman's rank correlation") -> Figure:
    """A matrix of rank correlations with a number in every cell (paper, Figure 4 and Figure 5 a)."""
    from matplotlib.colors import LinearSegmentedColormap

    from ncp.report import style

    m = len(correlation.labels)
    longest = max(style.text_width(label, 9) for label in correlation.labels)
    left = max(1.05, longest + 0.15)
    below = max(0.85, longest * math.sin(math.radians(_TURNED)) + 0.25)
    width, height = left + 0.66 * m + 0.55, below + 0.56 * m + 0.8
    # white at zero (a quarter of the way from -1/3 to 1), orange below and blue above: the sign is seen by everyone
    colours = LinearSegmentedColormap.from_list(
        "correlation", [style.ORANGE, "#FFFFFF", style.SKY, style.BLUE, "#08306B"]
    )
    fig = style.figure(width, height, title, f"{correlation.rows:,} architectures: {_RULES[correlation.rule]}")
    ax = fig.add_axes((left / width, below / height, 0.66 * m / width, 0.56 * m / height))
    ax.pcolormesh(correlation.matrix, cmap=colours, vmin=-1 / 3, vmax=1, edgecolors="white", linewidth=1.5)
    for i in range(m):
        for j in range(m):
            value = correlation.matrix[i, j]
            ink = "white" if value > 0.55 else style.INK
            ax.text(j + 0.5, i + 0.5, f"{value:.3f}", ha="center", va="center", size=9, color=ink)
    ax.set_xticks(
        [k + 0.5 for k in range(m)], correlation.labels, size=9, rotation=_TURNED, ha="right", rotation_mode="anchor"
    )
    ax.set_yticks([k + 0.5 for k in range(m)], correlation.labels, size=9)
    ax.invert_yaxis()
    ax.tick_params(length=0, pad=3, colors=style.INK)
    for side in ax.spines.values():
        side.set_visible(False)
    return fig


def rankings_figure(rankings: Rankings, title: str) -> Figure:
    """Rank under the first metric against rank under each other one (paper, Figure 5 b and c); 1 is the best."""
    from ncp.report import style

    labels = rankings.correlation.labels
    panels = len(labels) - 1
    width, height = 0.9 + 3.7 * panels, 4.5
    subtitle = f"{rankings.correlation.rows:,} architectures; 1 is the best; on the line both metrics agree"
    fig = style.figure(width, height, title, subtitle)
    grid = fig.add_gridspec(
        1, panels, left=0.75 / width, right=1 - 0.2 / width, wspace=0.28, top=1 - 0.95 / height, bottom=0.6 / height
    )
    n = len(rankings.ranks)
    size = 5 if n > 100 else 30
    for k in range(1, panels + 1):
        ax = fig.add_subplot(grid[0, k - 1])
        agreement = rankings.correlation.matrix[0, k]
        style.dress(ax, f"{labels[k]} (Spearman {agreement:.3f})", x_label=f"rank by {labels[0]}")
        ax.set_ylabel(f"rank by {labels[k]}", size=8.5, color=style.GREY)
        ax.plot([1, n], [1, n], color=style.INK, linewidth=1, zorder=3)
        ax.scatter(
            rankings.ranks[:, 0], rankings.ranks[:, k], s=size, color=style.CYCLE[k - 1], alpha=0.6, linewidths=0
        )
        ax.set_xlim(0, n + 1)
        ax.set_ylim(0, n + 1)
    return fig


def table6(summaries: Sequence[MetricSummary]) -> Rows:
    """The lower part of the paper's Table 6, one row a setting."""
    head = ["Setting", "Paper", "Main metric", "Rows", "Mean", "Std", "Prediction loss"]
    return [
        head,
        *(
            [
                s.setting, s.paper_name, s.metric, f"{s.rows:,}", _figure(s, s.mean), _figure(s, s.std),
                "" if s.prediction_loss is None else f"{s.prediction_loss:.2f}",
            ]
            for s in summaries
        ),
    ]  # fmt: skip


def _figure(summary: MetricSummary, value: float) -> str:
    return settings.figure_text(f"{summary.setting}.{summary.metric}", value)


def correlation(matrix: Correlation) -> Rows:
    """A correlation matrix as a table of numbers with three decimals."""
    return [
        ["", *matrix.labels],
        *([label, *(f"{v:.3f}" for v in row)] for label, row in zip(matrix.labels, matrix.matrix, strict=True)),
    ]


def records(answers: Iterable[Record]) -> Rows:
    """Records for other programs: one row each, one column a metric, all numbers as they are known; a deviation a column too."""
    answers = list(answers)
    names = list(dict.fromkeys(labelled(name, r.min_overlap) for r in answers for name in r.metrics))
    guessed = [name for name in names if any(name in _deviations(r) for r in answers)]
    out = [["Setting", *names, *(f"{name} std" for name in guessed), "MACs", "Params", "Architecture", "Note"]]
    for record in answers:
        note = ["predicted"] if record.predicted else [f"row {record.row}"]
        note += [f"epoch {record.epoch}"] if record.epoch is not None else []
        note += record.flags
        known = {labelled(name, record.min_overlap): value for name, value in record.metrics.items()}
        cells = [(known, name) for name in names] + [(_deviations(record), name) for name in guessed]
        numbers = [repr(float(by_name[name])) if name in by_name else "" for by_name, name in cells]
        cost = [str(record.macs), str(record.params)]
        out.append([record.setting, *numbers, *cost, record.architecture.text, ", ".join(note)])
    return out


def _deviations(record: Record) -> dict[str, float]:
    """Of a predicted record, by the metrics' names as they are shown."""
    deviations = (record.std or {}) if record.predicted else {}
    return {labelled(name, record.min_overlap): value for name, value in deviations.items()}


def _metric(record: Record, name: str) -> str:
    objective = f"{record.setting}.{name}"
    value = settings.figure_text(objective, record.metrics[name])
    deviation = (record.std or {}).get(name) if record.predicted else None
    spread = "" if deviation is None else f" ±{settings.figure_text(objective, deviation)}"
    return f"~{value}{spread}" if record.predicted else value


def imports(benchmark: Benchmark) -> Rows:
    """What an import did: rows kept, refused and flagged for each table."""
    out = [["Setting", "Rows", "Refused", "Flagged"]]
    for name, table in benchmark.items():
        flagged = ", ".join(f"{int(mask.sum())} {flag}" for flag, mask in table.flags.items())
        out.append([name, f"{len(table):,}", f"{len(table.provenance.refused):,}", flagged])
    return out


def as_rich(rows: Rows, title: str = "") -> Any:
    """For a terminal; columns of numbers are set to the right."""
    table = terminal.table(title, ruled=True)
    for i, name in enumerate(rows[0]):
        numeric = all(_is_number(row[i]) for row in rows[1:])
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows[1:]:
        table.add_row(*row)
    return table


def as_csv(rows: Rows) -> str:
    """For a spreadsheet; numbers without thousands separators."""
    cells = ([cell.replace(",", "") if _is_number(cell) else cell for cell in row] for row in rows[1:])
    return terminal.csv_text([rows[0], *cells])


def as_data(answers: Mapping[str, Record] | Iterable[Record]) -> list[dict[str, Any]]:
    """Records as plain values for ``result.json``."""
    listed = answers.values() if isinstance(answers, Mapping) else answers
    return [
        {
            "setting": r.setting, "architecture": {"code": list(r.architecture.code), "text": r.architecture.text},
            "metrics": r.metrics, "std": r.std, "predicted": r.predicted, "epoch": r.epoch, "row": r.row,
            "min_overlap": dict(r.min_overlap), "flags": list(r.flags), "cost": {"macs": r.macs, "params": r.params},
        }
        for r in listed
    ]  # fmt: skip


def brief(answers: Iterable[Record]) -> Rows:
    """Records for a narrow terminal: numbered, metrics in one cell, without the architectures."""
    out = [["", "Setting", "Metrics", "MACs (G)", "Params (M)", "Note"]]
    for number, record in enumerate(answers, start=1):
        metrics = ", ".join(
            f"{labelled(name, record.min_overlap)} {_metric(record, name)}"
            for name in record.metrics
            if "/" not in name
        )
        note = ", ".join([*(["predicted"] if record.predicted else []), *record.flags])
        cost = [f"{record.macs / 1e9:.3f}", f"{record.params / 1e6:.3f}"]
        out.append([str(number), record.setting, metrics, *cost, note])
    return out


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "") or 0)
    except ValueError:
        return False
    return True


def as_markdown(rows: Rows) -> str:
    """For a README."""
    lines = ["| " + " | ".join(map(terminal.markdown, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]) + "\n"
