"""Strategies side by side: a row a run, a table of what they reach, and a picture of how fast.

Shape suffixes: R runs, Q evaluations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import files, runs, terminal
from ncp.benchmark import settings
from ncp.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ncp.search.querying.compare import Comparison, Problem, Runs

COLUMNS = 4  # of panels
DASHES = ("solid", (0, (4, 2)), (0, (1, 1.5)))  # more strategies than colours


def published(metric: str) -> float:
    """By what papers multiply ``setting.metric``."""
    setting, _, name = metric.rpartition(".")
    known = settings.SETTINGS.get(settings.full_name(setting))
    return known.published.get(name, 1.0) if known else 1.0


def rows(comparison: Comparison) -> list[list[Any]]:
    """``compare.csv``: a row a run, with all metrics of what it found."""
    metrics = list(dict.fromkeys(name for problem in comparison.problems for name in problem.metrics))
    out: list[list[Any]] = [
        [
            "objective",
            "strategy",
            "seed",
            "architecture",
            *metrics,
            "rank",
            "mean_rank",
            "queries",
            "earlier",
            "seconds",
        ]
    ]
    for run in comparison.runs:
        space, ground = run.problem.ground.space, run.problem.ground
        texts = space.texts(ground.codes(run.found))
        columns = [run.value(name) if name in run.problem.metrics else None for name in metrics]
        mean_rank = None if run.problem.ranks_K is None else run.problem.ranks_K[run.found].mean(1)
        for i, seed in enumerate(run.seeds):
            values = ["" if c is None or np.isnan(c[i]) else repr(float(c[i])) for c in columns]
            rank = "" if run.rank is None else int(run.rank[i])
            mean = "" if mean_rank is None else round(float(mean_rank[i]), 3)
            tail = [rank, mean, comparison.queries, run.spent, f"{run.seconds:.4g}"]
            out.append([run.problem.name, run.strategy, seed, texts[i], *values, *tail])
    return out


def summary(comparison: Comparison) -> list[dict[str, Any]]:
    """One entry a problem and strategy: values (as papers print them), ranks, and whether the difference may be chance.

    ``chance`` is the p-value of a two-sided Mann-Whitney test on the fitness of what was found, against the first strategy.
    """
    out = []
    for run in comparison.runs:
        first = comparison.of(run.problem, comparison.strategies[0])
        entry: dict[str, Any] = {
            "objective": run.problem.name,
            "strategy": run.strategy,
            "values": {name: _spread(run.value(name) * published(name)) for name in run.problem.signs},
            "within": float(run.kept.mean()),
            "seconds": run.seconds,
            "earlier": run.spent,
            "regret": _spread(best_known(comparison, run.problem) - run.so_far[:, -1]),
            "chance": None if run is first else _chance(run, first),
        }
        if run.problem.ranks_K is not None and run.rank is not None:
            entry["rank"] = _spread(run.rank)
            entry["mean_rank"] = _spread(run.problem.ranks_K[run.found].mean(1))
            entry["best_mean_rank"] = float(run.problem.ranks_K.mean(1).min())
        out.append(entry)
    return out


def _spread(values: np.ndarray) -> dict[str, float]:
    values = values[np.isfinite(values)]
    if not len(values):
        return {"mean": float("nan"), "std": float("nan"), "median": float("nan")}
    return {"mean": float(values.mean()), "std": float(values.std()), "median": float(np.median(values))}


def _chance(run: Runs, other: Runs) -> float:
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(run.so_far[:, -1], other.so_far[:, -1], method="asymptotic").pvalue)


def overall(comparison: Comparison) -> list[dict[str, Any]]:
    """Over all problems that were searched apart: per strategy the mean rank of each run, as ``rank`` in :func:`summary`."""
    if any(problem.ranks is None for problem in comparison.problems):
        return []
    out = []
    for name in comparison.strategies:
        found = [comparison.of(problem, name).rank for problem in comparison.problems]
        out.append({"strategy": name, "rank": _spread(np.mean([rank for rank in found if rank is not None], axis=0))})
    return out


def table(comparison: Comparison, brief: bool = False) -> list[list[str]]:
    """For the terminal and ``summary.csv``; ``brief``: several objectives are named by one of them."""
    ranked = any(problem.ranks is not None for problem in comparison.problems)
    entries = summary(comparison)
    earlier = any(entry["earlier"] for entry in entries)
    head = [
        "Objective",
        "Strategy",
        "Reached",
        *(["Rank, median", "mean"] if ranked else []),
        "Chance",
        *(["Earlier"] if earlier else []),
        "s a run",
    ]
    out = [head]
    for entry in entries:
        values = entry["values"].items()
        several = len(values) > 1
        reached = (
            f"mean rank {entry['mean_rank']['median']:.1f} (best {entry['best_mean_rank']:.1f})"
            if several and "mean_rank" in entry
            else ", ".join(f"{each['mean']:.2f}±{each['std']:.2f}" for _, each in values)
        )
        if entry["within"] < 1:
            reached = f"{reached}, {entry['within']:.0%} within" if entry["within"] else "none within the budget"
        ranks = [f"{entry['rank']['median']:.4g}", f"{entry['rank']['mean']:.1f}"] if "rank" in entry else [""] * 2
        chance = "" if entry["chance"] is None else _small(entry["chance"])
        objective = _title(entry["objective"]) if brief else entry["objective"]
        cells = [objective, entry["strategy"], reached, *(ranks if ranked else []), chance]
        before = f"{entry['earlier']:,}" if entry["earlier"] else ""
        out.append([*cells, *([before] if earlier else []), f"{entry['seconds']:.3g}"])
    if len(comparison.problems) > 1:
        for each in overall(comparison):
            rank = each["rank"]
            cells = ["mean of all", each["strategy"], "", f"{rank['median']:.1f}", f"{rank['mean']:.1f}"]
            out.append([*cells, *[""] * (len(head) - len(cells))])
    return out


def _small(chance: float) -> str:
    return "< 0.001" if chance < 0.001 else f"{chance:.3f}"


# ---- picture


def regret_figure(comparison: Comparison) -> Figure:
    """Best so far against evaluations, a panel a problem, a line a strategy: the median, and half of the runs as a band.

    Where the ranks of all architectures are known the rank is shown (logarithmic), else how far below the best of all runs.
    """
    problems = comparison.problems
    columns = min(COLUMNS, len(problems))
    lines = -(-len(problems) // columns)
    count = len(comparison.strategies)
    seeds = len(comparison.runs[0].seeds)
    under = f"{_words(problems)}; median and middle half of {seeds} runs"
    width = max(5.5 if count < 6 else 8.5, 0.75 + 2.9 * columns, style.text_width(under, 9.5) + 0.25)
    abreast = max(3, int(width / 1.45))  # names of strategies below each other and side by side
    under_all = 0.22 * (-(-count // abreast) - 1)
    height = 1.35 + (2.2 if lines > 1 or count < 6 else 3.2) * lines + under_all
    fig = style.figure(width, height, "Strategies under the same number of evaluations", under)
    grid = fig.add_gridspec(
        lines, columns, left=0.6 / width, right=1 - 0.15 / width, top=1 - 0.95 / height,
        bottom=(0.75 + under_all) / height, wspace=0.25, hspace=0.5,
    )  # fmt: skip
    for i, problem in enumerate(problems):
        ax = fig.add_subplot(grid[i // columns, i % columns])
        style.dress(ax, _title(problem.name), _unit(problem), "evaluations" if i + columns >= len(problems) else "")
        for number, name in enumerate(comparison.strategies):
            low, middle, high = np.quantile(_curves(comparison, problem, name), (0.25, 0.5, 0.75), axis=0)
            x = np.arange(1, len(middle) + 1)
            colour, dash = style.CYCLE[number % len(style.CYCLE)], DASHES[number // len(style.CYCLE) % len(DASHES)]
            ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0, step="post")
            ax.step(x, middle, color=colour, linewidth=1.6, linestyle=dash, where="post", label=name)
        if problem.ranks is not None:
            ax.set_yscale("log")
        ax.set_xlim(1, comparison.queries)
    handles, labels = fig.axes[0].get_legend_handles_labels()
    fig.legend(
        handles,
        labels,
        loc="lower left",
        ncols=min(abreast, len(labels)),
        frameon=False,
        fontsize=8.5,
        bbox_to_anchor=(0.03, 0),
    )
    return fig


def seconds_figure(comparison: Comparison) -> Figure:
    """How far below the best each strategy ends against its own seconds: a panel a problem, a point a strategy."""
    from ncp.report.labels import label_points
    from ncp.report.latency import logarithmic

    problems = comparison.problems
    columns = min(COLUMNS, len(problems))
    lines = -(-len(problems) // columns)
    width, height = max(8.0, 0.75 + 3.6 * columns), 1.15 + 2.9 * lines
    under = f"{_words(problems)}, median of all runs; without what an evaluation takes"
    fig = style.figure(width, height, "What a strategy reaches, and its own time", under)
    grid = fig.add_gridspec(
        lines, columns, left=0.65 / width, right=1 - 0.3 / width, top=1 - 0.95 / height, bottom=0.55 / height,
        wspace=0.3, hspace=0.5,
    )  # fmt: skip
    for i, problem in enumerate(problems):
        ax = fig.add_subplot(grid[i // columns, i % columns])
        style.dress(ax, _title(problem.name), _unit(problem), "seconds a run")
        names = comparison.strategies
        x = [max(comparison.of(problem, name).seconds, 1e-4) for name in names]
        y = [float(np.median(_curves(comparison, problem, name)[:, -1])) for name in names]
        colours = [style.CYCLE[number % len(style.CYCLE)] for number in range(len(names))]
        ax.scatter(x, y, s=36, color=colours, zorder=2)
        logarithmic(ax.xaxis)
        if max(x) > 30 * min(x):
            from matplotlib import ticker

            ax.xaxis.set_major_locator(ticker.LogLocator())
        ax.margins(0.15)
        ax.autoscale_view()
        label_points(ax, x, y, names, [style.INK] * len(names))
    return fig


def _title(name: str) -> str:
    """A problem's name for people."""
    names = name.split("+")
    return names[0] if len(names) == 1 else f"{len(names)} objectives, e.g. {names[0]}"


