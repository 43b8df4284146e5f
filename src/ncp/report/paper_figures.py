"""The paper's Figures 3 to 24, drawn from the searches done here in one style."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import runs, spaces
from ncp.errors import UserError
from ncp.paper import printed
from ncp.paper.searches import LAMBDAS, TASKS, flops_of, get
from ncp.report import propagation, style
from ncp.report.bars import dimensions_figure
from ncp.report.benchmark import correlation_figure, rankings_figure
from ncp.report.labels import label_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ncp.benchmark.statistics import Rankings
    from ncp.paper.judging import Judges
    from ncp.paper.searches import SearchResults
    from ncp.report.canvas import Canvas
    from ncp.search.result import Result

Drawn = dict[str, "Figure | Canvas"]
SHORT = {"NCP-Net-M winner takes all": "NCP-Net-M (winner)"}  # beside points
WORDS = {"cls": "Classification", "seg": "Segmentation", "video": "Video recognition", "3ddet": "3D detection"}
# figures of one search each: number -> search
ONE = {
    15: "cls-a", 16: "cls-b", 17: "cls-c", 18: "cls-abc", 19: "seg", 20: "seg-4x", 21: "seg-both", 22: "video",
    23: "video-p", 24: "video-both",
}  # fmt: skip
TRANSFERS = {9: "cls", 10: "seg", 11: "video", 12: "3ddet"}
SIDE_BY_SIDE = {
    8: ("found for four tasks", {"Cls": "cls", "Seg": "seg", "3dDet": "3ddet", "Video": "video"}),
    13: ("found for two settings of segmentation", {"512x1024": "seg", "128x512": "seg-4x", "Both": "seg-both"}),
    14: ("found for two settings of video", {"Scratch": "video", "Pretrained": "video-p", "Both": "video-both"}),
}
# Figure 7: task -> (its table, the figure's name, the same in words); 3D detection's baselines are printed nowhere as numbers
EFFICIENCY = {
    "cls": (5, "cls-50-1000.top1", "top-1 on ImageNet-50-1000, %"),
    "seg": (2, "seg.mIoU", "mIoU on Cityscapes, %"),
    "3ddet": (3, "3ddet.moderate", "car AP on KITTI, moderate, %; others are printed in a picture alone"),
    "video": (9, "video.top1", "top-1 on HMDB51, %"),
}


def described() -> list[list[str]]:
    """What each figure shows, and what of it cannot be told here; a row a figure or several alike, for the page."""
    return [
        ["Figure", "What is drawn", "What is not, and why"],
        ["1, 2", "", "drawings of the method"],
        ["3", "the two strategies for segmentation, every dimension over the iterations", ""],
        ["4", "rank correlations of the nine settings, as printed and from the imported tables", ""],
        ["5 (a)", "rank correlations of epochs, as printed",
         "the released tables hold final figures alone; a build that evaluates every few epochs would tell"],
        ["5 (b)", "rankings by three metrics of segmentation, from the imported table", ""],
        ["5 (c)", "rankings by four metrics of 3D detection, of the eleven networks of Table 3 as printed",
         "the released table holds the cars' 3D precision alone; a build of 3ddet records all four"],
        ["6", "a walk on NAS-Bench-201 among all its cells, and their true accuracy", ""],
        ["7", "cost and performance on four tasks: printed networks, found ones expected by a judge",
         "baselines of 3D detection: the paper has them as a picture, without numbers"],
        ["8, 13, 14", "found architectures side by side: four tasks, settings of segmentation, settings of video", ""],
        ["9 to 12", "from each task to the three others, every dimension over the iterations", ""],
        ["15 to 18", "classification settings alone and together (λ = 0.7), over 70 iterations as section 4.1 says",
         "some of the paper's pictures go on to 200 iterations; here the walks have settled, or swing, after 20"],
        ["19 to 24", "settings of segmentation and of video, alone and together", ""],
    ]  # fmt: skip


def draw(number: int, found: SearchResults, judges: Judges) -> Drawn:
    """Draw a figure; name -> picture.

    Args:
        number: of :data:`ncp.paper.printed.FIGURES`.
        found: results so far, to which those that the figure needs are added.
        judges: for tables and expected figures.

    Raises:
        UserError: for another number, or a figure of a table that is not imported.
    """
    if number in ONE:
        return {f"figure{number}": _one(number, ONE[number], found)}
    if number in TRANSFERS:
        return {f"figure{number}": _transfers(number, TRANSFERS[number], found)}
    if number in SIDE_BY_SIDE:
        return {f"figure{number}": _side_by_side(number, found)}
    special: dict[int, Callable[[SearchResults, Judges], Drawn]] = {
        3: _figure3,
        4: _figure4,
        5: _figure5,
        6: _figure6,
        7: _figure7,
    }
    if number not in special:
        raise UserError(f"figure is one of {', '.join(map(str, printed.FIGURES))}, given was {number}")
    return special[number](found, judges)


def _walk(result: Result, name: str = "") -> propagation.DrawnWalk:
    names = [o.name for o in result.objectives]
    overlaps = result.found.predicted.min_overlap
    return propagation.DrawnWalk(name, result.trajectory.to_table(), names, result.trajectory.best[1], overlaps)


def _within(task: str) -> str:
    """A task's words within a sentence."""
    words = WORDS[task]
    return words[0].lower() + words[1:]


