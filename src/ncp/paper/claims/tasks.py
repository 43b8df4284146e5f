"""Sections 4.3 to 4.5 and appendix B: one task, several, from one to another, and settings of one task.

All networks are ends of the paper's walks from the same starts, the paper's first; all figures are the judge's.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.stats import spearmanr, wilcoxon

from ncp.benchmark import settings
from ncp.paper import printed
from ncp.paper.claims.claim import UNKNOWN, Claim, Measured, verdict
from ncp.paper.claims.lab import Lab, pm, share
from ncp.paper.searches import TASKS

PAPER = tuple(settings.PAPER)


def _own(lab: Lab, names: tuple[str, ...], lam: float = 0.5) -> tuple[int, str, dict[str, float]]:
    """In how many settings the network found for that setting is the best of all; means over starts."""
    means = np.array([[lab.judge(lab.ends(a, lam=lam), b).mean() for a in names] for b in names])
    best = [int(row.argmax()) == i for i, row in enumerate(means)]
    told = "; ".join(
        f"in {b}: " + ", ".join(f"{a} {means[i, j]:.2f}" for j, a in enumerate(names)) for i, b in enumerate(names)
    )
    figures = {f"{b} by {a}": float(means[i, j]) for i, b in enumerate(names) for j, a in enumerate(names)}
    return sum(best), f"the own network is the best in {sum(best)} of {len(names)} ({told})", figures


def single(lab: Lab) -> Measured:
    """The four tasks."""
    names = tuple(TASKS.values())
    count, text, figures = _own(lab, names)
    return Measured(verdict(count == len(names), count > 1), text, figures)


def subsets(lab: Lab) -> Measured:
    """Table 5."""
    names = ("cls-50-1000", "cls-50-100", "cls-10-1000")
    count, text, figures = _own(lab, names, 0.7)
    return Measured(verdict(count == 3, count > 0), text, figures)


def subsets_together(lab: Lab) -> Measured:
    """NCP-Net-ABC against the three."""
    names = ("cls-50-1000", "cls-50-100", "cls-10-1000")
    joint = lab.ends(*names, lam=0.7)
    far, told = [], []
    for name in names:
        gain = lab.judge(joint, name) - lab.judge(lab.ends(name, lam=0.7), name)
        far.append(float(gain.mean()))
        told.append(f"{name} {pm(gain)}")
    dearer = lab.macs(joint).mean() / np.mean([lab.macs(lab.ends(name, lam=0.7)).mean() for name in names])
    text = (
        f"against the network of each subset alone: {', '.join(told)} points, at {dearer:.2f} times the multiply-adds"
    )
    return Measured(verdict(min(far) > -0.5, max(far) > -0.5), text, dict(zip(names, far, strict=True)))


def _gain(lab: Lab, a: str, b: str) -> tuple[np.ndarray, np.ndarray]:
    """``(S,)`` each: what a joint search for a and b gains in a, and in b, against searches for one."""
    joint = lab.ends(a, b)
    return tuple(lab.judge(joint, name) - lab.judge(lab.ends(name), name) for name in (a, b))  # type: ignore[return-value]


def cls_and_seg(lab: Lab) -> Measured:
    """The pair that the paper names first."""
    cls, seg = _gain(lab, "cls-50-1000", "seg")
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
    seg, video = _gain(lab, "seg", "video")
    good = [seg.mean() < 0, video.mean() < 0]
    text = f"segmentation {pm(seg)}, video {pm(video)} points"
    return Measured(verdict(all(good), any(good)), text, {"seg": float(seg.mean()), "video": float(video.mean())})


def correlated(lab: Lab) -> Measured:
    """All 36 pairs against Figure 4."""
    stated = printed.statistics()
    gains, rho = [], []
    for i, j in combinations(range(len(PAPER)), 2):
        pair = _gain(lab, PAPER[i], PAPER[j])
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


def generalise(lab: Lab) -> Measured:
    """A network for A and B against those for A and for B, in settings that none of them was searched for."""
    better, pairs, single_ranks, joint_ranks = [], 0, [], []
    for a, b in combinations(TASKS.values(), 2):
        for c in PAPER:
            if c in (a, b):
                continue
            joint = lab.percentile(lab.ends(a, b), c).mean()
            alone = [lab.percentile(lab.ends(name), c).mean() for name in (a, b)]
            better.append(joint > np.mean(alone))
            single_ranks.append(np.mean(alone))
            joint_ranks.append(joint)
            pairs += 1
    p = float(wilcoxon(joint_ranks, single_ranks).pvalue)
    text = (
        f"{pairs} cases (pair of tasks, unseen setting): the joint network is better than {np.mean(joint_ranks):.0f} % of the "
        f"benchmark on average, those of one task than {np.mean(single_ranks):.0f} %; better in {share(better):.0%} of the "
        f"cases (Wilcoxon p = {p:.1g})"
    )
    ahead = float(np.mean(joint_ranks)) > float(np.mean(single_ranks))
    return Measured(
        verdict(ahead and p < 0.05, ahead),
        text,
        {"joint": float(np.mean(joint_ranks)), "single": float(np.mean(single_ranks))},
    )


def transfer(lab: Lab) -> Measured:
    """Twelve transfers against searching from the default code, and against keeping the network."""
    scratch_gain, kept_gain = [], []
    for target, setting in TASKS.items():
        scratch = lab.judge([lab.found.faithful(target).architecture.code], setting)[0]
        for source in TASKS:
            if source == target:
                continue
            after, before = (lab.found.faithful(name).architecture.code for name in (f"{source}-to-{target}", source))
            values = lab.judge([after, before], setting)
            scratch_gain.append(values[0] - scratch)
            kept_gain.append(values[0] - values[1])
    a, b = np.array(scratch_gain), np.array(kept_gain)
    text = (
        f"better than from the default code in {int((a > 0).sum())} of 12 ({pm(a)} points), better than the network kept as "
        f"it is in {int((b > 0).sum())} of 12 ({pm(b)})"
    )
    good = [int((a > 0).sum()) == 12, int((b > 0).sum()) == 12]
    return Measured(
        verdict(all(good), (a > 0).sum() + (b > 0).sum() >= 12),
        text,
        {"scratch": float(a.mean()), "kept": float(b.mean())},
    )


def best_source(lab: Lab) -> Measured:
    """Where to start a transfer from."""
    wanted, best, told = {"seg": "cls", "video": "cls", "3ddet": "seg"}, {}, []
    for target in wanted:
        sources = [s for s in TASKS if s != target]
        values = lab.judge([lab.found.faithful(f"{s}-to-{target}").architecture.code for s in sources], TASKS[target])
        best[target] = sources[int(values.argmax())]
        told.append(f"{target} from " + ", ".join(f"{s} {v:.2f}" for s, v in zip(sources, values, strict=True)))
    right = sum(best[target] == source for target, source in wanted.items())
    return Measured(verdict(right == 3, right > 0), "; ".join(told), {"as claimed": float(right)})


def settings_own(lab: Lab) -> Measured:
    """Two settings of segmentation, two of video."""
    seg, said_seg, figures = _own(lab, ("seg", "seg-4x"))
    video, said_video, more = _own(lab, ("video", "video-p"))
    return Measured(verdict(seg + video == 4, seg + video > 1), f"{said_seg}; {said_video}", {**figures, **more})


def settings_together(lab: Lab) -> Measured:
    """Both settings at once."""
    told, good, figures = [], [], {}
    for pair in (("seg", "seg-4x"), ("video", "video-p")):
        for name, gain in zip(pair, _gain(lab, *pair), strict=True):
            told.append(f"{name} {pm(gain)}")
            good.append(gain.mean() > 0)
            figures[name] = float(gain.mean())
        larger = lab.macs(lab.ends(*pair)).mean() / np.mean([lab.macs(lab.ends(name)).mean() for name in pair])
        told.append(f"at {larger:.2f} times the multiply-adds")
    return Measured(verdict(all(good), any(good)), ", ".join(told), figures)


def other_sets(lab: Lab) -> Measured:
    """ADE20K and COCO."""
    return Measured(
        UNKNOWN,
        "no predictor of these sets exists; train setting=ade20k arch=code arch.code=... data.root=DATA does it",
    )


CLAIMS = (
    Claim("single-task", "4.3, Table 3", "NCP customises a good architecture for each single task.", single),
    Claim(
        "cls+seg",
        "4.3, Table 3",
        "Classification and segmentation together improve both, with 17 % fewer FLOPs.",
        cls_and_seg,
    ),
    Claim("seg+video", "4.3, Table 3", "Segmentation and video together hinder both.", seg_and_video),
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
    Claim("other-sets", "4.3, B, Tables 3 and 8", "The networks work well on ADE20K and COCO.", other_sets),
    Claim(
        "transfer",
        "4.4, Table 4",
        "Transferred architectures are always better than from scratch, and than fine-tuning.",
        transfer,
    ),
    Claim(
        "best-source",
        "4.4, Table 4",
        "Classification transfers best to segmentation and video, segmentation to 3D detection.",
        best_source,
    ),
    Claim("subsets", "4.5, Table 5", "NCP finds the optimal architecture for each subset of ImageNet.", subsets),
    Claim("subsets-together", "4.5, Table 5", "One for all three is great on all of them.", subsets_together),
    Claim(
        "settings",
        "B, Tables 8 and 9",
        "A network found for a setting is the best there, and poor in the other.",
        settings_own,
    ),
    Claim(
        "settings-together",
        "B, Tables 8 and 9",
        "Joint optimisation of two settings of a task improves each, at a larger size.",
        settings_together,
    ),
)
