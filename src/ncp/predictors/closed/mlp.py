"""The paper's predictor: how a file describes it, and its answers with their gradients.

What it is: :mod:`ncp.predictors.mlp`. Batch norms are folded into the layers beside them, which leaves three matrices.

Shape suffixes: N codes, D dimensions, M metrics, G heads, H width of the shared layer, S width of one head's own layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ncp import files, spaces
from ncp.errors import UserError
from ncp.predictors.answers import Answer
from ncp.predictors.card import Card
from ncp.predictors.closed.form import ClosedForm

MAX_WIDTH = 65_536
ACTIVATIONS = ("relu", "silu")
NORM_EPS = 1e-5  # torch's own


@dataclass(frozen=True)
class Layout:
    """What is needed to rebuild the network; ``Card.config`` holds it as a dictionary.

    Attributes:
        groups: the heads: for each the indices of its metrics. Together they hold each of ``0 .. M-1`` once.
        shared: H, width of the shared layer.
        separate: S, width of each head's own layer.
        dropout: share of the shared layer's outputs dropped while training.
        head_dropout: the same for each head's layer (the release drops nothing in the head of the costs).
        norm: whether there are batch norms.
        activation: ``relu`` or ``silu`` (x * sigmoid(x), the release's).
    """

    groups: tuple[tuple[int, ...], ...]
    head_dropout: tuple[float, ...]
    shared: int = 256
    separate: int = 128
    dropout: float = 0.5
    norm: bool = True
    activation: str = "silu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(tuple(int(i) for i in g) for g in self.groups))
        object.__setattr__(self, "head_dropout", tuple(float(p) for p in self.head_dropout))
        if self.activation not in ACTIVATIONS:
            raise UserError(f"unknown activation '{self.activation}'; activations: {', '.join(ACTIVATIONS)}")
        if not all(1 <= width <= MAX_WIDTH for width in (self.shared, self.separate)):
            given = f"shared={self.shared}, separate={self.separate}"
            raise UserError(f"layer widths must be positive and at most {MAX_WIDTH}, given were {given}")
        if not all(0 <= p < 1 for p in (self.dropout, *self.head_dropout)):
            raise UserError(f"dropout must be in 0..1 (below 1), given was {self.dropout}, heads {self.head_dropout}")
        order = [i for group in self.groups for i in group]
        if not order or sorted(order) != list(range(len(order))) or len(self.head_dropout) != len(self.groups):
            raise UserError(f"the heads must hold each of the metrics 0, 1, ... once, given were {self.groups}")

    def to_dict(self) -> dict[str, Any]:
        """As ``Card.config`` holds it, with lists as a file gives them back."""
        lists = {"groups": [list(g) for g in self.groups], "head_dropout": list(self.head_dropout)}
        return {**asdict(self), **lists}

    def only(self, wanted: Sequence[int]) -> tuple[Layout, list[int]]:
        """The layout of some of the metrics, in this order, and which heads stay."""
        kept = [tuple(wanted.index(i) for i in members if i in wanted) for members in self.groups]
        heads = [g for g, members in enumerate(kept) if members]
        groups, dropout = tuple(kept[g] for g in heads), tuple(self.head_dropout[g] for g in heads)
        return replace(self, groups=groups, head_dropout=dropout), heads


class MLP(ClosedForm):
    """Means of M metrics; one network says nothing of its own doubt, so the deviation is zero."""

    knows_noise = False

    def __init__(self, card: Card, arrays: Any) -> None:
        super().__init__(card, arrays)
        self.layout = layout_of(card)
        self.input_mean, self.input_std = self.numbers["input_mean"], self.numbers["input_std"]

    def select(self, metrics: Sequence[str]) -> MLP:
        """The same predictor for some of its metrics: only their heads are kept, and it is that much faster.

        Raises:
            UserError: for a metric that it does not predict.
        """
        wanted = check_metrics(self.metrics, metrics)
        form, heads = self.layout.only(wanted)
        width = self.layout.separate
        units = np.concatenate([np.arange(g * width, (g + 1) * width) for g in heads])
        arrays = dict(self.arrays)
        for name, values in arrays.items():
            if name.startswith(("net.separate.", "net.norm_separate.")) and values.ndim:
                arrays[name] = values[units]
            elif name.startswith(("net.out_", "output_", "noise_")):
                arrays[name] = values[wanted]
        return MLP(replace(self.card, metrics=tuple(metrics), config=form.to_dict()), arrays)

    def fold(self) -> MLP:
        """The same function without batch norms: each is folded into the linear layer next to it; ``self`` without any."""
        if not self.layout.norm:
            return self
        own = self.numbers
        scale_in, shift_in = self._affine("norm_in")
        scale_h, shift_h = self._affine("norm_shared")
        scale_s, shift_s = self._affine("norm_separate")
        w1, b1 = own["net.shared.weight"], own["net.shared.bias"]
        w2, b2 = own["net.separate.weight"], own["net.separate.bias"]
        arrays = {name: values for name, values in own.items() if not name.startswith("net.norm")} | {
            "net.shared.weight": scale_h[:, None] * w1 * scale_in,
            "net.shared.bias": scale_h * (b1 + w1 @ shift_in) + shift_h,
            "net.separate.weight": scale_s[:, None] * w2,
            "net.separate.bias": scale_s * b2 + shift_s,
        }
        return MLP(replace(self.card, config=replace(self.layout, norm=False).to_dict()), arrays)

    def _affine(self, norm: str) -> tuple[np.ndarray, np.ndarray]:
        """Scale and shift that an evaluated batch norm applies."""
        own = {part: self.numbers[f"net.{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")}
        scale = own["weight"] / np.sqrt(own["running_var"] + NORM_EPS)
        return scale, own["bias"] - own["running_mean"] * scale

    @cached_property
    def layers(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Weight and bias of the three linear layers, norms folded, from standardised codes to standardised metrics.

        Shapes ``(H, D) (G*S, H) (M, G*S)``; the last one is zero between a metric and the heads of others.
        """
        own, width = self.fold().numbers, self.layout.separate
        out = np.zeros((len(self.metrics), len(self.layout.groups) * width))
        for g, members in enumerate(self.layout.groups):
            out[list(members), g * width : (g + 1) * width] = own["net.out_weight"][list(members)]
        return (
            (own["net.shared.weight"], own["net.shared.bias"]),
            (own["net.separate.weight"], own["net.separate.bias"]),
            (out, own["net.out_bias"]),
        )

    def answer(self, codes_ND: np.ndarray, std: bool = True) -> Answer:
        """Means, and deviations of zero, with the way back."""
        (w1, b1), (w2, b2), (w3, b3) = self.layers
        activation = _silu if self.layout.activation == "silu" else _relu
        z_ND = (np.asarray(codes_ND, dtype=np.float64) - self.input_mean) / self.input_std
        h_NH, back1 = activation(z_ND @ w1.T + b1)
        s_NF, back2 = activation(h_NH @ w2.T + b2)
        mean_NM = (s_NF @ w3.T + b3) * self.output_std + self.output_mean

        def pull(d_mean: np.ndarray, d_std: np.ndarray | None) -> np.ndarray:
            d_NF = back2((d_mean * self.output_std) @ w3)
            return np.asarray((back1(d_NF @ w2) @ w1) / self.input_std)

        return Answer(mean_NM, np.zeros_like(mean_NM) if std else None, pull)


Back = Callable[[np.ndarray], np.ndarray]


def _silu(h: np.ndarray) -> tuple[np.ndarray, Back]:
    gate = 0.5 * np.tanh(0.5 * h) + 0.5  # the logistic function, without overflow
    return h * gate, lambda d: d * (gate * (1 + h * (1 - gate)))


def _relu(h: np.ndarray) -> tuple[np.ndarray, Back]:
    return np.maximum(h, 0), lambda d: d * (h > 0)


def check_metrics(known: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where the wanted metrics stand. Raises ``UserError`` for one that is not known, or none."""
    missing = [name for name in wanted if name not in known]
    if missing or not wanted:
        raise UserError(f"this predictor does not predict {missing or 'nothing'}; it predicts {', '.join(known)}")
    return [list(known).index(name) for name in wanted]


def layout_of(card: Card) -> Layout:
    """The layout on a card. Raises ``UserError`` for a card that describes no network."""
    found: Layout = files.checked(card.config, Layout, "the card of this predictor describes no network, its config")
    if sum(map(len, found.groups)) != len(card.metrics) or len(found.groups) > len(card.metrics):
        raise UserError(f"the {len(found.groups)} heads do not hold the {len(card.metrics)} metrics of the card")
    return found


def shapes(card: Card) -> dict[str, tuple[int, ...]]:
    """The shapes of all arrays of the predictor on a card, by name. Raises ``UserError`` for a card that describes none."""
    form, m = layout_of(card), len(card.metrics)
    dim, hidden = spaces.get(card.space).dim, len(form.groups) * form.separate
    out: dict[str, tuple[int, ...]] = dict.fromkeys(("output_mean", "output_std", "noise_std"), (m,))
    out |= dict.fromkeys(("input_mean", "input_std"), (dim,))
    for name, rows, columns in (("shared", form.shared, dim), ("separate", hidden, form.shared)):
        out |= {f"net.{name}.weight": (rows, columns), f"net.{name}.bias": (rows,)}
    out |= {"net.out_weight": (m, form.separate), "net.out_bias": (m,)}
    if form.norm:
        for name, width in (("norm_in", dim), ("norm_shared", form.shared), ("norm_separate", hidden)):
            out |= {f"net.{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
            out[f"net.{name}.num_batches_tracked"] = ()
    return out


made = MLP
