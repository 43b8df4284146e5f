"""Result files as searches and trainings leave them, made by hand and small."""

import csv
import json
from pathlib import Path

import numpy as np

from ncp.spaces.multires import SPACE


def architecture(seed):
    found = SPACE.sample(1, np.random.default_rng(seed))[0]
    return {"code": list(found.code), "text": found.text}


def search(folder: Path, seed: int = 0, objectives=("seg.mIoU",), steps: int = 6, **more):
    """A search's run folder: its result and its trajectory."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [name.split(".") for name in objectives]
    found = architecture(seed)
    content = {
        "command": "search",
        "space": "multires",
        "objectives": [
            {"name": f"{s}.{m}", "setting": s, "metric": m, "weight": 1.0, "direction": "max"} for s, m in pairs
        ],
        "architecture": found,
        "predicted": {s: {m: 70.0 + seed for t, m in pairs if t == s} for s, _ in pairs},
        "cost": {"macs": 10**9, "params": 10**6, "flops_g": 1.0, "params_m": 1.0},
        "seconds": {"search": 1.0, "total": 2.0},
        "chosen_step": steps - 1,
    } | more
    (folder / "result.json").write_text(json.dumps(content))
    head = ["step", "phase", "macs", "params"]
    head += [f"{kind}.{name}" for name in objectives for kind in ("continuous", "continuous.std", "rounded")]
    head += [f"{kind}.{label}" for label in SPACE.labels for kind in ("code", "rounded")]
    with open(folder / "trajectory.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for step in range(steps):
            codes = [value for value in found["code"] for _ in range(2)]
            writer.writerow(
                [step, "propagation", 10**9, 10**6, *(70 + step for _ in objectives for _ in range(3)), *codes]
            )
    return folder


def training(folder: Path, seed: int = 0, task: str = "seg", metrics=None, **more):
    """A training's run folder: its result and its state."""
    folder.mkdir(parents=True, exist_ok=True)
    main = {"seg": "mIoU", "cls": "top1", "video": "top1", "det3d": "moderate"}[task]
    content = {
        "task": task,
        "main_metric": main,
        "metrics": metrics or {main: 40.0 + seed},
        "per_class": {"road": 90.0 + seed, "sky": None} if task == "seg" else None,
        "images_per_second": 12.5,
        "eval_images_per_second": None,
        "data_wait_share": 0.1,
        "peak_memory_mb": 900.0,
        "architecture": architecture(seed),
        "cost": {"params": 2_000_000, "size": [64, 128], "sizes": 1, "head": task, "classes": 10, "macs": 10**9,
                 "flops_g": 1.0, "macs_at_size": 5 * 10**8},
        "data": {"name": "Streets", "builtin": True, "classes": 10},
        "steps": 20,
        "seconds": {"training": 3.0},
        "checkpoint": str(folder / "checkpoints" / "last.ckpt"),
    } | more  # fmt: skip
    (folder / "result.json").write_text(json.dumps(content))
    state(folder)
    return folder


def state(folder: Path, state: str = "finished", overrides=(), **more):
    """A run's ``run.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"command": "train", "state": state, "hash": "0" * 16, "overrides": list(overrides)} | more
    (folder / "run.json").write_text(json.dumps(content))
    return folder