def _words(problems: Sequence[Problem]) -> str:
    ranked = all(problem.ranks is not None for problem in problems)
    return "rank of the best so far among all rows of the table" if ranked else "distance to the best that is known"


def _unit(problem: Problem) -> str:
    """Of what a panel shows: ranks, points of a percentage; of several objectives, which are standardised, deviations."""
    if problem.ranks is not None:
        return "rank"
    if len(problem.signs) > 1:
        return "standard deviations"
    return "% points" if settings.unit(next(iter(problem.signs))) else ""


def _curves(comparison: Comparison, problem: Problem, strategy: str) -> np.ndarray:
    """``(R, Q)`` what the panel shows."""
    run = comparison.of(problem, strategy)
    if problem.ranks is not None:
        out: np.ndarray = np.minimum.accumulate(problem.ranks[run.asked], axis=1)
        return out
    return best_known(comparison, problem) - run.so_far


def best_known(comparison: Comparison, problem: Problem) -> float:
    """The largest fitness that is known of: of all runs, or of a search that may look at everything."""
    runs = max(float(comparison.of(problem, name).so_far.max()) for name in comparison.strategies)
    return runs if problem.best is None else max(runs, problem.best)


# ---- files


def write(comparison: Comparison, folder: Path, options: Any) -> dict[str, Path]:
    """``compare.csv``, ``summary.csv``, ``result.json`` and ``regret.png``; name -> path."""
    content = {
        "command": "compare",
        "options": options,
        "queries": comparison.queries,
        "seeds": len(comparison.runs[0].seeds),
        "summary": summary(comparison),
        "overall": overall(comparison),
        "seconds": {"total": runs.seconds()},
    }
    return {
        "result": runs.write_result(folder, content),
        "runs": files.write_text(folder / "compare.csv", terminal.csv_text(rows(comparison))),
        "summary": files.write_text(folder / "summary.csv", terminal.csv_text(table(comparison))),
        "picture": style.save(regret_figure(comparison), folder / "regret.png"),
        "time": style.save(seconds_figure(comparison), folder / "seconds.png"),
    }


def show(comparison: Comparison, written: Iterable[Path]) -> None:
    """Print the table and where the files are."""
    from ncp.report.benchmark import as_rich

    seeds = len(comparison.runs[0].seeds)
    title = f"{comparison.queries} evaluations a run, {seeds} runs (chance: Mann-Whitney against {comparison.strategies[0]})"
    terminal.console().print(as_rich(table(comparison, brief=True), title), end="\n\n")
    for path in written:
        terminal.say(f"  {terminal.relative(path)}")
