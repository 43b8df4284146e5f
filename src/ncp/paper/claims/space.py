"""Section 4.2 on the search space, and appendices A, C.2 and D on what it and its costs are like."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from ncp.paper import printed
from ncp.paper.claims.claim import UNKNOWN, Claim, Measured, verdict
from ncp.paper.claims.lab import Lab, pm
from ncp.paper.searches import TASKS
from ncp.spaces import cost

ROWS = 400  # that a predictor of the comparison of encodings is fitted to
DETECTION = ("3ddet.moderate", "car-bev", "pedestrian-3d", "pedestrian-bev")


def operators(lab: Lab) -> Measured:
    """Which operators hold the weights of the four networks found for one task."""
    import torch
    from torch import nn

    from ncp.models.backbone import MultiResolutionBackbone

    kinds: set[str] = set()
    weights: dict[int, int] = {}
    for architecture in [lab.found.faithful(task).architecture for task in TASKS]:
        with torch.device("meta"):  # no weights are needed
            net = MultiResolutionBackbone(architecture)
        for module in net.modules():
            if not any(True for _ in module.parameters(recurse=False)):
                continue
            kinds.add(type(module).__name__)
            if isinstance(module, nn.Conv2d):
                side = int(module.kernel_size[0])
                weights[side] = weights.get(side, 0) + module.weight.numel()
    total = sum(weights.values())
    parts = ", ".join(f"{side} x {side} {weights[side] / total:.1%}" for side in sorted(weights, reverse=True))
    text = f"layers with weights in the four tasks' backbones: {', '.join(sorted(kinds))}; of the convolutions' weights {parts}"
    good = [len(kinds) <= 2, set(weights) == {3}]
    return Measured(verdict(all(good), any(good)), text, {f"{side}": n / total for side, n in weights.items()})


def cheaper_classification(lab: Lab) -> Measured:
    """The same codes as classifier and as segmentation network."""
    drawn = lab.space.encode(lab.space.sample(200, np.random.default_rng(lab.seed)))
    codes = np.rint(drawn).astype(np.int64)
    same = [cost.count(codes, (128, 128), head).macs for head in ("classification", "segmentation")]
    own = [
        cost.count(codes, (224, 224), "classification", 50).macs,
        cost.count(codes, (512, 1024), "segmentation", 19).macs,
    ]
    ratios = [np.asarray(a) / np.asarray(b) for a, b in (same, own)]
    text = (
        f"of 200 random codes the classifier takes {pm(ratios[0])} times the multiply-adds of the segmentation network at the "
        f"same size, {pm(ratios[1], 3)} times at the sizes of the two trainings (224 x 224, 512 x 1024)"
    )
    return Measured(
        verdict(all(bool((r < 1).all()) for r in ratios)),
        text,
        {"same": float(ratios[0].mean()), "own": float(ratios[1].mean())},
    )


def numbers_or_names(lab: Lab) -> Measured:
    """The same rows as 27 numbers and as one of several names for each dimension, by the same kind of process."""
    from scipy.stats import spearmanr

    told, good = [], []
    figures: dict[str, float] = {}
    for setting in ("seg", "video"):
        table = lab.judges.table(setting)
        if table is None:
            return Measured(UNKNOWN, "the released tables are not imported")
        codes, values = (
            np.asarray(table.codes, dtype=np.float64),
            np.asarray(table.column(table.main), dtype=np.float64),
        )
        found: dict[str, list[float]] = {"numbers": [], "one-hot": []}
        for i in range(min(lab.seeds, 3)):
            order = np.random.default_rng(lab.seed + i).permutation(len(codes))
            seen, rest = order[:ROWS], order[ROWS:]
            for name, features in (("numbers", _numbers), ("one-hot", _names)):
                process = _process(setting, table.main, codes[seen], values[seen], features)
                found[name].append(float(spearmanr(process.predict(codes[rest])[table.main], values[rest]).statistic))
        means = {name: float(np.mean(each)) for name, each in found.items()}
        good.append(means["numbers"] > means["one-hot"])
        figures |= {f"{setting} {name}": value for name, value in means.items()}
        told.append(f"{setting} {pm(found['numbers'], 3)} as numbers, {pm(found['one-hot'], 3)} one-hot")
    text = f"rank correlation on the rows left, of a Gaussian process on {ROWS}: {'; '.join(told)}"
    return Measured(verdict(all(good), any(good)), text, figures)


def _process(setting: str, metric: str, codes: np.ndarray, values: np.ndarray, features: Any) -> Any:
    from ncp.predictors.exact import ExactGP

    return ExactGP(setting, metric, codes, values, features, fit_rows=250, steps=25)


def _numbers(codes: Any) -> Any:
    return codes


def _names(codes: Any) -> Any:
    """``(N, 27)`` to one column for each value of each dimension."""
    import torch

    from ncp import spaces

    space = spaces.get("multires")
    columns = []
    for d, (low, high, step) in enumerate(zip(space.lower, space.upper, space.step, strict=True)):
        level = ((codes[:, d] - low) / step).round().long()
        columns.append(torch.nn.functional.one_hot(level, round(float(high - low) / float(step)) + 1).double())
    return torch.cat(columns, 1)


def det_metrics(lab: Lab) -> Measured:
    """The eleven networks of Table 3, for which the paper prints four metrics of 3D detection each."""
    from ncp.benchmark.statistics import spearman

    rows = printed.table(3).rows
    values = np.array([[row.figures[name] for name in DETECTION] for row in rows])
    matrix = spearman(values)
    words = {
        "3ddet.moderate": "car 3D",
        "car-bev": "car BEV",
        "pedestrian-3d": "pedestrian 3D",
        "pedestrian-bev": "pedestrian BEV",
    }
    told = ", ".join(
        f"{words[DETECTION[i]]} and {words[DETECTION[j]]} {matrix[i, j]:.2f}" for i, j in combinations(range(4), 2)
    )
    text = (
        f"rank correlations over the {len(rows)} networks of Table 3, as printed: {told}; the released table holds the car's 3D "
        "alone, so that Figure 5 (c) itself cannot be drawn again"
    )
    off = matrix[np.triu_indices(4, 1)]
    low = float(off.min())
    return Measured(verdict(low < 0.5, low < 0.9), text, {"least": low})


CLAIMS = (
    Claim(
        "operators",
        "4.2",
        "Networks of the space consist of 3x3 convolutions in residual units, without complex operators.",
        operators,
    ),
    Claim(
        "encoding",
        "C.2 (3)",
        "A code of numbers is better to learn from than a one-hot one.",
        numbers_or_names,
    ),
    Claim(
        "cls-flops",
        "D (2)",
        "Classification costs fewer FLOPs than segmentation under the same architecture.",
        cheaper_classification,
    ),
    Claim(
        "det-metrics",
        "A.2 (4), Figure 5 (c)",
        "The metrics of 3D detection are not necessarily related.",
        det_metrics,
    ),
)