def _space() -> spaces.Space[Any]:
    return spaces.get("multires")


def _one(number: int, name: str, found: SearchResults) -> Canvas:
    wanted, result = get(name), found.faithful(name)
    names = wanted.objectives
    title = f"Figure {number}: one architecture for {' and '.join(filter(None, (', '.join(names[:-1]), names[-1])))}"
    under = f"the paper's strategy, λ = {wanted.lam:g}; {result.trajectory.walk.reason}"
    return propagation.search_figure(_walk(result), _space(), title, under)


def _transfers(number: int, source: str, found: SearchResults) -> Canvas:
    walks = [_walk(found.faithful(f"{source}-to-{to}"), f"to {_within(to)}") for to in TASKS if to != source]
    title = f"Figure {number}: from {_within(source)} to the other tasks"
    return propagation.transfer_figure(
        walks,
        _space(),
        title,
        "the paper's strategy, λ = 0.5, from the code found for the first task; lines: the code, dots: what is returned",
    )


def _side_by_side(number: int, found: SearchResults) -> Figure:
    what, names = SIDE_BY_SIDE[number]
    shown = {label: found.faithful(name).architecture for label, name in names.items()}
    return dimensions_figure(shown, _space(), f"Figure {number}: architectures {what}", "the paper's strategy, λ = 0.5")


def _figure3(found: SearchResults, judges: Judges) -> Drawn:
    walks = [_walk(found.faithful("seg-m"), "continuous"), _walk(found.faithful("seg-m-winner"), "winner takes all")]
    under = "segmentation, λ = 0.3; lines: the code, dots: the architecture returned"
    return {"figure3": propagation.transfer_figure(walks, _space(), "Figure 3: the two strategies", under)}


def _figure4(found: SearchResults, judges: Judges) -> Drawn:
    from ncp.benchmark.statistics import Correlation, figure4

    stated = printed.statistics()
    labels = tuple(_paper_name(name) for name in stated.settings)
    out: Drawn = {
        "figure4-printed": correlation_figure(
            Correlation(labels, stated.spearman, 1511, "paper"), "Figure 4 as it is printed"
        )
    }
    if (tables := judges.benchmark()) is not None:
        out["figure4"] = correlation_figure(figure4(tables), "Figure 4 from the imported tables")
    return out


def _paper_name(setting: str) -> str:
    from ncp.benchmark import settings

    return settings.SETTINGS[setting].paper_name


def _figure5(found: SearchResults, judges: Judges) -> Drawn:
    from ncp.benchmark.statistics import Correlation, figure5b

    stated = printed.statistics()
    epochs = Correlation(stated.epoch_labels, stated.epoch_spearman, 2500, "all")
    out: Drawn = {"figure5a-printed": correlation_figure(epochs, "Figure 5 (a) as it is printed: epochs of training")}
    out["figure5c-printed"] = rankings_figure(
        _detection_rankings(),
        "Figure 5 (c), of Table 3's networks: rankings by four metrics of 3D detection, as printed",
    )
    if (table := judges.table("seg")) is not None:
        out["figure5b"] = rankings_figure(figure5b(table), "Figure 5 (b): rankings by three metrics of segmentation")
    return out


def _detection_rankings() -> Rankings:
    """The released table of 3D detection holds the cars' precision alone; Table 3 prints four metrics of eleven networks."""
    from ncp.benchmark import ranking
    from ncp.benchmark.statistics import Correlation, Rankings, spearman

    words = {
        "3ddet.moderate": "Car-3D", "car-bev": "Car-BEV", "pedestrian-3d": "Ped-3D", "pedestrian-bev": "Ped-BEV"
    }  # fmt: skip
    values = np.array([[row.figures[name] for name in words] for row in printed.table(3).rows])
    ranks = np.stack([ranking.ranks(-column) for column in values.T], axis=1)
    return Rankings(ranks, Correlation(tuple(words.values()), spearman(values), len(values), "all"))


