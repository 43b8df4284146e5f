"""Do the seven tasks on drawn rooms learn within two minutes on two cores?

``python -m bench rooms`` trains an architecture on every task's built-in set (``python -m bench rooms normal jigsaw``: of
these; ``--space multires``: in this one), and puts what they reach beside the best answer that does not look at the image: the
commonest class, the mean layout, at every pixel the commonest class or the median of the training images.

The processor's seconds are of one thread; the two minutes are 240 of them.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from bench._timing import show
from ncp import jobs
from ncp.data.base import Key
from ncp.metrics import similarity
from ncp.tasks import parts
from ncp.tasks.scenes.segmentation import SceneScores

LIMIT = 240.0
ARCHITECTURES = {
    "transnas-micro": "64-41414-3_31_332",
    "transnas-macro": "64-21231-basic",
    "multires": "ncp_seg",
}
# the metric, and what a training must reach of the way from the baseline to perfection
TASKS = {
    "class_scene": ("valid_top1", 100.0, 0.2),
    "class_object": ("valid_top1", 100.0, 0.2),
    "room_layout": ("valid_neg_loss", 0.0, 0.3),
    "jigsaw": ("valid_top1", 100.0, 0.2),
    "segmentsemantic": ("valid_mIoU", 100.0, 0.1),
    "normal": ("valid_l1_loss", 0.0, 0.3),
    "autoencoder": ("valid_l1_loss", 0.0, 0.3),
}


def blind(task: str, space: str) -> dict[str, float]:
    """The figures of the best answer that does not look at the image."""
    options = jobs.options("train", f"setting={space}/{task}", "arch=default")
    data = parts.make_data(options)
    if task == "jigsaw":
        return {"valid_top1": 100 / len(data.classes)}
    train, val = (
        torch.stack([torch.as_tensor(set_[Key(-1, i)]["label"]) for i in range(len(set_))])  # type: ignore[arg-type]
        for set_ in (data.train_set, data.val_set)
    )
    if task.startswith("class_"):
        common = train.argmax(1).bincount().argmax()
        return {"valid_top1": 100 * float((val.argmax(1) == common).float().mean())}
    if task == "room_layout":
        return {"valid_neg_loss": -float((val - train.mean(0)).square().mean())}
    if task == "segmentsemantic":
        counts = torch.stack([(train == k).sum(0) for k in range(len(data.classes))])
        scores = SceneScores(len(data.classes))
        scores.update(counts.float().expand(len(val), *counts.shape), val)
        return {f"valid_{name}": float(value) for name, value in scores.compute().items() if name != "loss"}
    constant = train.median(0).values.expand_as(val)
    span = data.normal_range[1] - data.normal_range[0] if task == "normal" else 2.0  # type: ignore[attr-defined]
    return {
        "valid_l1_loss": options.task["l1"] * float((constant - val).abs().mean()),
        "valid_ssim": float(similarity.released(constant, val).mean()),
        "valid_ssim_usual": float(similarity.usual(constant, val, span).mean()),
    }


def main() -> int:
    """Print the table; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench rooms", description=__doc__)
    parser.add_argument("tasks", nargs="*", choices=[[], *TASKS], help="all where none is given")
    parser.add_argument("--space", choices=list(ARCHITECTURES), default="transnas-micro")
    given = parser.parse_args()
    text = ARCHITECTURES[given.space]
    arch = [f"arch={text}"] if text.startswith("ncp_") else ["arch=code", f"arch.code={text}"]
    rows, missed = [], []
    for task in given.tasks or TASKS:
        metric, perfect, share = TASKS[task]
        constant, found = blind(task, given.space), train_one(given.space, task, arch)
        cpu = found["cpu"]
        way = (found["metrics"][metric] - constant[metric]) / (perfect - constant[metric])
        told = {name: value for name, value in found["metrics"].items() if name in constant}
        shown = ", ".join(f"{n.removeprefix('valid_')} {v:.3f} ({constant[n]:.3f})" for n, v in told.items())
        rows.append([task, text, str(found["steps"]), f"{cpu:.0f} s", shown, f"{way:.0%}"])
        print(", ".join(rows[-1]), flush=True)
        missed += [f"{task}: {way:.0%} of the way"] if not way >= share else []
        missed += [f"{task}: {cpu:.0f} s"] if cpu > LIMIT else []
    columns = ("task", "architecture", "steps", "processor", "reached (without looking)", "of the way")
    show(f"Built-in trainings on rooms, {given.space}", columns, rows)
    for line in missed:
        print("missed:", line)
    return 1 if missed else 0


def train_one(space: str, task: str, arch: list[str]) -> dict[str, Any]:
    """The result of one training, in a process of its own."""
    words = [f"setting={space}/{task}", *arch, "keep=none"]
    command = [sys.executable, "-m", "bench._trainings", *words]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


if __name__ == "__main__":
    sys.exit(main())
