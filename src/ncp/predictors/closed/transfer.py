"""The answers of predictors from few rows: a mixture of exact Gaussian processes about what known predictors say.

What it is: :mod:`ncp.predictors.transfer`, whose notation this follows.

Shape suffixes: N codes, R rows, D dimensions, F features, K known predictors, L linear inputs, M metrics, J components.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import numpy as np
from msgspec import Meta

from ncp import files, spaces
from ncp.errors import UserError
from ncp.matern import matern52
from ncp.predictors import card as cards
from ncp.predictors.answers import Answer, AnyPredictor
from ncp.predictors.card import Card
from ncp.predictors.closed.form import ClosedForm
from ncp.predictors.closed.gp import SparseGP
from ncp.slopes import Slope
from ncp.spaces import slopes

MAX_ROWS = 2000
MAX_KNOWN = 32
MAX_DEPTH = 3
"""Predictors within predictors: a known one may itself have been made from few rows."""
COSTS = 1
LEVEL = 2.0
"""Prior standard deviation of the constant, in those of the warped values."""
PARTS = ("average", "each", "cost", "smooth")
HYPER = (*PARTS, "shrink", "noise", "top")
"""What a component says: the strength of each part, the factor of all inverse length scales, noise, and the warp's top."""
JITTER = 1e-6
LEAST = 1e-6
"""Of the variance that stays."""
_ROOM = 2**24  # numbers in the largest array of an answer


@dataclass
class TransferSizes:
    """What the card's ``config`` holds: R rows, F features, J components, and the K known predictors' cards."""

    rows: Annotated[int, Meta(ge=1, le=MAX_ROWS)]
    features: Annotated[int, Meta(ge=1, le=10_000)]
    components: Annotated[int, Meta(ge=1, le=64)]
    known: Annotated[tuple[dict[str, Any], ...], Meta(max_length=MAX_KNOWN)] = field(default_factory=tuple)


class Inputs(NamedTuple):
    """What the process sees of N codes: ``smooth`` ``(N, F)`` features by their length scales, ``linear`` ``(N, L)``.

    The linear ones are the average score, each score (divided by the root of K), and the cost; without known predictors
    the cost alone. ``pull`` goes from derivatives by both to those by the codes.
    """

    smooth: np.ndarray
    linear: np.ndarray
    pull: Callable[[np.ndarray, np.ndarray], np.ndarray]


class _Solved(NamedTuple):
    """The process conditioned on its rows; the leading axes are M metrics and J components."""

    rows: Inputs
    weight: np.ndarray  # (M, J, 1) of the components
    strength: np.ndarray  # (M, J, L) prior variance of each linear input's weight
    smooth: np.ndarray  # (M, J, 1, 1) prior variance of the remainder
    shrink: np.ndarray  # (M, J, 1, 1)
    alpha: np.ndarray  # (M, J, R)
    half: np.ndarray  # (M, J, R, R), the inverse of the covariance's lower factor
    level: np.ndarray  # (M, J, 1)
    width: np.ndarray  # (M, J, 1)
    noise: np.ndarray  # (M,) as a share of the distance to the top
    top: np.ndarray  # (M,) in standardised values


