"""Small files as TransNAS-Bench-101 and those who exported it write them, with values that a test can compute."""

import csv
import gzip
from pathlib import Path
from typing import Any

TASKS = ("class_scene", "class_object", "room_layout", "jigsaw", "segmentsemantic", "normal", "autoencoder")
METRICS = {
    **dict.fromkeys(("class_scene", "class_object", "jigsaw"), ("top1", "top5", "loss")),
    "room_layout": ("loss", "neg_loss"),
    "segmentsemantic": ("loss", "acc", "mIoU"),
    "normal": ("ssim", "l1_loss"),
    "autoencoder": ("ssim", "l1_loss"),
}
ARCHS = {
    "macro": ("64-4111-basic", "64-2311-basic", "64-224131-basic"),
    "micro": ("64-41414-0_00_000", "64-41414-3_33_332", "64-41414-1_20_310", "64-41414-3_33_333"),
}
EPOCHS = 4


def curve(space: str, number: int, task: str, metric: str) -> list[float]:
    """Rises and falls once, another in every training; losses fall and rise."""
    base = 3.0 * number + TASKS.index(task) + (0.5 if space == "macro" else 0.0) + len(metric) / 10
    found = [base, base + 2, base + 3, base + 1]
    if "ssim" in metric:
        return [value / 50 for value in found]
    return (
        [-value / 30 for value in found] if "neg" in metric else [20 - v for v in found] if "loss" in metric else found
    )


def result(space: str, number: int, task: str) -> dict[str, Any]:
    """What the benchmark's own file holds of a training."""
    metrics: dict[str, list[Any]] = {
        f"{part}_{name}": curve(space, number, task, f"{part}_{name}")
        for part in ("train", "valid", "test")
        for name in METRICS[task]
    }
    metrics["time_elapsed"] = [f"00:0{epoch}:30" for epoch in range(EPOCHS)]
    info = {"inference_time": 0.1 * number, "encoder_params": 1000 + number, "model_FLOPs": 5.5, "note": "text"}
    return {"total_epochs": EPOCHS, "metrics": metrics, "model_info": info}


def official() -> dict[str, Any]:
    """The whole of it."""
    data = {
        space: {text: {task: result(space, i, task) for task in TASKS} for i, text in enumerate(texts)}
        for space, texts in ARCHS.items()
    }
    return {"metrics_dict": {}, "info_names": [], "task_list": list(TASKS), "data": data}


def write_csv(folder: Path) -> Path:
    """The exported files: the largest value over the epochs, and the last."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for space, texts in ARCHS.items():
        final = []
        for i, text in enumerate(texts):
            names = [(t, f"{p}_{m}") for t in TASKS for p in ("train", "valid") for m in METRICS[t]]
            best = {f"{task}:{name}": max(curve(space, i, task, name)) for task, name in names}
            rows.append({"index": len(rows), "space": space, "arch": text, **best})
            last = {f"{t}:valid_{METRICS[t][-1]}": curve(space, i, t, f"valid_{METRICS[t][-1]}")[-1] for t in TASKS}
            final.append({"arch": text, **last})
        _write(folder / f"final_epoch_{space}.csv.gz", final)
    _write(folder / "best_over_epochs.csv.gz", rows)
    return folder


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
