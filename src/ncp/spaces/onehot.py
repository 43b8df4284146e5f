"""What spaces of choices share: each position takes one of some options, and a code is one-hot over them.

A continuous code holds on each position the shares of the options. Shape suffixes: N architectures, P positions, O options.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ncp.errors import UserError


class OneHotSpace:
    """The parts of :class:`ncp.spaces.base.Space` that follow from P positions with O options each.

    A subclass has ``name``, and what needs its architectures: ``parse``, ``texts``, ``decode``, ``sample``, ...
    """

    name = ""

    def __init__(self, positions: Sequence[str], options: Sequence[str], titles: Sequence[str]) -> None:
        """Args:
        positions: their names, short, as the labels of dimensions begin.
        options: their names, as the labels end.
        titles: the positions' names for people.
        """
        self.positions, self.options = len(positions), len(options)
        self.dim = self.positions * self.options
        self.labels = tuple(f"{position} {option}" for position in positions for option in options)
        self.lower = np.zeros(self.dim)
        self.upper = np.ones(self.dim)
        self.step = np.ones(self.dim)
        width = self.options
        self.groups = {title: tuple(range(i * width, (i + 1) * width)) for i, title in enumerate(titles)}

    @cached_property
    def center(self) -> np.ndarray:
        """``(D,)`` mean of the codes over the space, here one in which every option is as frequent as any other."""
        return np.full(self.dim, 1 / self.options)

    @cached_property
    def scale(self) -> np.ndarray:
        """``(D,)`` their standard deviation."""
        return np.full(self.dim, np.sqrt(1 / self.options * (1 - 1 / self.options)))

    def encode(self, architectures: Sequence[Any]) -> np.ndarray:
        """``(N, D)`` float64 one-hot codes."""
        return np.array([a.code for a in architectures], dtype=np.float64).reshape(-1, self.dim)

    def one_hot(self, choices_NP: Any) -> np.ndarray:
        """``(N, D)`` int64 codes of ``(N, P)`` option numbers."""
        choices = np.asarray(choices_NP, dtype=np.int64).reshape(-1, self.positions)
        out: np.ndarray = np.eye(self.options, dtype=np.int64)[choices].reshape(-1, self.dim)
        return out

    def choices(self, codes_ND: Any) -> np.ndarray:
        """``(N, P)`` int64: the option with the largest share on each position."""
        out: np.ndarray = np.asarray(codes_ND).reshape(-1, self.positions, self.options).argmax(-1)
        return out

    def round(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, D)`` int64: on each position the largest number becomes 1, the others 0."""
        return self.one_hot(self.choices(codes_ND))

    def project(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, D)``: on each position the nearest shares of the options, none negative and all together 1.

        Without this a position could take every option at once, and raising one would displace no other.
        """
        codes = np.asarray(codes_ND, dtype=np.float64).reshape(-1, self.positions, self.options)
        falling = -np.sort(-codes, axis=-1)
        over = (np.cumsum(falling, -1) - 1) / np.arange(1, self.options + 1)  # what the k largest have too much, each
        used = (falling > over).sum(-1, keepdims=True)
        shares = np.maximum(codes - np.take_along_axis(over, used - 1, -1), 0)
        return shares.reshape(-1, self.dim)

    def checked(self, codes_ND: Any) -> np.ndarray:
        """``(N, D)`` float64 codes; raises ``UserError`` for another shape or numbers that are not finite."""
        codes = np.asarray(codes_ND, dtype=np.float64)
        if codes.ndim != 2 or codes.shape[1] != self.dim or not np.isfinite(codes).all():
            raise UserError(f"decode needs finite codes of shape (N, {self.dim}), given was {codes.shape}")
        return codes


def bit(value: Any) -> int | None:
    """0 or 1 where a value of a code is one of them; None for anything else."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return None
    return 0 if value == 0 else 1 if value == 1 else None


def vector(values: Sequence[Any] | np.ndarray, length: int, what: str) -> Sequence[Any] | np.ndarray:
    """``values`` if they are one list of ``length`` items. Raises ``UserError`` for any other shape."""
    if len(np.shape(values) if isinstance(values, np.ndarray) else [0]) != 1 or len(values) != length:
        shape = values.shape if isinstance(values, np.ndarray) else (len(values),)
        raise UserError(f"{what} has {length} numbers, given was shape {shape}")
    return values


def stacked(columns: Sequence[Any], codes: Any) -> Any:
    """``(N, F)`` of parts ``(N, f)``, tensors where ``codes`` is one."""
    if hasattr(codes, "detach"):
        import torch  # a tensor came in, so it is loaded already

        return torch.cat(list(columns), dim=-1)
    return np.concatenate(columns, axis=-1)


def numbers(codes: Any) -> Any:
    """Tensors and complex arrays as they are, anything else as an array of floats."""
    if hasattr(codes, "detach"):
        return codes
    return np.asarray(codes, dtype=None if np.iscomplexobj(codes) else np.float64)
