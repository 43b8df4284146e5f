"""Section 4.3: one task, several, and data that were not searched for.

All networks are ends of the paper's walks from the same starts, the paper's first; all figures are the judge's.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.stats import spearmanr

from ncp import runs
from ncp.benchmark import settings
from ncp.paper import printed
from ncp.paper.claims.claim import Claim, Measured, verdict
from ncp.paper.claims.gains import gain, generality, own
from ncp.paper.claims.lab import Lab, pm
from ncp.paper.searches import TASKS

PAPER = tuple(settings.PAPER)


def single(lab: Lab) -> Measured:
    """The four tasks."""
    names = tuple(TASKS.values())
    count, text, figures = own(lab, names)
    return Measured(verdict(count == len(names), count > 1), text, figures)


def cls_and_seg(lab: Lab) -> Measured:
    """The pair that the paper names first."""
    cls, seg = gain(lab, "cls-50-1000", "seg")
    less = 1 - lab.macs(lab.ends("cls-50-1000", "seg")).mean() / lab.macs(lab.ends("cls-50-1000")).mean()
    text = (
        f"classification {pm(cls)}, segmentation {pm(seg)} points, with {less:.0%} fewer multiply-adds than "
        "for classification alone"
    )
    good = [cls.mean() > 0, seg.mean() > 0, less > 0]
    return Measured(
        verdict(all(good), any(good)), text, {"cls": float(cls.mean()), "seg": float(seg.mean()), "less": float(less)}
    )


def seg_and_video(lab: Lab) -> Measured:
    """The pair without correlation."""
    seg, video = gain(lab, "seg", "video")
    good = [seg.mean() < 0, video.mean() < 0]
    text = f"segmentation {pm(seg)}, video {pm(video)} points"
    return Measured(verdict(all(good), any(good)), text, {"seg": float(seg.mean()), "video": float(video.mean())})


def correlated(lab: Lab) -> Measured:
    """All 36 pairs against Figure 4."""
    stated = printed.statistics()
    gains, rho = [], []
    for i, j in combinations(range(len(PAPER)), 2):
        pair = gain(lab, PAPER[i], PAPER[j])
        gains.append(np.mean([g.mean() / lab.spread(n) for g, n in zip(pair, (PAPER[i], PAPER[j]), strict=True)]))
        rho.append(stated.spearman[stated.settings.index(PAPER[i]), stated.settings.index(PAPER[j])])
    found = spearmanr(rho, gains)
    strong, gained = np.array(rho) > 0.5, np.array(gains)
    text = (
        "36 pairs: rank correlation of Figure 4's correlation with the gain (mean of both settings, in standard deviations "
        f"of the benchmark) {found.statistic:.2f} (p = {found.pvalue:.1g}); gain {pm(gained[strong])} where it is above "
        f".5, {pm(gained[~strong])} elsewhere"
    )
    good = found.statistic > 0 and found.pvalue < 0.05
    helps = float(np.mean(gained[strong])) > 0
    return Measured(verdict(bool(good and helps), bool(good)), text, {"correlation": float(found.statistic)})


def seg_and_det(lab: Lab) -> Measured:
    """The pair of which one gains and one loses."""
    seg, det = gain(lab, "seg", "3ddet")
    good = [seg.mean() < 0, det.mean() > 0]
    text = f"segmentation {pm(seg)}, 3D detection {pm(det)} points"
    return Measured(verdict(all(good), any(good)), text, {"seg": float(seg.mean()), "3ddet": float(det.mean())})


def cls_and_video(lab: Lab) -> Measured:
    """The pair of which both gain; the paper's own Table 3 has video at 27.83 together and 28.47 alone."""
    cls, video = gain(lab, "cls-50-1000", "video")
    good = [cls.mean() > 0, video.mean() > 0]
    table = printed.table(3)
    said = []
    for task, name in (("cls", "cls-50-1000.top1"), ("video", "video.top1")):
        both, alone = table.of("cls+video"), table.of(task)
        assert both is not None
        assert alone is not None
        said.append(f"{both.figures[name] - alone.figures[name]:+.2f}")
    text = f"classification {pm(cls)}, video {pm(video)} points (by the paper's own Table 3 {', '.join(said)})"
    return Measured(verdict(all(good), any(good)), text, {"cls": float(cls.mean()), "video": float(video.mean())})


