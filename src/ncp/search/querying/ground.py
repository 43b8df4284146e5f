"""What a strategy may ask: a table of trained architectures, or a function that answers for any architecture of a space.

Strategies see handles, whole numbers that stand for architectures; only :meth:`Ground.fitness` tells how good they are, and
whoever compares counts how often it is asked. Shape suffixes: N handles, D dimensions, T choices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ncp import spaces
from ncp.benchmark.index import RowIndex
from ncp.search.querying.choices import Choices

NEAREST = 12  # rows of a sparse table that count as one step away


class Ground:
    """Architectures by handle. A subclass says which there are."""

    space: spaces.Space[Any]
    name = ""
    guide: Any = None  # what leads strategies that follow predictors (querying.guided)

    @cached_property
    def choices(self) -> Choices:
        """The space's architectures as sequences of choices."""
        return Choices(self.space)

    def codes(self, handles_N: np.ndarray) -> np.ndarray:
        """``(N, D)`` int64 codes."""
        raise NotImplementedError

    def fitness(self, handles_N: np.ndarray) -> np.ndarray:
        """``(N,)`` what is to be raised; each is one evaluation."""
        raise NotImplementedError

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """``(n,)`` handles drawn uniformly, all different."""
        raise NotImplementedError

    def mutate(self, handles_N: np.ndarray, uniform_N2: np.ndarray) -> np.ndarray:
        """``(N,)`` handles one mutation away, chosen by two numbers of 0..1 each: the kind of mutation, and which."""
        raise NotImplementedError

    def near(self, handle: int) -> np.ndarray:
        """All handles one mutation away."""
        raise NotImplementedError

    def kept(self, handles_N: np.ndarray) -> np.ndarray:
        """``(N,)`` bool: those that keep the ground's limits, where it has any."""
        return np.ones(np.shape(handles_N), dtype=bool)

    def nearest(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N,)`` handles of valid codes, or of what can be answered nearest to them."""
        raise NotImplementedError

    def repaired(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N,)`` handles of valid codes proposed by an optimiser that knows no limits: moved within these."""
        return self.nearest(codes_ND)

    def candidates(self, rng: np.random.Generator) -> np.ndarray:
        """Handles from which a model may choose: all of a table, else a sample."""
        raise NotImplementedError

    def open_options(self, before_RT: np.ndarray, step: int) -> np.ndarray:
        """``(R, O)`` bool: options of choice ``step`` that can be completed after the choices before it, ``(R, step)``."""
        raise NotImplementedError


class TableGround(Ground):
    """The rows of a table, each architecture once.

    Args:
        space: of the architectures.
        codes_ND: valid codes, all different.
        values_N: what is to be raised.
        known: name -> ``(N,)`` columns that a strategy may look at without asking, such as other tasks' results.
    """

    def __init__(
        self,
        space: spaces.Space[Any],
        codes_ND: np.ndarray,
        values_N: np.ndarray,
        name: str = "",
        known: dict[str, np.ndarray] | None = None,
        steps: Neighbours | None = None,
    ) -> None:
        self.space, self.name, self.known = space, name, dict(known or {})
        self.all_codes = np.asarray(codes_ND, dtype=np.int64)
        self.values = np.asarray(values_N, dtype=np.float64)
        self.steps = steps or Neighbours(space, self.all_codes)

    def __len__(self) -> int:
        return len(self.all_codes)

    def codes(self, handles_N: np.ndarray) -> np.ndarray:
        """See :class:`Ground`."""
        found: np.ndarray = self.all_codes[handles_N]
        return found

    def fitness(self, handles_N: np.ndarray) -> np.ndarray:
        """See :class:`Ground`."""
        out: np.ndarray = self.values[handles_N]
        return out

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """See :class:`Ground`."""
        if n > len(self):
            return np.concatenate([rng.permutation(len(self)), rng.integers(0, len(self), n - len(self))])
        drawn: np.ndarray = rng.choice(len(self), n, replace=False)
        return drawn

    def mutate(self, handles_N: np.ndarray, uniform_N2: np.ndarray) -> np.ndarray:
        """See :class:`Ground`."""
        return self.steps.pick(handles_N, uniform_N2)

    def near(self, handle: int) -> np.ndarray:
        """See :class:`Ground`."""
        return self.steps.near(handle)

    def nearest(self, codes_ND: np.ndarray) -> np.ndarray:
        """See :class:`Ground`."""
        return self.steps.nearest(codes_ND)

    def candidates(self, rng: np.random.Generator) -> np.ndarray:
        """See :class:`Ground`."""
        return np.arange(len(self))

    def open_options(self, before_RT: np.ndarray, step: int) -> np.ndarray:
        """See :class:`Ground`."""
        index, open_UO = self.steps.beginning(self.choices, step)
        out: np.ndarray = open_UO[index.find(before_RT)]
        return out


