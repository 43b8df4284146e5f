"""Which trainings would tell most: those whose results leave least doubt about how some architectures differ.

Shape suffixes: N candidates, G goals, R rows, D dimensions of the code, J components.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ncp.predictors.transfer import Inputs, Transfer, covariance, factor, variance


def most_telling(predictor: Transfer, codes_ND: Any, goals_GD: Any, count: int) -> list[int]:
    """Indices of ``count`` candidates, chosen one after the other as if the result of each earlier one were known.

    Each takes most of the variance from the goals, summed over them (Cohn, *Neural network exploration using optimal
    experiment design*, 1996; for Gaussian processes Seo et al., 2000). What all goals have in common does not count: which of
    them is best is asked for, not how good they are.

    Args:
        predictor: its first metric is asked about, warped as it warps it.
        codes_ND: ``(N, D)`` candidates, N at least ``count``.
        goals_GD: ``(G, D)`` the architectures to tell apart; of a single one its own value is asked for.
        count: how many.
    """
    known = len(predictor.known)
    hyper = predictor.hyper[0].double()
    weight_J1 = torch.softmax(predictor.logits[0].double(), 0)[:, None]
    with torch.no_grad():
        rows, new, goals = (_inputs(predictor, codes) for codes in (predictor.codes, codes_ND, goals_GD))
        lower = factor(rows, hyper, known)
        half_JRN, half_JRG = (
            torch.linalg.solve_triangular(lower, covariance(rows, other, hyper, known), upper=False)
            for other in (new, goals)
        )
        cross_JNG = covariance(new, goals, hyper, known) - half_JRN.mT @ half_JRG
        left_JN = (variance(new, hyper, known) - half_JRN.square().sum(-2)).clamp_min(1e-9) + hyper[:, 5:6].square()
        chosen: list[int] = []
        for _ in range(count):
            apart_JNG = cross_JNG - cross_JNG.mean(-1, keepdim=True) if cross_JNG.shape[-1] > 1 else cross_JNG
            gain_N = (weight_J1 * apart_JNG.square().sum(-1) / left_JN).sum(0)
            gain_N[chosen] = -torch.inf
            pick = int(gain_N.argmax())
            chosen.append(pick)
            only = Inputs(*(part[pick : pick + 1] for part in new))
            deviation_J1 = left_JN[:, pick, None].sqrt()
            with_JN = covariance(new, only, hyper, known)[..., 0] - (half_JRN.mT @ half_JRN[..., pick, None])[..., 0]
            with_JN = with_JN / deviation_J1
            goal_JG = cross_JNG[:, pick] / deviation_J1
            half_JRN = torch.cat([half_JRN, with_JN[:, None]], 1)  # one row more
            cross_JNG = cross_JNG - with_JN[..., None] * goal_JG[:, None]
            left_JN = (left_JN - with_JN.square()).clamp_min(1e-9)
    return chosen


def _inputs(predictor: Transfer, codes: Any) -> Inputs:
    given: Tensor = torch.as_tensor(codes)
    return Inputs(*(part.double() for part in predictor.inputs(given)))
