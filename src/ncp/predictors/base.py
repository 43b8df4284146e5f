"""What every predictor is, and how one is stored: a safetensors file whose metadata carries its card.

Shape suffixes: N architectures, D dimensions of the code, M metrics.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ncp import spaces
from ncp.errors import UserError

FORMAT = "ncp-predictor-1"
WEIGHTS = Path(__file__).parent / "weights"
# kind -> module whose ``build(card)`` makes an empty predictor of that kind
_KINDS = {"mlp": "ncp.predictors.mlp", "gp": "ncp.predictors.gp"}
# what a user may call the bundled families -> folder under WEIGHTS
FAMILIES = {"default": "default", "paper": "paper"}


@dataclass
class Card:
    """What a predictor is and how far it can be trusted.

    Attributes:
        kind: the family: ``gp`` (the default) or ``mlp`` (the paper's).
        setting: the setting it predicts, such as ``seg``.
        space: name of the search space.
        metrics: M names in the order of its outputs, the tables' own names; units are the tables' (percent points for
            metrics, billions and millions for ``flops`` and ``params``).
        rows: number of rows it was fitted on.
        protocol: how rows were chosen and what errors were measured on, in words.
        errors: per metric, errors on rows it did not see: ``mae``, ``rmse``, ``spearman``, ``kendall``, ...
        source: where the rows came from.
        licence: the terms of that source.
        config: what is needed to rebuild the module (sizes, activation, ...).
        held: number of rows on which the errors were measured; 0 where that is not known.
        region: ``lower`` and ``upper``, D numbers each: bounds of the architectures that it was fitted on; empty where they
            come from the whole space.
    """

    kind: str
    setting: str
    metrics: tuple[str, ...]
    space: str = "multires"
    rows: int = 0
    protocol: str = ""
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    source: str = ""
    licence: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    held: int = 0
    region: dict[str, list[float]] = field(default_factory=dict)


class Predictor(nn.Module):
    """A fixed, deterministic function from raw codes to metrics in their own units.

    Subclasses implement :meth:`posterior`. Buffers ``output_mean`` and ``output_std`` ``(M,)`` are the standardisation of
    the outputs over the fitted rows (the search works in standardised outputs); ``noise_std`` ``(M,)`` is the spread of a
    training's result around its expectation.
    """

    knows_noise = True  # False: ``noise_std`` must be set from errors on rows that the predictor did not see
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

    @property
    def setting(self) -> str:
        """The setting it predicts."""
        return self.card.setting

    @property
    def metrics(self) -> tuple[str, ...]:
        """M metric names, in the order of the outputs."""
        return self.card.metrics

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

    def predict(self, codes: Any) -> dict[str, np.ndarray]:
        """Predicted metrics: name -> ``(N,)`` float64 in the metric's unit.

        ``codes``: ``(N, D)`` numbers, one code, or architectures.
        """
        return self._answer(codes, lambda x: self.forward(x))

    def predict_std(self, codes: Any, noise: bool = True) -> dict[str, np.ndarray]:
        """Standard deviations: name -> ``(N,)`` float64 in the metric's unit.

        With ``noise`` (the default) that of a training's result; without, the model's own part alone.
        """

        def std(x: Tensor) -> Tensor:
            mean, own = self.posterior(x)
            return (own**2 + self.noise(mean) ** 2).sqrt() if noise else own

        return self._answer(codes, std)

    def _answer(self, codes: Any, function: Callable[[Tensor], Tensor]) -> dict[str, np.ndarray]:
        x_ND = torch.as_tensor(as_codes(codes, self.space), dtype=self.output_mean.dtype)
        with torch.no_grad():
            y_NM = function(x_ND).double().numpy()
        return {name: y_NM[:, i] for i, name in enumerate(self.metrics)}

    def save(self, path: str | Path, dtype: torch.dtype | None = None) -> Path:
        """Write weights and card into one safetensors file, complete or not at all; returns its path.

        ``dtype``, such as ``torch.float16``, is that of matrices in the file; vectors (standardisation, norms, biases) keep
        their own.

        Raises:
            UserError: where the file cannot be written.
        """
        from safetensors.torch import save

        tensors = {k: v.detach().contiguous().clone() for k, v in self.state_dict().items()}
        if dtype is not None:
            tensors = {k: v.to(dtype) if v.ndim > 1 and v.is_floating_point() else v for k, v in tensors.items()}
        content = save(tensors, metadata={"format": FORMAT, "card": json.dumps(asdict(self.card))})
        path = Path(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            raise UserError(f"cannot write '{path}' ({error.strerror}); give another folder") from None
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        return path


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


def load(name_or_path: str | Path, family: str = "default") -> Predictor:
    """A bundled predictor by setting (``seg``, ``cls-50-1000``, ... or ``cls``, ``det3d``), or one from a file.

    Args:
        name_or_path: a setting's name, or the path of a ``.safetensors`` file that ``python -m src.fit`` wrote.
        family: which bundled one: ``default`` or ``paper``.

    Raises:
        UserError: for an unknown setting or family, or a file that is missing, malformed or holds non-finite weights.
    """
    text = str(name_or_path)
    if text.endswith(".safetensors"):
        return _read(Path(text))
    from ncp.benchmark import settings

    if family not in FAMILIES:
        raise UserError(
            f"unknown predictor family '{family}'; families: {', '.join(FAMILIES)}, or the path of a .safetensors file"
        )
    setting = settings.get(text)
    path = WEIGHTS / FAMILIES[family] / f"{setting.name}.safetensors"
    if not path.exists():
        raise UserError(
            f"no bundled {family} predictor for '{setting.name}'; fit one with: python -m src.fit setting={setting.name}"
        )
    return _read(path)


def _read(path: Path) -> Predictor:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    except FileNotFoundError:
        raise UserError(f"no predictor file at '{path}'") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"'{path}' is not a readable safetensors file ({error})") from None
    try:
        if metadata.get("format") != FORMAT:
            raise KeyError("format")
        fields = json.loads(metadata["card"])
        fields["metrics"] = tuple(fields["metrics"])
        card = Card(**fields)
        module = import_module(_KINDS[card.kind])
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"'{path}' is a safetensors file but not a predictor (its metadata has no '{FORMAT}' card)"
        ) from None
    bad = [key for key, value in tensors.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if bad:
        raise UserError(f"'{path}' holds non-finite weights ({bad[0]}); fit the predictor again")
    predictor: Predictor = module.build(card)
    try:
        predictor.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(f"the weights in '{path}' do not fit its card: {str(error).splitlines()[-1].strip()}") from None
    return predictor.eval().requires_grad_(False)