class Neighbours:
    """What is one step away from each row of a table; the tables of one space share it.

    In a table of the whole space these are the space's mutations, by kind; in a sparse one the nearest rows.
    """

    def __init__(self, space: spaces.Space[Any], codes_ND: np.ndarray) -> None:
        self.space, self.codes, self.index = space, codes_ND, RowIndex(codes_ND)
        self._beginnings: dict[int, tuple[RowIndex, np.ndarray]] = {}

    @cached_property
    def _standard(self) -> np.ndarray:
        out: np.ndarray = (self.codes - self.space.center) / self.space.scale
        return out

    @cached_property
    def _rows(self) -> tuple[list[list[list[int]]], bool]:
        """Per row and kind of mutation the rows that it ends at."""
        kinds = _kinds(self.space)
        first = [kinds(architecture) for architecture in self.space.decode(self.codes[:20].astype(np.float64))]
        codes = self.space.encode([other for row in first for kind in row for other in kind]).astype(np.int64)
        if (self.index.find(codes) >= 0).mean() < 0.5:  # a sparse table
            return [[row] for row in self._closest(self._standard, NEAREST, skip=1).tolist()], False
        every = [kinds(architecture) for architecture in self.space.decode(self.codes.astype(np.float64))]
        codes = self.space.encode([other for row in every for kind in row for other in kind]).astype(np.int64)
        found, place, out = self.index.find(codes).tolist(), 0, []
        for row in every:
            lists = []
            for kind in row:
                lists.append([handle for handle in found[place : place + len(kind)] if handle >= 0])
                place += len(kind)
            out.append([some for some in lists if some])
        return out, True

    @cached_property
    def _flat(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """All ends in one array; per row and kind where they begin and how many; per row how many kinds."""
        rows, _ = self._rows
        most = max(map(len, rows))
        begin, count = np.zeros((2, len(rows), most), dtype=np.int64)
        kinds = np.array([len(row) for row in rows])
        ends: list[int] = []
        for i, row in enumerate(rows):
            for k, kind in enumerate(row):
                begin[i, k], count[i, k] = len(ends), len(kind)
                ends += kind
        return np.array(ends), begin, count, kinds

    def beginning(self, choices: Choices, step: int) -> tuple[RowIndex, np.ndarray]:
        """All beginnings of ``step`` choices that rows have, and ``(U, O)`` the options with which rows go on after each."""
        if step not in self._beginnings:
            options = choices.of(self.codes)
            begin, which = np.unique(options[:, :step], axis=0, return_inverse=True)
            open_UO = np.zeros((max(1, len(begin)), choices.options), dtype=bool)
            open_UO[which.ravel() if step else 0, options[:, step]] = True
            self._beginnings[step] = (RowIndex(begin if step else np.zeros((1, 0), dtype=np.int64)), open_UO)
        return self._beginnings[step]

    def pick(self, handles_N: np.ndarray, uniform_N2: np.ndarray) -> np.ndarray:
        """``(N,)`` rows one step away: first the kind, then which of that kind, uniformly."""
        ends, begin, count, kinds = self._flat
        kind = (uniform_N2[:, 0] * kinds[handles_N]).astype(np.int64)
        which = (uniform_N2[:, 1] * count[handles_N, kind]).astype(np.int64)
        out: np.ndarray = ends[begin[handles_N, kind] + which]
        return out

    def near(self, handle: int) -> np.ndarray:
        """All rows one step away, each once."""
        rows, _ = self._rows
        return np.array(sorted({other for kind in rows[handle] for other in kind} - {handle}), dtype=np.int64)

    def nearest(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N,)`` the rows of codes; where there is none, the nearest row."""
        codes = np.asarray(codes_ND, dtype=np.int64)
        found = self.index.find(codes)
        if (absent := found < 0).any():
            standard = (codes[absent] - self.space.center) / self.space.scale
            found[absent] = self._closest(standard, 1)[:, 0]
        return found

    def _closest(self, standard_MD: np.ndarray, n: int, skip: int = 0) -> np.ndarray:
        squares = (self._standard**2).sum(1) - 2 * standard_MD @ self._standard.T
        out: np.ndarray = np.argsort(squares, axis=1, kind="stable")[:, skip : skip + n]
        return out


def _kinds(space: Any) -> Callable[[Any], Sequence[Sequence[Any]]]:
    """The mutations of an architecture by kind: those that the space names, or its neighbours as one kind."""
    if hasattr(space, "mutations"):
        named: Callable[[Any], Sequence[Sequence[Any]]] = space.mutations
        return named
    return lambda architecture: [space.neighbours(architecture)]


class OpenGround(Ground):
    """All architectures of a space, answered by a function, such as a predictor or an exact process.

    Args:
        space: the space.
        answer: ``(N, D)`` int64 codes -> ``(N,)`` what is to be raised.
        sample: how many architectures are drawn for a model to choose from.
    """

    def __init__(
        self, space: spaces.Space[Any], answer: Callable[[np.ndarray], np.ndarray], name: str = "", sample: int = 2000
    ) -> None:
        self.space, self.answer, self.name, self.sample = space, answer, name, sample
        self._handles: dict[tuple[int, ...], int] = {}
        self._codes: list[tuple[int, ...]] = []
        self._values: dict[int, float] = {}

    def codes(self, handles_N: np.ndarray) -> np.ndarray:
        """See :class:`Ground`."""
        shape = np.shape(handles_N)
        flat = [self._codes[i] for i in np.ravel(handles_N).tolist()]
        return np.array(flat, dtype=np.int64).reshape(*shape, self.space.dim)

    def fitness(self, handles_N: np.ndarray) -> np.ndarray:
        """See :class:`Ground`."""
        flat = np.ravel(handles_N).tolist()
        if new := [i for i in dict.fromkeys(flat) if i not in self._values]:
            values = self.answer(self.codes(np.array(new)))
            self._values.update(zip(new, np.asarray(values, dtype=np.float64).tolist(), strict=True))
        return np.array([self._values[i] for i in flat]).reshape(np.shape(handles_N))

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """See :class:`Ground`."""
        return self.nearest(self.space.encode(self.space.sample(n, rng)).astype(np.int64))

    def mutate(self, handles_N: np.ndarray, uniform_N2: np.ndarray) -> np.ndarray:
        """See :class:`Ground`."""
        kinds, out = _kinds(self.space), []
        for architecture, (kind, which) in zip(self._decoded(handles_N), uniform_N2.tolist(), strict=True):
            some = kinds(architecture)
            chosen = some[int(kind * len(some))]
            out.append(chosen[int(which * len(chosen))])
        return self.nearest(self.space.encode(out).astype(np.int64))

    def near(self, handle: int) -> np.ndarray:
        """See :class:`Ground`."""
        (architecture,) = self._decoded(np.array([handle]))
        return self.nearest(self.space.encode(self.space.neighbours(architecture)).astype(np.int64))

    def nearest(self, codes_ND: np.ndarray) -> np.ndarray:
        """See :class:`Ground`."""
        out = []
        for code in map(tuple, np.asarray(codes_ND, dtype=np.int64).tolist()):
            if code not in self._handles:
                self._handles[code] = len(self._codes)
                self._codes.append(code)
            out.append(self._handles[code])
        return np.array(out, dtype=np.int64)

    def candidates(self, rng: np.random.Generator) -> np.ndarray:
        """See :class:`Ground`."""
        return self.draw(self.sample, rng)

    def open_options(self, before_RT: np.ndarray, step: int) -> np.ndarray:
        """See :class:`Ground`. All that a choice has: what cannot be completed is rounded at the end."""
        return np.repeat(self.choices.open[step][None], len(before_RT), 0)

    def _decoded(self, handles_N: np.ndarray) -> list[Any]:
        return self.space.decode(self.codes(handles_N).astype(np.float64))
