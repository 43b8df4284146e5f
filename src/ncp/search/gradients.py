"""The gradient of a loss of several predictors' outputs by the code they share, as fast as it can be had.

A search needs some hundred gradients of tiny networks, where the bookkeeping of automatic differentiation costs several
times the arithmetic. For predictors that show their layers (the paper's) the chain rule is written out, with norms and
standardisation folded in and only the heads that are asked for; for all others autograd does it.

Shape suffixes: S codes, D dimensions, K objectives, C columns of one predictor, H and F widths of its two hidden layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ncp.search.objectives import Forward, Objectives

# (S, K) derivatives by z and by cost -> (S, D) derivative by the code
Pullback = Callable[[Tensor, Tensor], Tensor]
_LAYERS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def gradient_function(objectives: Objectives) -> Callable[[Tensor], tuple[Forward, Pullback]]:
    """A function from ``(S, D)`` float64 codes to their :class:`Forward` (detached) and the way back to the code."""
    if all(_explains_itself(objectives.predictors[o.setting]) for o in objectives.items):
        return _ByHand(objectives)
    return lambda codes_SD: _by_autograd(objectives, codes_SD)


def _explains_itself(predictor: Any) -> bool:
    return hasattr(predictor, "layers") and predictor.layout.activation == "silu"


def _by_autograd(objectives: Objectives, codes_SD: Tensor) -> tuple[Forward, Pullback]:
    x_SD = codes_SD.detach().requires_grad_()
    forward = objectives.forward(x_SD)

    def pull(dz_SK: Tensor, dcost_SK: Tensor) -> Tensor:
        (gradient_SD,) = torch.autograd.grad([forward.z_NK, forward.cost_NK], x_SD, [dz_SK, dcost_SK])
        return gradient_SD

    return Forward(forward.z_NK.detach(), forward.cost_NK.detach()), pull


class _Network:
    """One predictor from raw codes to some standardised columns, with its own backward pass.

    Args:
        predictor: has ``layers()``, ``input_mean`` and ``input_std``.
        columns: C outputs that are wanted.
        sign: their C factors.
    """

    def __init__(self, predictor: Any, columns: Sequence[int], sign: Sequence[float]) -> None:
        if predictor not in _LAYERS:
            _LAYERS[predictor] = predictor.layers()
        (w1, b1), (w2, b2), (w3, b3) = _LAYERS[predictor]
        pick = torch.tensor(list(columns))
        self.w1 = w1 / predictor.input_std
        self.b1 = b1 - self.w1 @ predictor.input_mean
        factor_C1 = torch.tensor(list(sign), dtype=w3.dtype)[:, None]
        w3, self.b3 = w3[pick] * factor_C1, b3[pick] * factor_C1[:, 0]
        used = (w3 != 0).any(0)  # hidden units of heads that nobody asks for are left out
        self.w2, self.b2, self.w3 = w2[used].contiguous(), b2[used].contiguous(), w3[:, used].contiguous()
        self.w1t, self.w2t, self.w3t = (w.T.contiguous() for w in (self.w1, self.w2, self.w3))

    def forward(self, x_SD: Tensor) -> Tensor:
        """``(S, C)``; keeps what :meth:`backward` needs."""
        h_SH = torch.addmm(self.b1, x_SD, self.w1t)
        self.gate1 = torch.sigmoid(h_SH)
        self.act1 = h_SH * self.gate1
        s_SF = torch.addmm(self.b2, self.act1, self.w2t)
        self.gate2 = torch.sigmoid(s_SF)
        self.act2 = s_SF * self.gate2
        return torch.addmm(self.b3, self.act2, self.w3t)

    def backward(self, dy_SC: Tensor) -> Tensor:
        """``(S, D)`` from ``(S, C)``."""
        ds_SF = (dy_SC @ self.w3) * _slope(self.act2, self.gate2)
        dh_SH = (ds_SF @ self.w2) * _slope(self.act1, self.gate1)
        return dh_SH @ self.w1


def _slope(act: Tensor, gate: Tensor) -> Tensor:
    """Derivative of ``act = h * gate`` with ``gate = sigmoid(h)``: ``gate + act * (1 - gate)``."""
    return torch.addcmul(gate + act, act, gate, value=-1.0)


class _ByHand:
    """:func:`gradient_function` for predictors that show their layers."""

    def __init__(self, objectives: Objectives) -> None:
        columns = [(setting, i, o.sign) for (setting, i), o in zip(objectives.columns, objectives.items, strict=True)]
        columns += [(setting, i, 1.0) for setting, i in objectives.cost_columns]
        names = list(dict.fromkeys(setting for setting, _, _ in columns))
        groups = [[c for c in columns if c[0] == name] for name in names]
        self.networks = [
            _Network(objectives.predictors[name], [i for _, i, _ in group], [sign for _, _, sign in group])
            for name, group in zip(names, groups, strict=True)
        ]
        self.sizes = [len(group) for group in groups]
        # the networks' outputs side by side are ordered by setting; the objectives want metrics, then costs
        beside = [c for group in groups for c in group]
        self.order = torch.tensor([beside.index(c) for c in columns])
        self.inverse = torch.argsort(self.order)
        self.sorted = self.order.tolist() == list(range(len(columns)))
        self.count = len(objectives.items)
        self.scale = objectives.cost_scale
        self.exact = objectives.space if objectives.cost == "exact" else None

    def __call__(self, codes_SD: Tensor) -> tuple[Forward, Pullback]:
        x_SD = codes_SD.float()
        parts = [network.forward(x_SD) for network in self.networks]
        y_SC = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        y_SC = (y_SC if self.sorted else y_SC[:, self.order]).double()
        z_SK = y_SC[:, : self.count]
        if self.exact is None:
            return Forward(z_SK, y_SC[:, self.count :]), lambda dz, dcost: self._pull(torch.cat([dz, dcost], 1))
        code_SD = codes_SD.detach().requires_grad_()
        macs_S = self.exact.cost(code_SD).macs
        (slope_SD,) = torch.autograd.grad(macs_S.sum(), code_SD)
        cost_SK = (macs_S.detach() / self.scale)[:, None].expand(-1, self.count)
        return Forward(z_SK, cost_SK), lambda dz, dcost: torch.addcmul(
            self._pull(dz), slope_SD, dcost.sum(1, keepdim=True) / self.scale
        )

    def _pull(self, dy_SC: Tensor) -> Tensor:
        dy_SC = (dy_SC if self.sorted else dy_SC[:, self.inverse]).float()
        parts = zip(self.networks, dy_SC.split(self.sizes, 1), strict=True)
        gradient_SD = sum(network.backward(dy) for network, dy in parts)
        assert isinstance(gradient_SD, Tensor)
        return gradient_SD.double()
