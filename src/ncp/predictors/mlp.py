"""The paper's predictor (appendix E.1): a three-layer network from a code to all metrics, its heads computed as one layer.

A layer of 256 is shared; each head has a layer of 128 of its own and one output per metric. With ``heads=metric`` (the
paper) every metric is a head; with ``heads=group`` (the release) the main metric, the other metrics and the costs are one
each, and batch norms stand before the first layer and behind both hidden ones.

Shape suffixes: N architectures, D dimensions of the code, M metrics, G heads, H width of the shared layer, S width of one
head's own layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncp.errors import UserError
from ncp.predictors.card import Card
from ncp.predictors.closed import mlp as closed
from ncp.predictors.closed.mlp import MAX_WIDTH, Layout, check_metrics, layout_of
from ncp.predictors.module import Predictor
from ncp.predictors.rows import COSTS

__all__ = ["HEADS", "MAX_WIDTH", "MLP", "Layout", "Network", "build", "layout"]
HEADS = ("metric", "group")
ACTIVATIONS = {"relu": F.relu, "silu": F.silu}


def layout(
    metrics: Sequence[str],
    heads: str = "metric",
    *,
    shared: int = 256,
    separate: int = 128,
    dropout: float = 0.5,
    norm: bool | None = None,
    activation: str = "silu",
) -> Layout:
    """The layout for ``metrics`` (the main one first, costs last), one head per metric or per group of metrics.

    ``norm`` is by default false with ``heads=metric`` and true with ``heads=group``: the paper names no norms, the release
    has them. The paper names no activation either; the release's is ``silu``.

    Raises:
        UserError: for an unknown kind of heads or activation, a width below 1 or a dropout outside 0..1.
    """
    if heads not in HEADS:
        raise UserError(f"unknown heads '{heads}'; heads: {', '.join(HEADS)}")
    costs = [i for i, name in enumerate(metrics) if name in COSTS]
    others = [i for i in range(len(metrics)) if i not in costs]
    by_group = [g for g in (others[:1], others[1:], costs) if g]
    groups = by_group if heads == "group" else [[i] for i in range(len(metrics))]
    free = [0.0 if heads == "group" and set(g) <= set(costs) else dropout for g in groups]
    norm = heads == "group" if norm is None else norm
    return Layout(tuple(map(tuple, groups)), tuple(free), shared, separate, dropout, norm, activation)


class Network(nn.Module):
    """Standardised codes ``(N, D)`` to standardised metrics ``(N, M)``."""

    own: Tensor
    drop_above: Tensor
    drop_scale: Tensor

    def __init__(self, dim: int, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        heads = len(layout.groups)
        metrics = sum(map(len, layout.groups))

        def norm(width: int) -> nn.Module:
            return nn.BatchNorm1d(width) if layout.norm else nn.Identity()

        self.norm_in = norm(dim)
        self.shared = nn.Linear(dim, layout.shared)
        self.norm_shared = norm(layout.shared)
        self.separate = nn.Linear(layout.shared, heads * layout.separate)
        self.norm_separate = norm(heads * layout.separate)
        self.out_weight = nn.Parameter(torch.empty(metrics, layout.separate))
        self.out_bias = nn.Parameter(torch.empty(metrics))
        bound = layout.separate**-0.5  # torch's own for a linear layer of this width
        nn.init.uniform_(self.out_weight, -bound, bound)
        nn.init.uniform_(self.out_bias, -bound, bound)
        own_MG1 = torch.zeros(metrics, heads, 1)
        for g, members in enumerate(layout.groups):
            own_MG1[list(members), g] = 1
        self.register_buffer("own", own_MG1, persistent=False)
        drop = torch.tensor(layout.head_dropout).repeat_interleave(layout.separate)
        drop = torch.cat([torch.full((layout.shared,), layout.dropout), drop])  # of both hidden layers in a row
        self.register_buffer("drop_above", (32767 - drop * 65536).round().to(torch.int16), persistent=False)
        self.register_buffer("drop_scale", 1 / (1 - drop), persistent=False)

    def output_weight(self) -> Tensor:
        """``(M, G * S)``: the output layer of all heads, zero between a metric and the heads of others."""
        return (self.out_weight[:, None] * self.own).flatten(1)

    def forward(self, z_ND: Tensor) -> Tensor:
        """Standardised metrics ``(N, M)``; drops only while training."""
        activation = ACTIVATIONS[self.layout.activation]
        h_NH = activation(self.norm_shared(self.shared(self.norm_in(z_ND))))
        if self.training:
            mask_NF = self._mask(len(z_ND))
            h_NH = h_NH * mask_NF[:, : self.layout.shared]
        s_NF = activation(self.norm_separate(self.separate(h_NH)))
        if self.training:
            s_NF = s_NF * mask_NF[:, self.layout.shared :]
        return F.linear(s_NF, self.output_weight(), self.out_bias)

    def _mask(self, n: int) -> Tensor:
        """``(n, H + G * S)``: 0 where an activation is dropped, else what keeps its mean.

        Sixteen random bits decide for one activation. torch's own dropout draws one random float for each, which on a CPU
        takes as long as all the rest of a training step.
        """
        width = len(self.drop_scale)
        bits = torch.empty((n * width + 3) // 4, dtype=torch.int64, device=self.drop_scale.device).random_(
            -(2**63), None
        )
        return (bits.view(torch.int16)[: n * width].view(n, width) <= self.drop_above) * self.drop_scale


class MLP(Predictor):
    """The paper's predictor with its standardisation.

    One network says nothing of its own doubt, so ``posterior``'s standard deviation is zero and ``predict_std`` is
    ``noise_std``: the root mean squared error on rows that the weights were not fitted on.
    """

    knows_noise = False
    input_mean: Tensor
    input_std: Tensor

    def __init__(self, card: Card) -> None:
        super().__init__(card)
        self.layout = layout_of(card)
        self.register_buffer("input_mean", torch.zeros(self.space.dim))
        self.register_buffer("input_std", torch.ones(self.space.dim))
        self.net = Network(self.space.dim, self.layout)

    def standardise(self, codes: Any, targets: Any) -> None:
        """Set the standardisation to mean and population standard deviation of ``(N, D)`` codes and ``(N, M)`` targets.

        A column without spread keeps the scale 1.
        """
        for prefix, values in (("input", codes), ("output", targets)):
            array = np.asarray(values, dtype=np.float64)
            std = array.std(axis=0)
            std[std < 1e-12] = 1
            getattr(self, f"{prefix}_mean").copy_(torch.as_tensor(array.mean(axis=0)))
            getattr(self, f"{prefix}_std").copy_(torch.as_tensor(std))

    def posterior(self, codes_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and a standard deviation of zero (see the class), both ``(N, M)``."""
        z_ND = (codes_ND.to(self.input_mean.dtype) - self.input_mean) / self.input_std
        y_NM = self.net(z_ND) * self.output_std + self.output_mean
        return y_NM, torch.zeros_like(y_NM)

    def closed_form(self) -> closed.MLP:
        """The same answers with numpy alone."""
        return closed.MLP(self.card, self.arrays)

    def select(self, metrics: Sequence[str]) -> MLP:
        """The same predictor for some of its metrics: only their heads are kept, and it is that much faster.

        Raises:
            UserError: for a metric that it does not predict.
        """
        wanted = check_metrics(self.metrics, metrics)
        form, heads = self.layout.only(wanted)
        other = MLP(replace(self.card, metrics=tuple(metrics), config=form.to_dict()))
        width = self.layout.separate
        units = torch.cat([torch.arange(g * width, (g + 1) * width) for g in heads])
        state = dict(self.state_dict())
        for name, value in state.items():
            if name.startswith(("net.separate.", "net.norm_separate.")) and value.ndim:
                state[name] = value[units]
            elif name.startswith(("net.out_", "output_", "noise_")):
                state[name] = value[wanted]
        other.to(self.input_mean.dtype).load_state_dict(state)
        return other.eval().requires_grad_(False)


def build(card: Card) -> MLP:
    """An empty predictor of this family, to be filled from a file or fitted."""
    return MLP(card)