def _figure6(found: SearchResults, judges: Judges) -> Drawn:
    from ncp.paper import nasbench201
    from ncp.report.nasbench201 import walk_figure

    walked = found.cells(judges.table(nasbench201.SETTING))
    if walked is None:
        raise UserError(
            f"Figure 6 shows all cells of NAS-Bench-201, whose table is not imported; use {runs.invocation('benchmark')} "
            "action=import source=..."
        )
    truth, ends = walked
    order = np.argsort([truth.of(result.architecture.code)[0] for result in ends], kind="stable")
    chosen = int(order[len(order) // 2])
    under = (
        f"all {len(truth.codes):,} cells; a step is 10 iterations; the walk whose end is the median of {len(ends)} starts; the "
        f"paper's run ends at {nasbench201.ACCURACY} %"
    )
    path = truth.steps(ends[chosen])
    title = "Figure 6: propagation on NAS-Bench-201"
    return {"figure6": walk_figure(truth.macs / 1e6, truth.accuracy, path, title, under, nasbench201.MEGA)}


# ---- figure 7


def _figure7(found: SearchResults, judges: Judges) -> Drawn:
    fig = style.figure(
        12.0, 8.6, "Figure 7: efficiency and performance",
        "grey and orange: trained, as printed; blue and green: found here, expected by a judge that no search saw; "
        "area: parameters",
    )  # fmt: skip
    grid = fig.add_gridspec(2, 2, left=0.055, right=0.975, top=0.88, bottom=0.09, wspace=0.14, hspace=0.3)
    for i, task in enumerate(EFFICIENCY):
        _efficiency(fig.add_subplot(grid[i // 2, i % 2]), task, found, judges)
    for place, (colour, text) in enumerate(
        ((style.GREY, "others (printed)"), (style.ORANGE, "found by the paper (printed)"),
         (style.BLUE, "the paper's strategy here"), (style.GREEN, "the default search here, at its costs"))
    ):  # fmt: skip
        fig.text(0.055 + 0.24 * place, 0.025, f"● {text}", size=9, color=style.dark(colour))
    return {"figure7": fig}


def _efficiency(ax: Axes, task: str, found: SearchResults, judges: Judges) -> None:
    number, name, words = EFFICIENCY[task]
    table = printed.table(number)
    style.dress(ax, WORDS[task], words, _axis(table))
    points: list[tuple[float, float, float, str, str]] = []
    for row in table.rows:
        if name not in row.figures or row.flops_g is None:
            continue
        ours = row.search is not None and row.search not in ("random-100", "neural-predictor", "netadapt")
        if number == 3 and row.search not in ("3ddet", "four"):  # networks for other tasks are no contenders
            continue
        colour = style.ORANGE if ours else style.GREY
        points.append((row.flops_g, row.figures[name], row.params_m or 5.0, SHORT.get(row.name, row.name), colour))
    lines = []
    for colour, results in ((style.BLUE, _faithful(task, found)), (style.GREEN, _defaults(task, found, table))):
        architectures = [result.architecture for result in results]
        exact = judges.say_exact(architectures, [name])
        told = exact if all(name in said for said in exact) else judges.say(architectures, [name])
        x = [flops_of(a, table) for a in architectures]
        y = [said[name].value for said in told]
        order = np.argsort(x)
        ax.plot(np.array(x)[order], np.array(y)[order], color=colour, linewidth=1.2, zorder=1)
        lines.append(_along(np.array(x)[order], np.array(y)[order]))
        ends = (LAMBDAS[0], LAMBDAS[-1])  # those between are where they must be
        lam = [f"λ {value:g}" if colour == style.BLUE and value in ends else "" for value in LAMBDAS]
        points += [(x[i], y[i], results[i].params / 1e6, lam[i], colour) for i in range(len(x))]
    ax.scatter(
        [p[0] for p in points], [p[1] for p in points], s=[12 + 6 * p[2] for p in points],
        color=[p[4] for p in points], alpha=0.75, edgecolors="white", linewidths=0.8, zorder=2,
    )  # fmt: skip
    _logarithmic(ax, [p[0] for p in points])
    ax.margins(0.14, 0.1)
    ax.autoscale_view()
    radii = [((12 + 6 * p[2]) / np.pi) ** 0.5 for p in points]
    inks: Any = [style.dark(p[4]) for p in points]
    label_points(
        ax, [p[0] for p in points], [p[1] for p in points], [p[3] for p in points], inks, 7.5, radii,
        np.concatenate(lines), leaders=True,
    )  # fmt: skip


def _along(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``(N, 2)`` places along a line on an axis of logarithms, that no name is written upon."""
    t = np.linspace(0, len(x) - 1, 60)
    at = np.arange(len(x))
    return np.column_stack([np.exp(np.interp(t, at, np.log(x))), np.interp(t, at, y)])


def _logarithmic(ax: Axes, values: Sequence[float]) -> None:
    """The axis of costs; with few numbers on it where these are close, more of them."""
    from matplotlib import ticker

    from ncp.report.latency import logarithmic

    logarithmic(ax.xaxis)
    if max(values) < 4 * min(values):
        ax.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 1.2, 1.5, 2, 3, 4, 5, 6, 8)))


def _axis(table: printed.PrintedTable) -> str:
    height, width = table.size
    return f"multiply-adds at {height} x {width}, billions"


def _faithful(task: str, found: SearchResults) -> list[Result]:
    return [found.faithful(f"{task}-{lam:g}") for lam in LAMBDAS]


def _defaults(task: str, found: SearchResults, table: printed.PrintedTable) -> list[Result]:
    return [
        found.default(f"{task}-{lam:g}", flops_of(found.faithful(f"{task}-{lam:g}").architecture, table), table)
        for lam in LAMBDAS
    ]