def four(lab: Lab) -> Measured:
    """Moderate: not below the worst network of one task, not above the task's own."""
    names, told, good, figures = tuple(TASKS.values()), [], [], {}
    joint = lab.ends(*names)
    for name in names:
        values = {other: float(lab.judge(lab.ends(other), name).mean()) for other in names}
        mine = lab.judge(joint, name)
        good.append(min(values.values()) <= float(mine.mean()) <= max(values.values()))
        figures[name] = float(mine.mean())
        told.append(
            f"{name} {pm(mine)} (networks of one task {min(values.values()):.2f} to {max(values.values()):.2f})"
        )
    return Measured(verdict(all(good), any(good)), "; ".join(told), figures)


def sizes(lab: Lab) -> Measured:
    """The order of costs that Table 3 prints: classification, 3D detection, segmentation, video."""
    macs = {task: lab.macs(lab.ends(setting)) for task, setting in TASKS.items()}
    stated = {}
    for task in TASKS:
        row = printed.table(3).of(task)
        assert row is not None
        stated[task] = row.flops_g or 0.0
    rho = float(spearmanr([v.mean() for v in macs.values()], list(stated.values())).statistic)
    spread = max(float(v.mean()) for v in macs.values()) / min(float(v.mean()) for v in macs.values())
    told = ", ".join(f"{task} {pm(v)} G ({stated[task]:.2f} printed)" for task, v in macs.items())
    text = f"with λ = 0.5 for all: {told}; rank correlation {rho:.2f}"
    return Measured(verdict(rho > 0.9, spread > 1.3), text, {task: float(v.mean()) for task, v in macs.items()})


def generalise(lab: Lab) -> Measured:
    """A network for A and B against those for A and for B, in settings that none of them was searched for."""
    return generality(lab, list(combinations(TASKS.values(), 2)), "pair of tasks")


def ade20k(lab: Lab) -> Measured:
    """By the paper's own figures; no predictor of ADE20K exists."""
    table = printed.table(3)
    figures = {row.search: row.figures["ade20k.mIoU"] for row in table.rows if row.search}
    alone = {task: figures[task] for task in TASKS}
    pairs = {f"{a}+{b}": (a, b) for a, b in combinations(TASKS, 2)}
    better = [name for name, two in pairs.items() if figures[name] > max(alone[task] for task in two)]
    middle = [name for name, two in pairs.items() if figures[name] > np.mean([alone[task] for task in two])]
    text = (
        f"as printed: {len(better)} of {len(pairs)} pairs are better there than both networks of their tasks "
        f"({', '.join(better)}), {len(middle)} better than the two on average, the four tasks' network "
        f"({figures['four']:.2f}) than all of one task (at most {max(alone.values()):.2f}); no predictor of ADE20K exists; a "
        f"training tells: {runs.invocation('train')} setting=ade20k arch=code arch.code=... data.root=DATA"
    )
    return Measured(verdict(len(better) == len(pairs), bool(better)), text, {"better": float(len(better))})


CLAIMS = (
    Claim("single-task", "4.3, Table 3", "NCP customises a good architecture for each single task.", single),
    Claim(
        "cls+seg",
        "4.3, Table 3",
        "Classification and segmentation together improve both, with 17 % fewer FLOPs.",
        cls_and_seg,
    ),
    Claim("cls+video", "4.3, Table 3", "Classification and video together improve both.", cls_and_video),
    Claim("seg+video", "4.3, Table 3", "Segmentation and video together hinder both.", seg_and_video),
    Claim(
        "seg+3ddet",
        "4.3, Table 3",
        "Segmentation and 3D detection together: 3D detection gains, segmentation loses.",
        seg_and_det,
    ),
    Claim("four", "4.3, Table 3", "All four tasks together achieve moderate results on each.", four),
    Claim("sizes", "4.3, Table 3", "It tunes a proper size for each task by itself.", sizes),
    Claim(
        "correlated",
        "4.3, A.2 (3)",
        "The higher two settings correlate, the more joint optimisation gains.",
        correlated,
    ),
    Claim(
        "generalise",
        "4.3, B",
        "Networks for several tasks generalise better to one that was not searched for.",
        generalise,
    ),
    Claim(
        "ade20k",
        "4.3, Table 3",
        "On ADE20K networks for several tasks are better than those for one.",
        ade20k,
    ),
)
