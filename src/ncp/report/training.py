"""What a training shows: a table, its curves, and a picture of what the network makes of some samples.

A task's picture is one function in ``PICTURES``; a task without one has only its curves.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import files, terminal
from ncp.benchmark import settings
from ncp.card import TASKS
from ncp.commandline import command_line
from ncp.metrics.kitti_names import labelled
from ncp.numeric import several
from ncp.report import scenes, style
from ncp.report.images import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ncp.tasks.run import Run

PER_CLASS = "per_class.csv"
BENCHMARK_UNIT = "at 128x128, 19 classes per pixel, whatever the task"
UNITS = dict.fromkeys(("transnas-micro", "transnas-macro"), "at 224x224, the encoder without a head, whatever the task")
"""Of other spaces."""


def show(result: Mapping[str, Any], folder: Path, written: list[Path]) -> None:
    """Print the table of a finished training or evaluation, where its files are, and the commands that go on from it."""
    table = terminal.table(f"{result['task']}: {result['architecture']['text']}", boxed=True, header=False)
    for name, value in rows(result):
        table.add_row(name, value)
    terminal.console().print(table)
    for path in [folder / "result.json", *written]:
        terminal.say(terminal.relative(path))
    terminal.fields(next_commands(result))


def next_commands(result: Mapping[str, Any]) -> dict[str, str]:
    """What to do with the checkpoint: words -> the command line to copy; nothing where none was kept."""
    if not result.get("checkpoint"):
        return {}
    path = terminal.relative(result["checkpoint"])
    out = {}
    if not result.get("eval_images_per_second"):  # not itself an evaluation
        out["evaluate it:"] = command_line("evaluate", ckpt_path=path)
    if result.get("task") not in TASKS:
        return out
    # the other formats would hold the code of the space, which a baseline has not
    more = {"format": "onnx"} if result["architecture"].get("code") is None else {}
    out["export it:"] = command_line("export", ckpt_path=path, **more)
    out["use it:"] = command_line("predict", input="FOLDER", out="seen", ckpt=path)
    return out


def rows(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The table's rows: metrics, speed, memory, cost."""
    cost, seconds = result["cost"], result["seconds"]
    out = []
    for name, value in result["metrics"].items():
        objective = f"{result.get('setting') or result.get('task')}.{name}"
        shown = "-" if value is None else settings.figure_text(objective, value)
        out.append((labelled(name, result.get("min_overlap", {})), shown))
    if text := extremes(result.get("per_class") or {}):
        out.append(("IoU by class", text))
    if result["images_per_second"]:
        wait = result["data_wait_share"] or 0.0
        out.append(("training", f"{result['images_per_second']:.3g} images/s, {wait:.0%} of the time waiting for data"))
    if result.get("eval_images_per_second"):
        out.append(("evaluation", f"{result['eval_images_per_second']:.3g} images/s"))
    out.append(("peak memory", f"{result['peak_memory_mb']:,.0f} MiB"))
    out.append(("multiply-adds", f"{cost['macs_at_size'] / 1e9:.3g} G {_measured_at(cost)}"))
    if "macs" in cost:
        unit = UNITS.get(result.get("space", ""), BENCHMARK_UNIT)
        out.append(("to compare with", f"{cost['macs'] / 1e9:.3g} G in the benchmark's unit: {unit}"))
    out.append(("parameters", _parameters(cost)))
    if seconds.get("training"):
        out.append(("time", f"{terminal.duration(seconds['training'])} for {several(result['steps'], 'step')}"))
    return out


def _parameters(cost: Mapping[str, Any]) -> str:
    """Of the network; where it is known how many of them are the encoder's, and how many in the space's own tables, those too."""
    out = f"{cost['params'] / 1e6:.2f} M"
    if "params_encoder" not in cost:
        return out
    encoder, table = cost["params_encoder"], cost.get("params_in_tables", cost["params_encoder"])
    out += f" in all, {encoder / 1e6:.2f} M of them the encoder's"
    return out if encoder == table else f"{out} ({table / 1e6:.2f} M in the benchmark, whose encoders are wider)"