class Transfer(ClosedForm):
    """Means and standard deviations of M metrics from R rows and K known predictors; its arrays are described there."""

    def __init__(
        self, card: Card, arrays: Mapping[str, np.ndarray], known: Sequence[AnyPredictor] | None = None
    ) -> None:
        """``known``: the known predictors themselves; None for those that the card and the arrays describe."""
        super().__init__(card, arrays)
        self.known = [*known] if known is not None else _known(card, self.arrays)

    @property
    def chunk(self) -> int:  # type: ignore[override]
        """Rows that are answered at a time: as many as have room."""
        components = self.numbers["logits"].size * len(self.numbers["codes"])
        return max(64, min(AnyPredictor.chunk, _ROOM // max(1, components)))

    def select(self, metrics: Sequence[str]) -> Transfer:
        """The same predictor for some of its metrics only: that much faster."""
        keep = [self.metrics.index(name) for name in metrics]
        arrays = dict(self.arrays)
        for name, values in arrays.items():
            if name == "values":
                arrays[name] = values[:, keep]
            elif name in ("hyper", "logits", "stretch") or name.startswith(("output_", "noise_")):
                arrays[name] = values[keep]
        return Transfer(self._for_metrics(metrics), arrays, self.known)

    def inputs(self, codes_ND: np.ndarray) -> Inputs:
        """What the process sees of codes."""
        own, k = self.numbers, len(self.known)
        features = slopes.features(self.space, codes_ND)
        cost = slopes.cost(self.space, codes_ND).column(0)
        priced = cost.then(np.log1p(np.maximum(cost.value, 0)), (cost.value > 0) / (1 + np.maximum(cost.value, 0)))
        costs_N1 = ((priced.value - own["cost_center"]) / own["cost_scale"])[:, None]
        smooth_NF = (features.value - own["feature_center"]) * own["feature_scale"]
        scores = [_score(p, codes_ND, features) for p in self.known]
        linear = costs_N1
        if k:
            scores_NK = np.stack([s.value for s in scores], -1)
            scores_NK = (scores_NK - own["score_center"]) / own["score_scale"]
            linear = np.concatenate([scores_NK.mean(-1, keepdims=True), scores_NK / math.sqrt(k), costs_N1], -1)

        def pull(d_smooth: np.ndarray, d_linear: np.ndarray) -> np.ndarray:
            out_ND = features.pull(d_smooth * own["feature_scale"]) + priced.pull(d_linear[:, -1] / own["cost_scale"])
            for i, score in enumerate(scores):
                d_N = d_linear[:, 0] / k + d_linear[:, 1 + i] / math.sqrt(k)
                out_ND = out_ND + score.pull(d_N / own["score_scale"][i])
            return out_ND

        return Inputs(smooth_NF, linear, pull)

    def answer(self, codes_ND: np.ndarray, std: bool = True) -> Answer:
        """Means and the model's own standard deviations in the metrics' units, with the way back."""
        solved, inputs = self._solved, self.inputs(codes_ND)
        stretch_M1 = self.numbers["stretch"][:, None]
        cross_MJNR, back = _covariance(inputs, solved.rows, solved.strength, solved.smooth, solved.shrink)
        gap_MJN = np.exp(-(solved.level + solved.width * (cross_MJNR @ solved.alpha[..., None])[..., 0]))
        value_MJN = self.numbers["hyper"][..., 6:7] - gap_MJN
        mean_MN = (solved.weight * value_MJN).sum(1)
        answer_NM = self.output_mean + self.output_std * mean_MN.T
        if std:
            explained_MJNR = cross_MJNR @ solved.half.mT
            prior_MJN = LEVEL**2 + solved.strength @ np.square(inputs.linear).T + solved.smooth[..., 0]
            left_MJN = prior_MJN - np.square(explained_MJNR).sum(-1)
            spread_MJN = np.square(gap_MJN * solved.width) * np.maximum(left_MJN, LEAST)
            away_MJN = value_MJN - mean_MN[:, None]
            root_MN = np.sqrt((solved.weight * (spread_MJN + np.square(away_MJN))).sum(1))

        def pull(d_mean: np.ndarray, d_std: np.ndarray | None) -> np.ndarray:
            d_value = solved.weight * (self.output_std * d_mean).T[:, None]
            d_gap = -d_value
            d_linear = np.zeros_like(inputs.linear)
            d_cross: Any = 0.0
            if d_std is not None and std:
                d_spread = solved.weight * ((self.output_std * d_std).T * stretch_M1 / (2 * root_MN))[:, None]
                d_gap = d_gap - 2 * d_spread * away_MJN + 2 * d_spread * spread_MJN / gap_MJN
                stays = left_MJN > LEAST
                d_left = np.where(stays, d_spread * np.square(gap_MJN * solved.width), 0.0)
                d_cross = -2 * ((d_left[..., None] * explained_MJNR) @ solved.half)
                d_linear = 2 * inputs.linear * np.einsum("mjn,mjl->nl", d_left, solved.strength)
            d_u = -gap_MJN * d_gap
            d_cross = d_cross + (d_u * solved.width)[..., None] * solved.alpha[..., None, :]
            more_smooth, more_linear = back(d_cross)
            return inputs.pull(more_smooth, d_linear + more_linear)

        return Answer(answer_NM, (self.output_std * (root_MN * stretch_M1).T) if std else None, pull)

    def noise_at(self, mean_NM: np.ndarray) -> np.ndarray:
        """Wider where the metric is low."""
        solved = self._solved
        gap_NM = np.maximum(solved.top - (mean_NM - self.output_mean) / self.output_std, 0)
        return np.asarray(solved.noise * gap_NM * self.numbers["stretch"] * self.output_std)

    @cached_property
    def _solved(self) -> _Solved:
        own, k = self.numbers, len(self.known)
        hyper, rows = own["hyper"], self.inputs(own["codes"])
        average, each, cost = (np.square(hyper[..., i : i + 1]) for i in range(3))
        strength = np.concatenate([average, *[each] * k, cost], -1) if k else cost
        smooth, shrink = np.square(hyper[..., 3, None, None]), hyper[..., 4, None, None]
        u_MJR = -np.log(hyper[..., 6:7] - own["values"].T[:, None])
        level, width = u_MJR.mean(-1, keepdims=True), np.maximum(u_MJR.std(-1, ddof=1, keepdims=True), 1e-6)
        both, _ = _covariance(rows, rows, strength, smooth, shrink)
        # relative to what it is added to: rows without noise let a part of it grow
        least = JITTER * (1 + np.diagonal(both, axis1=-2, axis2=-1).mean(-1))
        eye = np.eye(both.shape[-1])
        half = np.linalg.inv(np.linalg.cholesky(both + (np.square(hyper[..., 5]) + least)[..., None, None] * eye))
        alpha = (half.mT @ (half @ ((u_MJR - level) / width)[..., None]))[..., 0]
        raw = np.exp(own["logits"] - own["logits"].max(-1, keepdims=True))
        weight_MJ = raw / raw.sum(-1, keepdims=True)
        noise_M = (weight_MJ * hyper[..., 5] * width[..., 0]).sum(-1)
        top_M = (weight_MJ * hyper[..., 6]).sum(-1)
        return _Solved(rows, weight_MJ[..., None], strength, smooth, shrink, alpha, half, level, width, noise_M, top_M)


def _covariance(
    a: Inputs, b: Inputs, strength: np.ndarray, smooth: np.ndarray, shrink: np.ndarray
) -> tuple[np.ndarray, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """Prior covariance ``(M, J, N, R)`` of the warped metric without noise; back to smooth and linear inputs of the first."""
    correlation, back = matern52(a.smooth, b.smooth, shrink)
    value = LEVEL**2 + (a.linear * strength[..., None, :]) @ b.linear.T + smooth * correlation

    def pull(d_MJNR: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        d_linear = (d_MJNR @ b.linear) * strength[..., None, :]
        return back(d_MJNR * smooth).sum((0, 1)), d_linear.sum((0, 1))

    return value, pull


def _score(predictor: AnyPredictor, codes_ND: np.ndarray, features: Slope) -> Slope:
    """What a known predictor says of codes, ``(N,)``: its first metric, warped where it warps it."""
    if isinstance(predictor, SparseGP):
        warped = predictor.warped_at(features.value, std=False)
        return Slope(warped.mean[0], lambda d_N: features.pull(warped.pull(d_N[None], None)))
    answer = predictor.answer(codes_ND, std=False)

    def pull(d_N: np.ndarray) -> np.ndarray:
        d_NM = np.zeros_like(answer.mean)
        d_NM[:, 0] = d_N
        return answer.pull(d_NM, None)

    return Slope(answer.mean[:, 0], pull)


def _known(card: Card, arrays: Mapping[str, np.ndarray]) -> list[AnyPredictor]:
    found: list[AnyPredictor] = []
    for i, inner in enumerate(inner_cards(card)):
        prefix = f"known.{i}."
        theirs = {name.removeprefix(prefix): v for name, v in arrays.items() if name.startswith(prefix)}
        found.append(import_module("ncp.predictors.storage").made(inner, theirs))
    return found


def inner_cards(card: Card) -> list[Card]:
    """The cards of the known predictors. Raises ``UserError`` where one is none."""
    sizes = _sizes(card)
    return [cards.checked_card(content, f"its known predictor {i + 1}") for i, content in enumerate(sizes.known)]


def _sizes(card: Card) -> TransferSizes:
    sizes: TransferSizes = files.checked(card.config, TransferSizes, "the card of this predictor")
    return sizes


def own_shapes(card: Card) -> dict[str, tuple[int, ...]]:
    """The shapes of its own arrays, without those of the known predictors and the standardisation."""
    sizes, m = _sizes(card), len(card.metrics)
    r, f, j, k = sizes.rows, sizes.features, sizes.components, len(sizes.known)
    return {
        "codes": (r, spaces.get(card.space).dim),
        "values": (r, m),
        "hyper": (m, j, len(HYPER)),
        "logits": (m, j),
        "stretch": (m,),
        "feature_center": (f,),
        "feature_scale": (f,),
        "score_center": (k,),
        "score_scale": (k,),
        "cost_center": (COSTS,),
        "cost_scale": (COSTS,),
    }


def shapes(card: Card, depth: int = 1) -> dict[str, tuple[int, ...]]:
    """The shapes of all arrays of the predictor on a card, by name. Raises ``UserError`` for a card that describes none."""
    if depth > MAX_DEPTH:
        raise UserError(f"predictors within predictors are read {MAX_DEPTH} deep; this file goes deeper")
    found = dict.fromkeys(("output_mean", "output_std", "noise_std"), (len(card.metrics),)) | own_shapes(card)
    for i, inner in enumerate(inner_cards(card)):
        if inner.space != card.space:
            raise UserError(f"its known predictor {i + 1} is of space {inner.space}, not {card.space}")
        module = import_module(cards.kinds()[inner.kind])
        theirs = shapes(inner, depth + 1) if inner.kind == card.kind else module.shapes(inner)
        found |= {f"known.{i}.{name}": shape for name, shape in theirs.items()}
    return found


made = Transfer
