"""The default predictor's answers: the posterior of sparse Gaussian processes, its doubt and their gradients.

What it is: :mod:`ncp.predictors.gp`. With ``k`` the Matern correlations of a code's features with the U inducing points and
``P`` the readout in terms of them, the warped mean is ``level + signal * (P_0 k)`` and the share of the variance that stays
``1 - sum_r (P_r k)^2``.

Shape suffixes: N codes, D dimensions, F features, U inducing points, M metrics, R directions in which variance is explained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, NamedTuple

import numpy as np
from msgspec import Meta

from ncp import files
from ncp.matern import matern52
from ncp.predictors.answers import Answer, AnyPredictor
from ncp.predictors.card import Card
from ncp.predictors.closed.form import ClosedForm
from ncp.spaces import slopes

JITTER = 1e-6  # relative to the signal's variance, on the inducing points' covariance
LEAST = 1e-6
"""Of the variance that stays, as a share."""
_ROOM = 2**22  # numbers in the largest array of an answer
SHARED = ("offset", "spread")
"""Arrays that all metrics have in common."""


@dataclass
class Sizes:
    """What the card's ``config`` holds: F features, U inducing points, R directions."""

    features: Annotated[int, Meta(ge=0, le=10_000)]
    points: Annotated[int, Meta(ge=0, le=100_000)]
    directions: Annotated[int, Meta(ge=0, le=100_000)]


class Warped(NamedTuple):
    """Mean and own deviation of the warped metrics, ``(M, N)``, and the way back to the features ``(N, F)``."""

    mean: np.ndarray
    std: np.ndarray | None
    pull: Callable[[np.ndarray, np.ndarray | None], np.ndarray]


class SparseGP(ClosedForm):
    """Medians and standard deviations of M metrics from U inducing points each; its arrays are described there."""

    _whole: tuple[SparseGP, list[int]] | None = None

    @property
    def chunk(self) -> int:  # type: ignore[override]
        """Rows that are answered at a time: as many as have room."""
        m, u = self.numbers["points"].shape[:2]
        return max(64, min(AnyPredictor.chunk, _ROOM // max(1, int(m * u))))

    def select(self, metrics: Sequence[str]) -> SparseGP:
        """The same predictor for some of its metrics only: that much faster."""
        keep = [self.metrics.index(name) for name in metrics]
        arrays = {name: values if name in SHARED else values[keep] for name, values in self.arrays.items()}
        part = SparseGP(self._for_metrics(metrics), arrays)
        part._whole = (self, keep)
        return part

    @cached_property
    def projection(self) -> np.ndarray:
        """``(M, 1 + R, U)``: readout times the inverse Cholesky factor of the inducing points' correlation."""
        if self._whole is not None:  # once for both: a search describes what it has found by the whole
            whole, keep = self._whole
            return whole.projection[keep]
        points = self.numbers["points"]
        out = np.empty_like(self.numbers["readout"])
        for m in range(len(points)):
            lower = np.linalg.cholesky(matern52(points[m], points[m])[0] + JITTER * np.eye(points.shape[1]))
            out[m] = np.linalg.solve(lower.T, self.numbers["readout"][m].T).T
        return out

    def warped_at(self, features_NF: np.ndarray, std: bool = True) -> Warped:
        """Mean and deviation before the warp, from the space's features."""
        own, projection = self.numbers, self.projection
        signal_M1 = own["signal"][:, None]
        z_MNF = ((features_NF - own["offset"]) / own["spread"]) * own["inverse_scale"][:, None]
        k_MNU, back = matern52(z_MNF, own["points"])
        out_MNR = k_MNU @ (projection if std else projection[:, :1]).mT
        mean_MN = own["level"][:, None] + signal_M1 * out_MNR[..., 0]
        left_MN = 1 - np.square(out_MNR[..., 1:]).sum(-1)
        root_MN = np.sqrt(np.maximum(left_MN, LEAST))

        def pull(d_mean: np.ndarray, d_std: np.ndarray | None) -> np.ndarray:
            if d_std is None:
                d_k = (signal_M1 * d_mean)[..., None] * projection[:, None, 0]
            else:
                d_left = np.where(left_MN > LEAST, d_std * signal_M1 / (2 * root_MN), 0.0)
                d_out = out_MNR * (-2 * d_left)[..., None]
                d_out[..., 0] = signal_M1 * d_mean
                d_k = d_out @ projection
            d_z = (back(d_k) * own["inverse_scale"][:, None]).sum(0)
            return np.asarray(d_z / own["spread"])

        return Warped(mean_MN, signal_M1 * root_MN if std else None, pull)

    def answer(self, codes_ND: np.ndarray, std: bool = True) -> Answer:
        """Medians and the model's own standard deviations in the metrics' units, with the way back."""
        features = slopes.features(self.space, codes_ND)
        warped = self.warped_at(features.value, std)
        gap_MN = self.numbers["warp.scale"][:, None] * np.exp(-warped.mean)  # to the top, and the slope of the warp

        def pull(d_mean: np.ndarray, d_std: np.ndarray | None) -> np.ndarray:
            d_u = gap_MN * d_mean.T
            if d_std is None or warped.std is None:
                return features.pull(warped.pull(d_u, None))
            return features.pull(warped.pull(d_u - warped.std * gap_MN * d_std.T, gap_MN * d_std.T))

        mean_NM = self.numbers["warp.top"] - gap_MN.T
        return Answer(mean_NM, None if warped.std is None else (warped.std * gap_MN).T, pull)

    def noise_at(self, mean_NM: np.ndarray) -> np.ndarray:
        """Wider where the metric is low."""
        return np.asarray(self.numbers["noise_u"] * np.maximum(self.numbers["warp.top"] - mean_NM, 0))


def own_shapes(card: Card) -> dict[str, tuple[int, ...]]:
    """The shapes of what describes the processes."""
    sizes = files.checked(card.config, Sizes, "the card of this predictor")
    m, f, u, r = len(card.metrics), sizes.features, sizes.points, sizes.directions
    return {
        "offset": (f,),
        "spread": (f,),
        "points": (m, u, f),
        "inverse_scale": (m, f),
        "level": (m,),
        "signal": (m,),
        "readout": (m, 1 + r, u),
        "noise_u": (m,),
    }


def shapes(card: Card) -> dict[str, tuple[int, ...]]:
    """The shapes of all arrays of the predictor on a card, by name. Raises ``UserError`` for a card that describes none."""
    per_metric = ("output_mean", "output_std", "noise_std", "warp.top", "warp.scale")
    return {**dict.fromkeys(per_metric, (len(card.metrics),)), **own_shapes(card)}


made = SparseGP
