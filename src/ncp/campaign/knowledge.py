"""Which architectures tell most about where the best one is: not the best themselves, but what parts the promising ones.

Samples of the predictor's joint doubt over many candidates say which of them may be the best within the limits, and how likely.
A training is worth as much as it narrows the doubt about how those compare: the expected fall of the variance of their values
about their common mean, after a training of a code with its noise (active learning as in Cohn, 1994, for the optimum alone).

Shape suffixes: N codes to choose among, S promising codes, B chosen ones, D dimensions of the code.
"""

from __future__ import annotations

import numpy as np

from ncp.predictors.answers import AnyPredictor

SAMPLES = 512
"""Draws of the joint doubt, each with its best code."""
MOST = 64
"""Promising codes that are looked at: the likeliest."""
SHORTLIST = 256
"""Codes that are looked at closely: those that tell most alone."""
JITTER = 1e-6


def promising(
    predictor: AnyPredictor, codes_SD: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """Places and probabilities ``(S,)`` of the codes that may be the best of all given; None where the predictor cannot tell."""
    both = predictor.covariance(codes_SD, codes_SD)
    if both is None:
        return None
    mean_S = predictor.predict(codes_SD)[predictor.metrics[0]]
    values, vectors = np.linalg.eigh((both + both.T) / 2)
    root = vectors * np.sqrt(np.maximum(values, 0))
    drawn = mean_S[:, None] + root @ rng.standard_normal((len(mean_S), SAMPLES))
    count_S = np.bincount(drawn.argmax(0), minlength=len(mean_S))
    places = np.argsort(-count_S, kind="stable")[: min(MOST, int((count_S > 0).sum()))]
    return places, count_S[places] / count_S[places].sum()


def telling(
    predictor: AnyPredictor, codes_ND: np.ndarray, best_SD: np.ndarray, weight_S: np.ndarray, count: int
) -> list[int]:
    """Places of ``count`` codes that narrow the doubt about the promising ones most, one after the other.

    Args:
        predictor: tells its covariance.
        codes_ND: among which to choose, at least ``count``.
        best_SD: the promising codes.
        weight_S: how likely each of them is the best.
        count: how many.
    """
    name = predictor.metrics[0]
    own_N = np.square(predictor.predict_std(codes_ND, noise=False)[name])
    noise_N = np.square(predictor.predict_std(codes_ND)[name]) - own_N
    least = JITTER * float(own_N.mean() + noise_N.mean())
    cross_NS = predictor.covariance(codes_ND, best_SD)
    assert cross_NS is not None
    # what tells little now tells less after others
    some = np.argsort(-_gain(cross_NS, weight_S, own_N + noise_N + least), kind="stable")[: max(SHORTLIST, 8 * count)]
    own_N, noise_N, cross_NS = own_N[some], noise_N[some] + least, cross_NS[some]
    both_NN = predictor.covariance(codes_ND[some], codes_ND[some])
    assert both_NN is not None
    chosen: list[int] = []
    for _ in range(count):
        gain_N = _gain(cross_NS, weight_S, own_N + noise_N)
        gain_N[chosen] = -np.inf
        pick = int(gain_N.argmax())
        chosen.append(pick)
        # as if it were trained
        root_N = both_NN[:, pick] / np.sqrt(own_N[pick] + noise_N[pick])
        cross_NS = cross_NS - np.outer(root_N, cross_NS[pick] / np.sqrt(own_N[pick] + noise_N[pick]))
        both_NN = both_NN - np.outer(root_N, root_N)
        own_N = np.maximum(own_N - np.square(root_N), 0)
    return [int(some[i]) for i in chosen]


def _gain(cross_NS: np.ndarray, weight_S: np.ndarray, measured_N: np.ndarray) -> np.ndarray:
    """``(N,)`` by how much the variance of the promising ones about their mean falls, given that of each measurement."""
    apart_NS = cross_NS - (cross_NS @ weight_S)[:, None]
    return np.asarray(np.square(apart_NS) @ weight_S / measured_N)
