"""The recorded predictors of the release, read into our own class from plain arrays."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ncp.predictors.base import Card
from ncp.predictors.mlp import MLP, layout

SEG_RUN = Path(__file__).resolve().parent / "data" / "seg_run.npz"


def load_run(path: Path = SEG_RUN) -> dict[str, np.ndarray]:
    """A recorded run as plain arrays; without an argument the one that stands in tests/data."""
    with np.load(path) as file:
        return dict(file)


def predictor(run: Mapping[str, np.ndarray], setting: str) -> MLP:
    """The recorded predictor of ``setting``; ``run`` holds ``weights/*`` under the release's names."""
    metrics = [str(m) for m in run["metrics"]]
    mlp = MLP(Card("mlp", setting, tuple(metrics), config=asdict(layout(metrics, heads="group"))))
    heads = sorted({k.split(".")[1] for k in run if k.startswith("weights/nets.")})

    def join(layer: str) -> np.ndarray:
        return np.concatenate([run[f"weights/nets.{g}.{layer}"] for g in heads])

    state: dict[str, Any] = {}
    for ours, theirs in (("norm_in", "fc.0"), ("shared", "fc.1"), ("norm_shared", "fc.2")):
        for name in ("weight", "bias", "running_mean", "running_var"):
            if f"weights/{theirs}.{name}" in run:
                state[f"net.{ours}.{name}"] = run[f"weights/{theirs}.{name}"]
    for ours, theirs in (("separate", "0"), ("norm_separate", "1")):
        for name in ("weight", "bias", "running_mean", "running_var"):
            if f"weights/nets.0.{theirs}.{name}" in run:
                state[f"net.{ours}.{name}"] = join(f"{theirs}.{name}")
    for norm in ("norm_in", "norm_shared", "norm_separate"):
        state[f"net.{norm}.num_batches_tracked"] = np.array(0)
    state["net.out_weight"], state["net.out_bias"] = join("4.weight"), join("4.bias")
    state |= {k: run[k] for k in ("input_mean", "input_std", "output_mean", "output_std")}
    state["noise_std"] = np.zeros(len(metrics))
    mlp.load_state_dict({k: torch.as_tensor(v) for k, v in state.items()})
    return mlp.eval().requires_grad_(False)
