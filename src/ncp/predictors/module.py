"""Predictors as torch modules: those that are being fitted, and those of users' own.

Shape suffixes: N architectures, D dimensions of the code, M metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ncp import spaces
from ncp.predictors.answers import CHUNK, Answer, AnyPredictor, as_codes
from ncp.predictors.card import Card, kinds

# kind -> module with the class that is fitted, ``build(card)``
FITTED = {"mlp": "ncp.predictors.mlp", "gp": "ncp.predictors.gp", "transfer": "ncp.predictors.transfer"}


class Predictor(nn.Module, AnyPredictor):
    """A fixed, deterministic function from raw codes to metrics in their own units, written in torch.

    Subclasses implement :meth:`posterior`. Buffers ``output_mean`` and ``output_std`` ``(M,)`` are the standardisation of
    the outputs over the fitted rows (the search works in standardised outputs); ``noise_std`` ``(M,)`` is the spread of a
    training's result around its expectation.
    """

    output_mean: Tensor
    output_std: Tensor
    noise_std: Tensor

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.card = card
        self.space: spaces.Space[Any] = spaces.get(card.space)
        m = len(card.metrics)
        self.register_buffer("output_mean", torch.zeros(m))
        self.register_buffer("output_std", torch.ones(m))
        self.register_buffer("noise_std", torch.zeros(m))

    def posterior(self, codes_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and the model's own standard deviation (without noise), both ``(N, M)`` in the metrics' units.

        Differentiable in ``codes_ND``, raw codes of any floating type.
        """
        raise NotImplementedError

    def forward(self, codes_ND: Tensor) -> Tensor:
        """The mean alone, ``(N, M)`` in the metrics' units."""
        return self.posterior(codes_ND)[0]

    def noise(self, mean_NM: Tensor) -> Tensor:
        """Spread of a training's result around its expectation ``mean_NM``, ``(N, M)`` in the metrics' units."""
        return self.noise_std.to(mean_NM).expand_as(mean_NM)

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Its state as arrays."""
        return {name: value.detach().cpu().numpy() for name, value in self.state_dict().items()}

    def answer(self, codes_ND: np.ndarray, std: bool = True) -> Answer:
        """:meth:`posterior` with the way back by autograd, which asks for it once more."""
        codes_ND = np.asarray(codes_ND, dtype=np.float64)
        with torch.no_grad():
            found = [part.double().numpy() for part in self._asked(torch.from_numpy(codes_ND), std)]

        def pull(d_mean: np.ndarray, d_std: np.ndarray | None) -> np.ndarray:
            x_ND = torch.from_numpy(codes_ND).requires_grad_()
            with torch.enable_grad():
                asked = self._asked(x_ND, std and d_std is not None)
                wanted = [d for d in (d_mean, d_std) if d is not None][: len(asked)]
                total = sum((part.double() * torch.from_numpy(d)).sum() for part, d in zip(asked, wanted, strict=True))
                if not isinstance(total, Tensor) or not total.requires_grad:  # the same everywhere
                    return np.zeros_like(codes_ND)
                return np.asarray(torch.autograd.grad(total, x_ND)[0].numpy())

        return Answer(found[0], found[1] if std else None, pull)

    def _asked(self, codes_ND: Tensor, std: bool) -> tuple[Tensor, ...]:
        x_ND = codes_ND.to(self.output_mean.dtype)
        return self.posterior(x_ND) if std else (self(x_ND),)

    def noise_at(self, mean_NM: np.ndarray) -> np.ndarray:
        """:meth:`noise` of an array."""
        with torch.no_grad():
            return np.asarray(self.noise(torch.from_numpy(mean_NM).to(self.output_mean.dtype)).double().numpy())

    def closed(self) -> AnyPredictor:
        """See :meth:`AnyPredictor.closed`; made anew where a number has changed since."""
        if self._answers_otherwise():
            return self
        key = [(name, value.data_ptr(), value._version) for name, value in self.state_dict().items()]
        if self.__dict__.get("_closed_of") != key:
            self.__dict__["_closed"], self.__dict__["_closed_of"] = self.closed_form(), key
        closed: AnyPredictor = self.__dict__["_closed"]
        return self if closed is None else closed

    def _answers_otherwise(self) -> bool:
        """Whether a class derived from one with a closed form answers in its own way."""
        classes = type(self).__mro__
        owner = next(i for i, one in enumerate(classes) if "closed_form" in vars(one))
        return any(name in vars(one) for one in classes[:owner] for name in ("posterior", "forward", "noise"))

    def closed_form(self) -> AnyPredictor | None:
        """The closed form of these numbers; None for a kind that has none."""
        return None

    def predict(self, codes: Any) -> dict[str, np.ndarray]:
        """See :meth:`AnyPredictor.predict`; by the closed form, so that what is fitted answers as what is read back."""
        closed = self.closed()
        return self._answered(codes, lambda x: self.forward(x)) if closed is self else closed.predict(codes)

    def predict_std(self, codes: Any, noise: bool = True) -> dict[str, np.ndarray]:
        """See :meth:`AnyPredictor.predict_std`, likewise."""
        closed = self.closed()
        if closed is not self:
            return closed.predict_std(codes, noise)

        def std(x: Tensor) -> Tensor:
            mean, own = self.posterior(x)
            return (own**2 + self.noise(mean) ** 2).sqrt() if noise else own

        return self._answered(codes, std)

    def _answered(self, codes: Any, function: Callable[[Tensor], Tensor]) -> dict[str, np.ndarray]:
        x_ND = torch.as_tensor(as_codes(codes, self.space), dtype=self.output_mean.dtype)
        with torch.no_grad():  # a chunk at a time: a million rows have no room in some predictors' inner layers
            y_NM = torch.cat([function(x_CD) for x_CD in torch.split(x_ND, CHUNK)]).double().numpy()
        return {name: y_NM[:, i] for i, name in enumerate(self.metrics)}


def empty(card: Card) -> Predictor:
    """An empty one of the kind and size on a card."""
    built: Predictor = import_module(FITTED.get(card.kind) or kinds()[card.kind]).build(card)
    return built


def of(predictor: AnyPredictor) -> Predictor:
    """The torch module of a predictor: itself, or that of a closed form, in single precision."""
    if isinstance(predictor, Predictor):
        return predictor
    built = empty(predictor.card)
    built.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in predictor.arrays.items()})
    return built.eval().requires_grad_(False)
