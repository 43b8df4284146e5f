"""The gradient of a loss of several predictors' outputs by the code they share, as fast as it can be had.

A search needs some hundred gradients of tiny networks. For predictors that show their layers (the paper's) norms and
standardisation are folded in, in single precision and with only the heads that are asked for; all others answer with their own
way back.

Shape suffixes: S codes, D dimensions, K objectives, C columns of one predictor, H and F widths of its two hidden layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ncp.predictors.closed.mlp import MLP
from ncp.search.loss import Outputs
from ncp.search.objectives import Objectives

# (S, K) derivatives by z and by cost -> (S, D) derivative by the code
Pullback = Callable[[np.ndarray, np.ndarray], np.ndarray]
_LAYERS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def gradient_function(objectives: Objectives) -> Callable[[np.ndarray], tuple[Outputs, Pullback]]:
    """A function from ``(S, D)`` float64 codes to their outputs and the way back from those to the code."""
    if all(_shows_layers(objectives.asked[o.setting]) for o in objectives.items):
        return _ByHand(objectives)
    return lambda codes_SD: _by_slopes(objectives, codes_SD)


def _shows_layers(predictor: Any) -> bool:
    return isinstance(predictor, MLP) and predictor.layout.activation == "silu"


def _by_slopes(objectives: Objectives, codes_SD: np.ndarray) -> tuple[Outputs, Pullback]:
    forward = objectives.forward(codes_SD)
    return Outputs(forward.z_NK, forward.cost_NK), lambda dz, dcost: forward.pull(z=dz, cost=dcost)


class _Network:
    """One predictor from raw codes to some standardised columns, with its own backward pass, in single precision.

    Args:
        predictor: has ``layers``, ``input_mean`` and ``input_std``.
        columns: C outputs that are wanted.
        sign: their C factors.
    """

    def __init__(self, predictor: Any, columns: Sequence[int], sign: Sequence[float]) -> None:
        if predictor not in _LAYERS:
            _LAYERS[predictor] = [(w.astype(np.float32), b.astype(np.float32)) for w, b in predictor.layers]
        (w1, b1), (w2, b2), (w3, b3) = _LAYERS[predictor]
        self.w1 = w1 / predictor.input_std.astype(np.float32)
        self.b1 = b1 - self.w1 @ predictor.input_mean.astype(np.float32)
        factor_C = np.array(sign, dtype=np.float32)
        w3, self.b3 = w3[list(columns)] * factor_C[:, None], b3[list(columns)] * factor_C
        used = (w3 != 0).any(0)  # hidden units of heads that nobody asks for are left out
        self.w2, self.b2, self.w3 = w2[used], b2[used], np.ascontiguousarray(w3[:, used])
        self.w1t, self.w2t, self.w3t = (np.ascontiguousarray(w.T) for w in (self.w1, self.w2, self.w3))

    def forward(self, x_SD: np.ndarray) -> np.ndarray:
        """``(S, C)``; keeps what :meth:`backward` needs."""
        self.act1, self.gate1 = _silu(x_SD @ self.w1t + self.b1)
        self.act2, self.gate2 = _silu(self.act1 @ self.w2t + self.b2)
        y_SC: np.ndarray = self.act2 @ self.w3t + self.b3
        return y_SC

    def backward(self, ds_SF: np.ndarray) -> np.ndarray:
        """``(S, D)`` from ``dy @ w3``, which does not change while ``dy`` does not."""
        ds_SF = ds_SF * _slope(self.act2, self.gate2)
        dh_SH = (ds_SF @ self.w2) * _slope(self.act1, self.gate1)
        gradient: np.ndarray = dh_SH @ self.w1
        return gradient


def _silu(h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``h * gate`` and ``gate = sigmoid(h)``."""
    gate = np.exp(-h)
    gate += 1
    np.reciprocal(gate, out=gate)
    return h * gate, gate


def _slope(act: np.ndarray, gate: np.ndarray) -> np.ndarray:
    """Derivative of ``act = h * gate`` by h: ``gate + act * (1 - gate)``."""
    slope: np.ndarray = 1 - gate
    slope *= act
    slope += gate
    return slope


class _ByHand:
    """:func:`gradient_function` for predictors that show their layers."""

    def __init__(self, objectives: Objectives) -> None:
        columns = [(setting, i, o.sign) for (setting, i), o in zip(objectives.columns, objectives.items, strict=True)]
        columns += [(setting, i, 1.0) for setting, i in objectives.cost_columns]
        names = list(dict.fromkeys(setting for setting, _, _ in columns))
        # where each network's outputs stand among the objectives' metrics, which come first, and their costs
        self.places = [[place for place, c in enumerate(columns) if c[0] == name] for name in names]
        self.networks = [
            _Network(objectives.asked[name], [columns[p][1] for p in places], [columns[p][2] for p in places])
            for name, places in zip(names, self.places, strict=True)
        ]
        self.width, self.count = len(columns), len(objectives.items)
        self.scale = objectives.cost_scale
        self.exact = None if objectives.cost == "learned" else objectives.charge_slope
        self._slopes: tuple[np.ndarray, np.ndarray] | None = None
        self._heads: list[np.ndarray] = []

    def __call__(self, codes_SD: np.ndarray) -> tuple[Outputs, Pullback]:
        x_SD = codes_SD.astype(np.float32)
        y_SC = np.empty((len(x_SD), self.width))
        for network, places in zip(self.networks, self.places, strict=True):
            y_SC[:, places] = network.forward(x_SD)
        if self.exact is None:
            return Outputs(y_SC[:, : self.count], y_SC[:, self.count :]), self._pull
        charge = self.exact(codes_SD)
        slope_SD = charge.pull(np.ones(len(codes_SD)))
        cost_S1 = charge.value[:, None] / self.scale
        outputs = Outputs(y_SC, np.repeat(cost_S1, self.count, 1))
        return (
            outputs,
            lambda dz, dcost: self._pull(dz, dcost) + slope_SD * (dcost.sum(1, keepdims=True) / self.scale),
        )

    def _pull(self, dz_SK: np.ndarray, dcost_SK: np.ndarray) -> np.ndarray:
        if self._slopes is None or self._slopes[0] is not dz_SK or self._slopes[1] is not dcost_SK:
            self._slopes = (dz_SK, dcost_SK)
            dy_SC = np.concatenate([dz_SK, dcost_SK], 1).astype(np.float32)
            self._heads = [dy_SC[:, p] @ n.w3 for n, p in zip(self.networks, self.places, strict=True)]
        gradient_SD = self.networks[0].backward(self._heads[0])
        for network, head in zip(self.networks[1:], self._heads[1:], strict=True):
            gradient_SD = gradient_SD + network.backward(head)
        return gradient_SD.astype(np.float64)