def _measured_at(cost: Mapping[str, Any]) -> str:
    """The input and the head for which the multiply-adds of this very network hold."""
    height, width = cost["size"]
    sizes, classes = cost.get("sizes", 1), cost.get("classes")
    unit = {"seg": "per pixel", "cls": "per image", "video": "per clip"}.get(cost.get("head", ""))
    out = f"at {height}x{width}" + (f" (the commonest of {sizes} sizes)" if sizes > 1 else "")
    if cost.get("head") == "det3d":
        return f"for a grid of {height}x{width} pillars, with the detection head"
    return f"{out}, {several(classes, 'class', 'classes')} {unit}" if classes and unit else out


def extremes(per_class: Mapping[str, float | None]) -> str:
    """The best and the worst class, for one line."""
    known = sorted(((value, name) for name, value in per_class.items() if value is not None and value == value))
    if len(known) < 2:
        return ""
    (low, worst), (high, best) = known[0], known[-1]
    return f"{best} {high:.1f} (best) to {worst} {low:.1f} (worst)"


def write_per_class(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write ``per_class.csv`` (class, IoU in percent; empty for a class that did not occur), where there are such scores."""
    scores = result.get("per_class")
    if not scores:
        return []
    known = [(name, "" if value is None or value != value else repr(float(value))) for name, value in scores.items()]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([("class", "IoU"), *((terminal.csv_cell(name), value) for name, value in known)])
    return [files.write_text(folder / PER_CLASS, buffer.getvalue())]


def draw(run: Run) -> list[Path]:
    """Write ``curves.png`` and ``<task>.png`` into the run folder; those that can be drawn."""
    from ncp.tasks.callbacks import read_history

    written = []
    history = read_history(run.history.path) if run.history.path.is_file() else []
    history = [row for row in history if not row[1].startswith("val/")]
    history += [
        (entry.step, f"val/{name.removeprefix(run.task.prefix)}", entry.metrics[name])
        for entry in run.task.ledger
        for name in run.task.latest
    ]
    if any(step > 0 for step, _, _ in history):
        figure = curves(run, history)
        written.append(style.save(figure, run.folder / "curves.png"))
    if run.task.name in PICTURES and run.options.callbacks.picture_samples:
        figure = PICTURES[run.task.name](run)
        written.append(style.save(figure, run.folder / f"{run.task.name}.png"))
    return written


def curves(run: Run, history: list[tuple[int, str, float]]) -> Figure:
    """Loss, learning rate and every metric over the steps; a metric's training and validation values share a panel.

    Args:
        run: whose they are.
        history: rows of step, metric (``train/loss``, ``val/mIoU``, ...), value.
    """
    from matplotlib.ticker import MaxNLocator

    series: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for step, name, value in history:
        split, _, metric = name.partition("/")
        series.setdefault(metric, {}).setdefault(split, []).append((step, value))
    order = sorted(series, key=lambda metric: ({"loss": 0, "lr": 2}.get(metric, 1), metric))[:12]
    columns = min(3, len(order))
    lines = -(-len(order) // columns)
    fig = style.figure(3.6 * columns + 0.6, 2.3 * lines + 0.7, f"{run.task.name}: training", str(run.architecture))
    axes = fig.subplots(lines, columns, squeeze=False)
    fig.subplots_adjust(left=0.06, right=0.97, top=1 - 0.85 / (2.3 * lines + 0.7), bottom=0.11, wspace=0.22, hspace=0.5)
    for ax in axes.flat[len(order) :]:
        ax.set_visible(False)
    last = max(step for step, _, _ in history)
    for ax, metric in zip(axes.flat, order, strict=False):
        ax.set_xlim(0, 1.03 * last)
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        words, unit = "learning rate", ""
        if metric != "lr":
            words = run.task.in_words(metric).replace("_", " ")
            unit = settings.unit(f"{run.options.setting or run.task.name}.{run.task.prefix}{metric}")
        style.dress(ax, words, unit, "step")
        for split, colour, mark in (("train", style.BLUE, ""), ("val", style.ORANGE, "o")):
            points = series[metric].get(split, [])
            if points:
                alone = len(points) == 1
                ax.plot(
                    *zip(*points, strict=True), color=colour, marker="o" if alone else mark, markersize=4, label=split
                )
        if len(series[metric]) > 1:
            ax.legend(frameon=False, fontsize=8, labelcolor=style.INK)
    return fig


def _samples(run: Run) -> tuple[dict[str, Any], Any]:
    """Some evaluation samples spread over the set as one batch on the CPU, and what the network predicts for them."""
    import torch
    from torch.utils.data import default_collate

    from ncp.data.base import Key

    data: Any = run.data.val_set
    wanted = min(len(data), run.options.callbacks.picture_samples)
    items = [data[Key(-1, int(i))] for i in np.linspace(0, len(data) - 1, wanted)]
    task: Any = run.task.cpu().float().eval()
    with torch.no_grad():
        predictions = [task.predict(default_collate([item]))[0] for item in items]  # images may differ in size
    return {key: [item[key] for item in items] for key in items[0]}, predictions


def segmentation_picture(run: Run) -> Figure:
    """Image, label and prediction of some validation samples side by side, with the classes' colours."""
    data: Any = run.data
    samples, predictions = _samples(run)
    palette = np.full((256, 3), 255, dtype=np.uint8)
    palette[: len(data.palette)] = data.palette
    count = len(predictions)
    height, width = predictions[0].shape
    tall = 3.4 * height / width
    present = np.unique(np.concatenate([np.unique(label) for label in samples["label"]]))
    keys = [int(k) for k in present if k < len(data.classes)][:24]
    key_lines = -(-len(keys) // 8)
    total = tall * count + 1.0 + 0.25 * key_lines
    metric = f"mIoU {run.task.latest.get('mIoU', float('nan')):.1f}% on the whole validation set"
    fig = style.figure(10.6, total, f"Segmentation: {metric}", str(run.architecture))
    axes = fig.subplots(count, 3, squeeze=False)
    fig.subplots_adjust(
        left=0.012,
        right=0.988,
        top=1 - 0.85 / total,
        bottom=(0.15 + 0.25 * key_lines) / total,
        wspace=0.03,
        hspace=0.05,
    )
    for row, (image, label, predicted) in enumerate(zip(samples["image"], samples["label"], predictions, strict=True)):
        pictures = (shown(image), palette[label.numpy()], palette[predicted.numpy()])
        for ax, picture, name in zip(axes[row], pictures, ("image", "label", "prediction"), strict=True):
            ax.imshow(picture, interpolation="nearest", aspect="auto")
            ax.set_axis_off()
            if row == 0:
                ax.set_title(name, loc="left", size=9.5, color=style.INK, pad=4)
    patches = _patches(palette, keys, data.classes)
    fig.legend(handles=patches, loc="lower center", ncols=8, frameon=False, fontsize=8, labelcolor=style.INK)
    return fig


def _patches(palette: np.ndarray, shown: list[int], classes: Any) -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(facecolor=palette[k] / 255, label=terminal.shorten(str(classes[k]), 16)) for k in shown]


def classification_picture(run: Run) -> Figure:
    """Some validation images with the class that the network sees, and the right one where it is mistaken."""
    samples, predictions = _samples(run)
    classes = run.data.classes
    count = len(predictions)
    metric = f"top-1 {run.task.latest.get('top1', float('nan')):.1f}% on the whole validation set"
    fig = style.figure(max(2.1 * count, 6.4), 3.1, f"Classification: {metric}", str(run.architecture))
    axes = fig.subplots(1, count, squeeze=False)[0]
    fig.subplots_adjust(left=0.02, right=0.98, top=0.7, bottom=0.03, wspace=0.1)
    for ax, image, label, predicted in zip(axes, samples["image"], samples["label"], predictions, strict=True):
        right = int(predicted) == int(label)
        ax.imshow(shown(image), interpolation="nearest")
        ax.set_axis_off()
        seen, truth = (terminal.shorten(str(classes[int(k)]), 26) for k in (predicted, label))
        text = seen if right else f"{seen}\nnot {truth}"
        ax.set_title(text, size=9.5, color=style.dark(style.GREEN if right else style.VERMILION))
    return fig


def detection_picture(run: Run) -> Figure:
    """Bird's-eye views of some validation scenes."""
    from ncp.report.bev import detection_picture as picture

    return picture(run)


def video_picture(run: Run) -> Figure:
    """Frames of some validation clips."""
    from ncp.report.clips import video_picture as picture

    return picture(run, *_samples(run))


PICTURES: dict[str, Callable[[Any], Any]] = {
    "seg": segmentation_picture,
    "cls": classification_picture,
    "det3d": detection_picture,
    "video": video_picture,
    **scenes.PICTURES,
}
