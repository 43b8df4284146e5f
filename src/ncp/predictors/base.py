"""What every predictor is, and how one is stored: a safetensors file whose metadata carries its card.

Shape suffixes: N architectures, D dimensions of the code, M metrics.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn

from ncp import files, registry, runs, spaces, tensorfile
from ncp.errors import UserError

FORMAT = "ncp-predictor-1"
WEIGHTS = Path(__file__).parent / "weights"
# kind -> module whose ``build(card)`` makes an empty predictor of that kind, and whose ``shapes(card)`` are those of its
# tensors, told without making any: a card may say anything. Further ones: :func:`kinds`
KINDS = {"mlp": "ncp.predictors.mlp", "gp": "ncp.predictors.gp", "transfer": "ncp.predictors.transfer"}
# what a user may call the bundled families -> folder under WEIGHTS
FAMILIES = {"default": "default", "paper": "paper"}
CHUNK = 4_096  # rows that are answered at a time
MAX_FILE = 256 * 2**20  # bytes; the bundled ones have 0.2 MB each

# what a card in a file may say
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[\w.+@/ -]+\Z")]
Text = Annotated[str, Meta(max_length=10_000)]
Names = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=100)]
Count = Annotated[int, Meta(ge=0, le=10**9)]


def kinds() -> dict[str, str]:
    """Kind -> module of all kinds: ours, and those that installed packages announce (entry points of ``ncp.predictors``).

    A module has ``build(card)`` and ``shapes(card)``, and ``fit(rows, *, validation, seed, progress, **options)`` where
    ``predictor.family=KIND`` is to fit one.
    """
    return {**registry.announced("ncp.predictors"), **KINDS}


@dataclass
class Card:
    """What a predictor is and how far it can be trusted.

    Attributes:
        kind: the family: ``gp`` (the default), ``transfer`` (few rows) or ``mlp`` (the paper's).
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
        min_overlap: of detection, by class the overlap from which boxes counted as found in the rows; empty where unknown.
    """

    kind: str
    setting: Name
    metrics: Names
    space: Name = "multires"
    rows: Count = 0
    protocol: Text = ""
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    source: Text = ""
    licence: Text = ""
    config: dict[str, Any] = field(default_factory=dict)
    held: Count = 0
    region: dict[str, list[float]] = field(default_factory=dict)
    min_overlap: dict[Name, Annotated[float, Meta(gt=0, le=1)]] = field(default_factory=dict)


class Predictor(nn.Module):
    """A fixed, deterministic function from raw codes to metrics in their own units.

    Subclasses implement :meth:`posterior`. Buffers ``output_mean`` and ``output_std`` ``(M,)`` are the standardisation of
    the outputs over the fitted rows (the search works in standardised outputs); ``noise_std`` ``(M,)`` is the spread of a
    training's result around its expectation.
    """

    choice = ""  # in words, what was chosen when it was fitted, where there was a choice
    curve_maker: Callable[[], Any] | None = None  # makes the learning curve of its rows, where that is known
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
        with torch.no_grad():  # a chunk at a time: a million rows have no room in some predictors' inner layers
            y_NM = torch.cat([function(x_CD) for x_CD in torch.split(x_ND, CHUNK)]).double().numpy()
        return {name: y_NM[:, i] for i, name in enumerate(self.metrics)}

    def save(self, path: str | Path, dtype: torch.dtype | None = None) -> Path:
        """Write weights and card into one safetensors file, complete or not at all; returns its path.

        ``dtype``, such as ``torch.float16``, is that of matrices in the file; vectors (standardisation, norms, biases) keep
        their own.

        Raises:
            UserError: where the file cannot be written, or the weights are not finite.
        """
        tensors = {k: v.detach().contiguous().clone() for k, v in self.state_dict().items()}
        if dtype is not None:
            tensors = {k: v.to(dtype) if v.ndim > 1 and v.is_floating_point() else v for k, v in tensors.items()}
        metadata = {"format": FORMAT, "card": json.dumps(asdict(self.card))}
        return tensorfile.write(path, tensors, metadata, f"the weights of the predictor of {self.setting}")


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
            f"no bundled {family} predictor for '{setting.name}'; fit one with: {runs.invocation('fit')} setting={setting.name}"
        )
    return _read(path)


def _read(path: Path) -> Predictor:
    """A predictor from a file: its card, then the tensors' shapes, then the tensors, each only if all before is right."""
    where = f"'{files.printable(path)}'"
    head = tensorfile.head(path, MAX_FILE)
    if head.metadata.get("format") != FORMAT or "card" not in head.metadata:
        raise UserError(f"{where} is a safetensors file but not a predictor (its metadata has no '{FORMAT}' card)")
    card = checked_card(files.parse_json(head.metadata["card"], f"the card in {where}"), f"the card in {where}")
    module = import_module(kinds()[card.kind])
    try:
        wanted = module.shapes(card)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    tensorfile.check_shapes(head.shapes, wanted, f"the weights in {where} do not fit its card")
    predictor: Predictor = module.build(card)
    predictor.load_state_dict(tensorfile.tensors(path))
    predictor = predictor.eval().requires_grad_(False)
    if not path.is_relative_to(WEIGHTS):
        _try(predictor, where)
    return predictor


def checked_card(content: Any, what: str) -> Card:
    """A card out of a file, each of its entries within what it may be; ``what`` names it. Raises ``UserError``."""
    card: Card = files.checked(content, Card, what)
    unknown = set(content) - {f.name for f in fields(Card)}
    if unknown:
        raise UserError(f"{what} has a key '{files.shown(min(unknown))}' that this version does not know")
    if card.kind not in kinds():
        raise UserError(f"{what} is of kind '{files.shown(card.kind)}'; kinds: {', '.join(kinds())}")
    if len(set(card.metrics)) < len(card.metrics):
        raise UserError(f"{what} names a metric twice: {', '.join(card.metrics)}")
    for metric, figures in card.errors.items():
        for name, value in figures.items():
            ranks = name in ("spearman", "kendall")
            if not (-1 <= value <= 1 if ranks else 0 <= value < np.inf):
                kind = "-1..1" if ranks else "0 or more"
                raise UserError(
                    f"{what} gives {files.shown(name)} {value:g} for {files.shown(metric)}; it must be {kind}"
                )
    files.safe_file(card.setting, f"setting on {what}")
    for name in ("protocol", "source", "licence"):
        setattr(card, name, files.printable(getattr(card, name)))
    return card


def _try(predictor: Predictor, where: str) -> None:
    """Finite weights may still be no predictor: a scale of zero, points of which no matrix can be made."""
    for name, values in predictor.named_buffers():
        least = float(values.min()) if name.endswith("_std") and values.numel() else 1.0
        if least < 0 or (least == 0 and name.rpartition(".")[2] != "noise_std"):
            raise UserError(
                f"{where} holds a deviation of {least:g} ({name}), which must be positive; fit the predictor again"
            )
    code = predictor.space.encode([predictor.space.default()])
    try:
        answers = [*predictor.predict(code).values(), *predictor.predict_std(code).values()]
    except (RuntimeError, ValueError, IndexError) as error:
        raise UserError(f"{where} does not answer ({files.first_line(error)}); fit the predictor again") from None
    if not np.isfinite(answers).all():
        raise UserError(f"{where} answers with numbers that are not finite; fit the predictor again")
