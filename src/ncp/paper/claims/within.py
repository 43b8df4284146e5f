"""Sections 4.4 and 4.5 and appendix B: from one task to another, and settings of one task.

All networks are ends of the paper's walks; all figures are the judge's.
"""

from __future__ import annotations

import numpy as np

from ncp import runs
from ncp.paper import printed
from ncp.paper.claims.claim import UNKNOWN, Claim, Measured, verdict
from ncp.paper.claims.gains import gain, generality, own
from ncp.paper.claims.lab import Lab, pm
from ncp.paper.searches import TASKS


def subsets(lab: Lab) -> Measured:
    """Table 5."""
    names = ("cls-50-1000", "cls-50-100", "cls-10-1000")
    count, text, figures = own(lab, names, 0.7)
    return Measured(verdict(count == 3, count > 0), text, figures)


def subsets_together(lab: Lab) -> Measured:
    """NCP-Net-ABC against the three."""
    names = ("cls-50-1000", "cls-50-100", "cls-10-1000")
    joint = lab.ends(*names, lam=0.7)
    far, told = [], []
    for name in names:
        gained = lab.judge(joint, name) - lab.judge(lab.ends(name, lam=0.7), name)
        far.append(float(gained.mean()))
        told.append(f"{name} {pm(gained)}")
    dearer = lab.macs(joint).mean() / np.mean([lab.macs(lab.ends(name, lam=0.7)).mean() for name in names])
    text = (
        f"against the network of each subset alone: {', '.join(told)} points, at {dearer:.2f} times the multiply-adds"
    )
    return Measured(verdict(min(far) > -0.5, max(far) > -0.5), text, dict(zip(names, far, strict=True)))


def transfer(lab: Lab) -> Measured:
    """Twelve transfers, each from several starts, against searching from the same start, and against keeping the network."""
    scratch_gain, kept_gain = [], []
    for target in TASKS.values():
        scratch = lab.judge(lab.ends(target), target)
        for source in TASKS.values():
            if source != target:
                after = lab.judge(lab.transfers(source, target), target)
                scratch_gain.append(after - scratch)
                kept_gain.append(after - lab.judge(lab.ends(source), target))
    a, b = (np.mean(gain, axis=1) for gain in (scratch_gain, kept_gain))
    text = (
        f"on average over {lab.seeds} starts better than from the same start at once in {int((a > 0).sum())} of 12 (by "
        f"{pm(scratch_gain)} points), better than the network kept as it is in {int((b > 0).sum())} of 12 (by {pm(kept_gain)})"
    )
    good = [int((a > 0).sum()) == 12, int((b > 0).sum()) == 12]
    return Measured(
        verdict(all(good), int((a > 0).sum() + (b > 0).sum()) >= 12),
        text,
        {"scratch": float(a.mean()), "kept": float(b.mean())},
    )


def best_source(lab: Lab) -> Measured:
    """Where to start a transfer from."""
    wanted, best, told = {"seg": "cls", "video": "cls", "3ddet": "seg"}, {}, []
    for target in wanted:
        values = {s: lab.judge(lab.transfers(TASKS[s], TASKS[target]), TASKS[target]) for s in TASKS if s != target}
        best[target] = max(values, key=lambda s: float(values[s].mean()))
        told.append(f"{target} from " + ", ".join(f"{s} {pm(v)}" for s, v in values.items()))
    right = sum(best[target] == source for target, source in wanted.items())
    return Measured(verdict(right == 3, right > 0), "; ".join(told), {"as claimed": float(right)})


def settings_own(lab: Lab) -> Measured:
    """Two settings of segmentation, two of video."""
    seg, said_seg, figures = own(lab, ("seg", "seg-4x"))
    video, said_video, more = own(lab, ("video", "video-p"))
    return Measured(verdict(seg + video == 4, seg + video > 1), f"{said_seg}; {said_video}", {**figures, **more})


def settings_together(lab: Lab) -> Measured:
    """Both settings at once."""
    told, good, figures = [], [], {}
    for pair in (("seg", "seg-4x"), ("video", "video-p")):
        for name, gained in zip(pair, gain(lab, *pair), strict=True):
            told.append(f"{name} {pm(gained)}")
            good.append(gained.mean() > 0)
            figures[name] = float(gained.mean())
        larger = lab.macs(lab.ends(*pair)).mean() / np.mean([lab.macs(lab.ends(name)).mean() for name in pair])
        told.append(f"at {larger:.2f} times the multiply-adds")
    return Measured(verdict(all(good), any(good)), ", ".join(told), figures)


def settings_generalise(lab: Lab) -> Measured:
    """Networks for both settings of a task in settings of other tasks and of none of the two."""
    return generality(lab, [("seg", "seg-4x"), ("video", "video-p")], "two settings of a task")


def ade20k_settings(lab: Lab) -> Measured:
    """What Table 8 prints of ADE20K."""
    rows = [printed.table(8).of(name) for name in ("seg", "seg-4x", "seg-both")]
    values = [row.figures["ade20k.mIoU"] for row in rows if row is not None]
    text = (
        f"printed are {values[0]:.2f} (512 x 1024), {values[1]:.2f} (128 x 512) and {values[2]:.2f} (both), as claimed; of "
        "these three networks the first one's code alone is public, and no predictor of ADE20K exists; a training "
        f"tells: {runs.invocation('train')} setting=ade20k arch=ncp_seg data.root=DATA"
    )
    return Measured(UNKNOWN, text)


CLAIMS = (
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
    Claim(
        "settings-generalise",
        "B (3)",
        "Networks for both settings of a task generalise better than those for one.",
        settings_generalise,
    ),
    Claim(
        "ade20k-settings",
        "B (3), Table 8",
        "On ADE20K the network for large input is better than that for small input, and that for both is the best.",
        ade20k_settings,
    ),
)
