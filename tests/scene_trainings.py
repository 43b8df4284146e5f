"""Tiny trainings of the seven tasks on made-up scenes."""

from pathlib import Path
from typing import Any

import scene_batches
import yaml

from ncp import configs, registry
from ncp.tasks import run as tasks
from ncp.tasks.options import Callbacks, TrainOptions

RECIPE = {
    "optimizer": {"name": "sgd", "lr": 0.02}, "schedule": {"shape": "cosine"}, "batch": 2, "unit": "steps", "length": 2,
    "log_every": 1, "save_every": 1,
}  # fmt: skip
NARROW = {"kind": "narrow", "space": "transnas-micro"}
LIGHT = {"decoder_width": 0.02}


def options(task: str, **changes: Any) -> TrainOptions:
    """Of a training of ``task``; ``recipe`` and ``data`` are changed, other parts replaced."""
    registry.name(scene_batches.TARGET)
    target = yaml.safe_load((configs.shipped() / "task" / f"{task}.yaml").read_text())
    dense = task in ("segmentsemantic", "normal", "autoencoder")
    if task in ("normal", "autoencoder"):
        target["discriminator_width"] = 0.1
    recipe = {**RECIPE, **changes.pop("recipe", {})}
    recipe.setdefault("eval_every", recipe["length"])
    data = {"_target_": scene_batches.TARGET, "eval_batch": 3, "workers": 0, **changes.pop("data", {})}
    parts: dict[str, Any] = {
        "arch": NARROW, "model": LIGHT if dense else {}, "trainer": {"accelerator": "cpu", "precision": "32-true"},
        "callbacks": Callbacks(progress=False, picture_samples=2), **changes,
    }  # fmt: skip
    return TrainOptions(task=target, data=data, recipe=recipe, **parts)


def make(folder: Path, task: str, **changes: Any) -> tasks.Run:
    """The parts of such a training."""
    folder.mkdir(parents=True, exist_ok=True)
    return tasks.assemble(options(task, **changes), folder)
