"""What everybody may ask of a predictor, whatever it is made of.

Shape suffixes: N architectures, D dimensions of the code, M metrics.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ncp import spaces, tensorfile
from ncp.errors import UserError
from ncp.predictors.card import FORMAT, Card

CHUNK = 4_096  # rows that are answered at a time


class Answer(NamedTuple):
    """Of N codes, all ``(N, M)`` float64 in the metrics' units.

    Attributes:
        mean: predictions.
        std: the model's own standard deviation; None where it was not asked for.
        pull: derivatives of anything by the mean and by the deviation (None: 0) to those ``(N, D)`` by the codes.
    """

    mean: np.ndarray
    std: np.ndarray | None
    pull: Callable[[np.ndarray, np.ndarray | None], np.ndarray]


class AnyPredictor:
    """A fixed, deterministic function from raw codes to metrics in their own units.

    A kind has :meth:`answer`, :meth:`noise_at` and ``arrays``. ``output_mean`` and ``output_std`` ``(M,)`` are the
    standardisation of the outputs over the fitted rows (the search works in standardised outputs); ``noise_std`` ``(M,)`` is
    the spread of a training's result around its expectation.
    """

    choice = ""  # in words, what was chosen when it was fitted, where there was a choice
    curve_maker: Callable[[], Any] | None = None  # makes the learning curve of its rows, where that is known
    knows_noise = True  # False: ``noise_std`` must be set from errors on rows that the predictor did not see
    chunk = CHUNK
    card: Card
    space: spaces.Space[Any]
    output_mean: Any
    output_std: Any
    noise_std: Any

    @property
    def setting(self) -> str:
        """The setting it predicts."""
        return self.card.setting

    @property
    def min_overlap(self) -> dict[str, float]:
        """The card's; that of the setting for what was fitted on the release before cards stated it."""
        from ncp.benchmark import settings
        from ncp.predictors.rows import RELEASE

        setting = settings.SETTINGS.get(self.setting) if self.card.source.startswith(RELEASE) else None
        return self.card.min_overlap or (setting.min_overlap if setting else {})

    @property
    def metrics(self) -> tuple[str, ...]:
        """M metric names, in the order of the outputs."""
        return self.card.metrics

    @property
    def curve(self) -> Any:
        """The learning curve (:class:`ncp.predictors.curve.Curve`) of a predictor just fitted to few rows; else None."""
        if self.curve_maker is not None and "_curve" not in self.__dict__:
            self.__dict__["_curve"] = self.curve_maker()
        return self.__dict__.get("_curve")

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """All its numbers by name, as files hold them."""
        raise NotImplementedError

    def closed(self) -> AnyPredictor:
        """What gives the same answers with numpy alone, where there is such a form; else itself."""
        return self

    def answer(self, codes_ND: np.ndarray, std: bool = True) -> Answer:
        """Means and, where asked for, the model's own deviations of ``(N, D)`` continuous codes, with the way back."""
        raise NotImplementedError

    def noise_at(self, mean_NM: np.ndarray) -> np.ndarray:
        """Spread of a training's result around its expectation ``mean_NM``, ``(N, M)`` in the metrics' units."""
        raise NotImplementedError

    def predict(self, codes: Any) -> dict[str, np.ndarray]:
        """Predicted metrics: name -> ``(N,)`` float64 in the metric's unit.

        ``codes``: ``(N, D)`` numbers, one code, or architectures.
        """
        return self._by_metric(codes, lambda x: self.answer(x, std=False).mean)

    def predict_std(self, codes: Any, noise: bool = True) -> dict[str, np.ndarray]:
        """Standard deviations: name -> ``(N,)`` float64 in the metric's unit.

        With ``noise`` (the default) that of a training's result; without, the model's own part alone.
        """

        def std(x_ND: np.ndarray) -> np.ndarray:
            found = self.answer(x_ND)
            assert found.std is not None
            return np.hypot(found.std, self.noise_at(found.mean)) if noise else found.std

        return self._by_metric(codes, std)

    def _by_metric(self, codes: Any, function: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
        x_ND = as_codes(codes, self.space)
        # a chunk at a time: a million rows have no room in some predictors' inner layers
        parts = [function(x_ND[i : i + self.chunk]) for i in range(0, max(1, len(x_ND)), self.chunk)]
        y_NM = np.concatenate(parts)
        return {name: y_NM[:, i] for i, name in enumerate(self.metrics)}

    def save(self, path: str | Path, dtype: Any = None) -> Path:
        """Write weights and card into one safetensors file, complete or not at all; returns its path.

        ``dtype``, such as ``float16`` (or torch's), is that of matrices in the file; vectors (standardisation, norms, biases)
        keep their own.

        Raises:
            UserError: where the file cannot be written, or the weights are not finite.
        """
        kind = None if dtype is None else np.dtype(str(dtype).removeprefix("torch."))
        arrays = {
            name: values.astype(kind) if kind is not None and values.ndim > 1 and values.dtype.kind == "f" else values
            for name, values in self.arrays.items()
        }
        metadata = {"format": FORMAT, "card": json.dumps(asdict(self.card))}
        return tensorfile.write(path, arrays, metadata, f"the weights of the predictor of {self.setting}")


def as_codes(codes: Any, space: spaces.Space[Any]) -> np.ndarray:
    """``(N, D)`` float64 from an array of codes, one code, one architecture or a sequence of architectures."""
    if hasattr(codes, "code"):
        codes = [codes]
    if isinstance(codes, Sequence) and len(codes) and not isinstance(codes, str) and hasattr(codes[0], "code"):
        return space.encode(codes)
    array = np.asarray(codes, dtype=np.float64)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] != space.dim:
        raise UserError(f"codes of space '{space.name}' have shape (N, {space.dim}), given was {np.shape(codes)}")
    if not np.isfinite(array).all():
        raise UserError("codes must be finite; some given are not")
    return array
