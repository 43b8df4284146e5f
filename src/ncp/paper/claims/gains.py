"""What networks found for one task, and for several at once, are expected to do in settings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ncp.benchmark import settings
from ncp.paper.claims.claim import Measured, verdict
from ncp.paper.claims.lab import Lab, pm, share


def own(lab: Lab, names: tuple[str, ...], lam: float = 0.5) -> tuple[int, str, dict[str, float]]:
    """In how many settings the network found for that setting is the best of all; means over starts."""
    every = [[lab.judge(lab.ends(a, lam=lam), b) for a in names] for b in names]
    means = np.array([[values.mean() for values in row] for row in every])
    best = [int(row.argmax()) == i for i, row in enumerate(means)]
    told = "; ".join(
        f"in {b}: " + ", ".join(f"{a} {pm(every[i][j])}" for j, a in enumerate(names)) for i, b in enumerate(names)
    )
    figures = {f"{b} by {a}": float(means[i, j]) for i, b in enumerate(names) for j, a in enumerate(names)}
    return sum(best), f"the own network is the best in {sum(best)} of {len(names)} ({told})", figures


def gain(lab: Lab, a: str, b: str) -> tuple[np.ndarray, np.ndarray]:
    """``(S,)`` each: what a joint search for a and b gains in a, and in b, against searches for one."""
    joint = lab.ends(a, b)
    return tuple(lab.judge(joint, name) - lab.judge(lab.ends(name), name) for name in (a, b))  # type: ignore[return-value]


def generality(lab: Lab, pairs: Sequence[tuple[str, str]], what: str) -> Measured:
    """Networks for two settings against those for one of them, in all settings that none of them was searched for."""
    from scipy.stats import wilcoxon

    joint, alone = [], []
    for a, b in pairs:
        for c in settings.PAPER:
            if c not in (a, b):
                joint.append(float(lab.percentile(lab.ends(a, b), c).mean()))
                alone.append(float(np.mean([lab.percentile(lab.ends(name), c).mean() for name in (a, b)])))
    p = float(wilcoxon(joint, alone).pvalue)
    both, one = float(np.mean(joint)), float(np.mean(alone))
    text = (
        f"{len(joint)} cases ({what}, unseen setting): the joint network is better than {both:.0f} % of the benchmark on "
        f"average, those of one than {one:.0f} %; better in {share(np.array(joint) > alone):.0%} of the cases (Wilcoxon "
        f"p = {p:.1g})"
    )
    return Measured(verdict(both > one and p < 0.05, both > one), text, {"joint": both, "single": one})
