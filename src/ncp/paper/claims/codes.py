"""Appendices D and F: what found codes look like, as statistics over 50 walks instead of one picture."""

from __future__ import annotations

import numpy as np

from ncp.paper.claims.claim import Claim, Measured, verdict
from ncp.paper.claims.lab import MANY, Lab, pm, share
from ncp.paper.searches import TASKS

CHANNELS = tuple(f"c{s}_{r}" for s in range(1, 5) for r in range(1, s + 1))


def _means(lab: Lab, *labels: str) -> dict[str, np.ndarray]:
    """Task -> ``(50,)`` sums of dimensions of what walks for it find."""
    return {task: lab.columns(lab.ends(setting, starts=MANY), *labels) for task, setting in TASKS.items()}


def _told(values: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{task} {pm(value, 0 if value.mean() > 20 else 2)}" for task, value in values.items())


def _figures(values: dict[str, np.ndarray], what: str = "") -> dict[str, float]:
    return {f"{what}{task}": float(value.mean()) for task, value in values.items()}


def most(values: dict[str, np.ndarray]) -> str:
    """The task with the largest mean."""
    return max(values, key=lambda task: float(values[task].mean()))


def least(values: dict[str, np.ndarray]) -> str:
    """The task with the smallest."""
    return min(values, key=lambda task: float(values[task].mean()))


def high_level(lab: Lab) -> Measured:
    """D (1)."""
    late = _means(lab, "c4_3", "c4_4")
    early = _means(lab, "c1_1", "c2_1", "c2_2")
    good = [most(late) == "seg", least(early) == "video"]
    text = f"channels of the last two branches of stage 4: {_told(late)}; of stages 1 and 2: {_told(early)}"
    return Measured(verdict(all(good), any(good)), text, {**_figures(late, "late "), **_figures(early, "early ")})


def cls_channels(lab: Lab) -> Measured:
    """D (2)."""
    every = _means(lab, *CHANNELS)
    return Measured(
        verdict(most(every) == "cls"), f"channels of all branches and stages: {_told(every)}", _figures(every)
    )


def det_branches(lab: Lab) -> Measured:
    """D (3): the share of channels in the first two branches."""
    fine = _means(lab, *(label for label in CHANNELS if label[-1] in "12"))
    every = _means(lab, *CHANNELS)
    part = {task: fine[task] / every[task] for task in fine}
    text = f"share of channels that lie in the first two branches: {_told(part)}"
    return Measured(
        verdict(most(part) == "3ddet" and part["3ddet"].mean() > 0.6, most(part) == "3ddet"), text, _figures(part)
    )


def fourth_branch(lab: Lab) -> Measured:
    """F.1: how c4_4 moves from random starts."""
    change, end = {}, {}
    for task in ("seg", "cls", "video"):
        begin, ends = lab.walks((TASKS[task],), MANY)
        change[task], end[task] = lab.columns(ends, "c4_4") - lab.columns(begin, "c4_4"), lab.columns(ends, "c4_4")
    good = [
        share(change["seg"] >= 0) > 0.8,
        share(change["cls"] <= 0) > 0.8,
        bool(end["cls"].mean() < end["video"].mean() < end["seg"].mean()),
    ]
    grows, shrinks = share(change["seg"] >= 0), share(change["cls"] <= 0)
    text = (
        f"channels of branch 4 of stage 4 end at {_told(end)}; it grows (or stays) in {grows:.0%} of the walks for "
        f"segmentation and shrinks (or stays) in {shrinks:.0%} for classification"
    )
    return Measured(verdict(all(good), any(good)), text, _figures(end))


def few_samples(lab: Lab) -> Measured:
    """F.2: 100 in the place of 1,000 training images a class."""
    a, b = (lab.ends(name, starts=MANY, lam=0.7) for name in ("cls-50-1000", "cls-50-100"))
    told, good, figures = [], [], {}
    for label, words in (("c4_1", "channels"), ("n4_1", "units")):
        x, y = lab.columns(a, label), lab.columns(b, label)
        good.append(bool(y.mean() > x.mean()))
        told.append(f"{words} {pm(x, 1)} to {pm(y, 1)}")
        figures[label] = float(y.mean() - x.mean())
    text = f"branch 1 of stage 4, 1,000 to 100 images a class: {', '.join(told)}"
    return Measured(verdict(all(good), any(good)), text, figures)


def both_sizes(lab: Lab) -> Measured:
    """F.2: both input sizes at once."""
    joint = lab.ends("seg", "seg-4x", starts=MANY)
    alone = np.concatenate([lab.ends(name, starts=MANY) for name in ("seg", "seg-4x")])
    units = [lab.columns(codes, "n1_1", "n2_1", "n2_2") for codes in (alone, joint)]
    blocks = [lab.columns(codes, "b2") for codes in (alone, joint)]
    good = [bool(units[1].mean() < units[0].mean()), bool(blocks[1].mean() > blocks[0].mean())]
    text = (
        f"units of stages 1 and 2: alone {pm(units[0])}, both {pm(units[1])}; blocks of stage 2: "
        f"{pm(blocks[0])}, {pm(blocks[1])}"
    )
    figures = {"units": float(units[1].mean() - units[0].mean()), "blocks": float(blocks[1].mean() - blocks[0].mean())}
    return Measured(verdict(all(good), any(good)), text, figures)


def seg_video_channels(lab: Lab) -> Measured:
    """F.2: the stem and the output."""
    stem, out = _means(lab, "i1", "i2"), _means(lab, "o1")
    good = [bool(stem["seg"].mean() < stem["video"].mean()), bool(out["video"].mean() > out["seg"].mean())]
    text = f"stem channels: {_told(stem)}; output channels: {_told(out)}"
    return Measured(verdict(all(good), any(good)), text, {**_figures(stem, "stem "), **_figures(out, "output ")})


def depth(lab: Lab) -> Measured:
    """Residual units that an input passes, over all branches; and the share of multiply-adds in the finest branch's channels."""
    units = {}
    for task, setting in TASKS.items():
        codes = lab.ends(setting, starts=MANY)
        units[task] = sum(
            lab.columns(codes, f"b{s}") * lab.columns(codes, f"n{s}_{r}") for s in range(1, 5) for r in range(1, s + 1)
        )
    coarse = _means(lab, *(label for label in CHANNELS if label[-1] in "34"))
    good = [bool(units["cls"].mean() > units["seg"].mean()), bool(coarse["cls"].mean() > coarse["seg"].mean())]
    text = f"residual units in all blocks: {_told(units)}; channels at 1/16 and 1/32 of the input: {_told(coarse)}"  # type: ignore[arg-type]
    return Measured(verdict(all(good), any(good)), text, {**_figures(units, "units "), **_figures(coarse, "coarse ")})  # type: ignore[arg-type]


CLAIMS = (
    Claim(
        "high-level",
        "D (1), Figure 8",
        "Segmentation has the most channels in the last two branches at the end, video the fewest in stages 1 and 2.",
        high_level,
    ),
    Claim(
        "cls-channels",
        "D (2), Figure 8",
        "The classification network has more channels than those of other tasks.",
        cls_channels,
    ),
    Claim("det-branches", "D (3), Figure 8", "3D detection mainly uses the first two branches.", det_branches),
    Claim(
        "fourth-branch",
        "F.1, Figures 9 to 12",
        "Branch 4 of stage 4 grows for segmentation, shrinks for classification, stays between for video.",
        fourth_branch,
    ),
    Claim(
        "few-samples",
        "F.2, Figures 15 and 16",
        "With fewer training images branch 1 of stage 4 gets more channels and units.",
        few_samples,
    ),
    Claim(
        "both-sizes",
        "F.2, Figures 19 to 21",
        "For both input sizes at once: fewer units in stages 1 and 2, more blocks in stage 2.",
        both_sizes,
    ),
    Claim(
        "stem-output",
        "F.2, Figures 13 and 14",
        "Segmentation takes fewer input channels, video more output channels.",
        seg_video_channels,
    ),
    Claim("depth", "1, F.2", "Classification asks for depth and low resolution more than segmentation does.", depth),
)
