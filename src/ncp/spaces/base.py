"""What the rest of the project may know about a search space.

Predictors and searches work on any object that satisfies :class:`Space`; what a dimension means is known to the space
alone. A further space is one new file with a ``SPACE`` instance, named in ``_MODULES`` below.

Shape suffixes: N architectures, D dimensions of the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from ncp import files, registry
from ncp.errors import UserError

# name -> module that holds the SPACE instance
_MODULES = {
    "multires": "ncp.spaces.multires",
    "nasbench201": "ncp.spaces.nasbench201",
    "transnas-micro": "ncp.spaces.transnas_micro",
    "transnas-macro": "ncp.spaces.transnas_macro",
}

_FIRST = "multires"
# how architectures of the other spaces that have networks are written, those with slips too, so that the slip can be named; and
# how many numbers their codes have
_TEXTS = {
    "transnas-micro": re.compile(r"\d+-\w+-\w*_\w*|\w_\w\w_\w{3}"),
    "transnas-macro": re.compile(r"\d+-\d+(-[^\W_]+)?|\d+-[^\W_]+-basic"),
}
_LENGTHS = {24: "transnas-micro", 30: "transnas-macro"}


@dataclass(frozen=True)
class Cost:
    """Cost of N architectures.

    Attributes:
        params: ``(N,)`` number of trainable parameters.
        macs: ``(N,)`` multiply-adds of convolutions and linear layers for one input.

    Both are int64 arrays when the codes were integers, and differentiable tensors when the codes were tensors.
    """

    params: Any
    macs: Any


@runtime_checkable
class AnyArchitecture(Protocol):
    """An immutable, hashable architecture of some space."""

    @property
    def code(self) -> tuple[int, ...]:
        """The architecture as D integers."""
        ...

    @property
    def text(self) -> str:
        """The architecture as the field writes it; ``Space.parse`` reads it back."""
        ...


A = TypeVar("A", bound=AnyArchitecture)


class Space(Protocol[A]):
    """A search space over architectures of type ``A`` whose codes have ``dim`` numbers.

    Attributes:
        name: the space's name in configs.
        dim: D, the length of a code.
        labels: D names of the dimensions, unique.
        groups: the dimensions in the groups in which a person wants to see them: title -> indices.
        lower, upper, step: ``(D,)`` float64 arrays: bounds and grid of each dimension.
        center, scale: ``(D,)`` constants of the space that bring codes to zero mean and unit variance over the space.
    """

    name: str
    dim: int
    labels: tuple[str, ...]
    groups: dict[str, tuple[int, ...]]
    lower: np.ndarray
    upper: np.ndarray
    step: np.ndarray
    center: np.ndarray
    scale: np.ndarray

    def parse(self, value: Any) -> A:
        """Read an architecture from any form the space knows. Raises ``UserError`` for anything malformed."""
        ...

    def encode(self, architectures: Sequence[A]) -> np.ndarray:
        """``(N, D)`` float64 codes."""
        ...

    def texts(self, codes_ND: np.ndarray) -> list[str]:
        """The text of each of ``(N, D)`` valid codes, as ``AnyArchitecture.text`` writes it, many at a time."""
        ...

    def round(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, D)`` int64: the valid codes nearest to the continuous ones."""
        ...

    def project(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, D)`` float64: the nearest continuous codes within the bounds that mean something (of bounds alone: a clip)."""
        ...

    def decode(self, codes_ND: np.ndarray) -> list[A]:
        """The architectures nearest to ``(N, D)`` continuous codes."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> list[A]:
        """``n`` architectures drawn uniformly and independently."""
        ...

    def neighbours(self, architecture: A) -> list[A]:
        """All architectures one step away."""
        ...

    def default(self) -> A:
        """The architecture from which a search starts unless told otherwise."""
        ...

    def features(self, codes: Any) -> Any:
        """``(N, F)`` numbers on which metrics are smooth, from ``(N, D)`` codes, numpy or torch (then differentiable)."""
        ...

    def cost(self, codes: Any) -> Cost:
        """Cost of ``(N, D)`` codes, numpy or torch, in the space's own standard setting."""
        ...


def widths(space: Space[Any]) -> tuple[int, ...]:
    """Indices of the dimensions that are numbers of channels, as the space names them (``widths``); none where it does not."""
    return tuple(getattr(space, "widths", ()))


def sampled(space: Space[A], n: int, rng: np.random.Generator) -> np.ndarray:
    """``(n, D)`` float64 codes of architectures that ``space.sample`` draws, without making these where the space can."""
    if hasattr(space, "sample_codes"):
        codes: Any = space.sample_codes
        return np.asarray(codes(n, rng), dtype=np.float64)
    return space.encode(space.sample(n, rng))


def of_text(space: Space[A], text: str) -> A:
    """``space.parse`` for a text that itself came out of a file: whatever it says, no file is opened for it."""
    return space.parse({"text": text})


def of_form(value: Any) -> str:
    """The name of the space in whose form an architecture is written; the multi-resolution one's where no other's is.

    Args:
        value: an architecture, a text, a code, or a mapping with one of the latter two.

    >>> of_form("64-41414-3_33_332"), of_form("64-2131-basic"), of_form([8] * 27)
    ('transnas-micro', 'transnas-macro', 'multires')
    """
    if isinstance(value, Mapping):
        given = [value[key] for key in ("code", "text", "arch") if value.get(key) is not None]
        return of_form(given[0]) if given and not isinstance(given[0], Mapping) else _FIRST
    if isinstance(value, str):
        return next((name for name, form in _TEXTS.items() if form.fullmatch(value.strip()[:200])), _FIRST)
    if hasattr(value, "text") and hasattr(value, "code"):
        return next((name for name, module in _MODULES.items() if type(value).__module__ == module), _FIRST)
    return _LENGTHS.get(len(value), _FIRST) if hasattr(value, "__len__") else _FIRST


def parsed(space: Space[A], value: Any) -> A:
    """``space.parse``, which says so where the architecture is written in the form of another space.

    Raises:
        UserError: as ``space.parse``.
    """
    try:
        return space.parse(value)
    except UserError:
        form = of_form(value)
        if form in (space.name, _FIRST):
            raise
        given = files.shown(getattr(value, "text", value))
        raise UserError(
            f"'{given}' is written as an architecture of {form}; here it must be one of {space.name}"
        ) from None


def names() -> tuple[str, ...]:
    """The names of all spaces: ours, and those that installed packages announce (entry points of the group ``ncp.spaces``)."""
    return (*_MODULES, *(name for name in registry.announced("ncp.spaces") if name not in _MODULES))


def get(name: str) -> Space[Any]:
    """The space called ``name``; raises ``UserError`` if there is none."""
    if name in _MODULES:
        space: Space[Any] = import_module(_MODULES[name]).SPACE
        return space
    if name not in names():
        raise UserError(f"unknown space '{files.shown(name)}'; known spaces: {', '.join(names())}")
    module, _, attribute = registry.announced("ncp.spaces")[name].rpartition(".")
    theirs: Space[Any] = getattr(import_module(module), attribute)
    return theirs
