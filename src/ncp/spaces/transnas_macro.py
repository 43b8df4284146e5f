"""The macro space of TransNAS-Bench-101: 3,256 networks of 4 to 6 modules of basic residual blocks, as 30-number one-hot codes.

Each of six positions holds a module (1 nothing changes, 2 twice the channels, 3 half the size, 4 both) or, at the end, none. A
network has 1 to 4 modules that halve the size and 1 to 3 that double the channels.

Source: Duan et al., CVPR 2021, section 3, and its public code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

import numpy as np

from ncp import files
from ncp.errors import UserError
from ncp.spaces import transnas
from ncp.spaces.base import Cost
from ncp.spaces.onehot import OneHotSpace, bit, numbers, stacked, vector

POSITIONS = 6
LENGTHS, HALVINGS, DOUBLINGS = (4, 6), (1, 4), (1, 3)
OPTIONS = ("none", "normal", "wider", "smaller", "both")
DIGITS = (1, 2, 3, 4)
_TEXT = re.compile(r"(\d+)-(\w+)(-\w+)?")
_CHUNK = 4096
_BASE = np.kron(len(OPTIONS) ** np.arange(POSITIONS), np.arange(len(OPTIONS))).astype(np.float64)
"""``(30,)``: a valid code times it is a number of its own, its six digits'."""


def mistake(digits: Sequence[int]) -> str | None:
    """What keeps digits from being a network of the space; None if nothing does."""
    halvings, doublings = sum(map(transnas.halves, digits)), sum(map(transnas.doubles, digits))
    for what, number, (least, most) in (
        ("modules", len(digits), LENGTHS),
        ("modules that halve the size (digits 3 and 4)", halvings, HALVINGS),
        ("modules that double the channels (digits 2 and 4)", doublings, DOUBLINGS),
    ):
        if not least <= number <= most:
            return f"a network has {least} to {most} {what}, this one {number}"
    return None


@dataclass(frozen=True)
class Architecture:
    """One network. ``digits`` holds 4 to 6 module kinds.

    >>> a = Architecture.parse("64-21231-basic")
    >>> a.digits, Architecture.parse(a.code) == Architecture.parse("64-21231") == a
    ((2, 1, 2, 3, 1), True)
    """

    digits: tuple[int, ...]

    def __post_init__(self) -> None:
        values = tuple(int(v) for v in self.digits)
        wrong = mistake(values)
        if wrong is None and any(v not in DIGITS for v in values):
            wrong = "modules are numbered 1 to 4"
        if wrong is not None:
            raise UserError(
                f"64-{''.join(map(str, values[:20]))} is not among the 3,256 networks of the space: {wrong}"
            )
        object.__setattr__(self, "digits", values)

    @classmethod
    def parse(cls, value: Any) -> Architecture:
        """Read a network from ``64-DIGITS-basic`` (or without ``-basic``), a 30-number one-hot code, or a mapping with one.

        Raises:
            UserError: naming the digit or the rule, what was given and what is allowed.
        """
        return transnas.read(value, cls, "a network", _from_text, _from_code)

    @property
    def code(self) -> tuple[int, ...]:
        """30 numbers, one-hot per position."""
        padded = (*self.digits, *(0,) * (POSITIONS - len(self.digits)))
        return tuple(int(i == digit) for digit in padded for i in range(len(OPTIONS)))

    @property
    def text(self) -> str:
        """The benchmark's own string."""
        return f"{transnas.BASE}-{''.join(map(str, self.digits))}-basic"

    def __str__(self) -> str:
        return self.text


def _from_text(text: str) -> Architecture:
    match = _TEXT.fullmatch(text)
    if match is None or match[1] != str(transnas.BASE) or match[3] not in (None, "-basic"):
        raise UserError(
            "a network is written 64-DIGITS-basic with 4 to 6 digits 1..4, such as 64-21231-basic; given was "
            f"'{files.shown(text)}'"
        )
    return Architecture(transnas.digits(match[2], "1234", "the modules", text))


def _from_code(values: Sequence[Any] | np.ndarray) -> Architecture:
    values = vector(values, POSITIONS * len(OPTIONS), "a code of a network")
    found = []
    for position in range(POSITIONS):
        given = values[position * len(OPTIONS) : (position + 1) * len(OPTIONS)]
        row = [bit(value) for value in given]
        if row.count(1) != 1 or row.count(0) != len(OPTIONS) - 1:
            shown = ", ".join(files.shown(value) for value in given)
            raise UserError(f"position {position + 1} must have one 1 and four 0, given was [{shown}]")
        found.append(row.index(1))
    length = next((i for i, digit in enumerate(found) if digit == 0), POSITIONS)
    if any(found[length:]):
        raise UserError(f"position {length + 1} holds no module and a later one does; modules follow one another")
    return Architecture(tuple(found[:length]))


@lru_cache(maxsize=8)
def _tables(size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Of the four digits: factor of the channels, parameters of norms a channel, weights a squared channel; and

    ``macs`` ``(H, 4)``, multiply-adds a squared channel where the size was halved h times before; ``down`` ``(H, H)``, which
    moves what was halved h times to h + 1.
    """
    factor = np.array([1 + transnas.doubles(digit) for digit in DIGITS])
    change = np.array([int(digit != 1) for digit in DIGITS])
    weights = 9 * factor + 27 * factor**2 + change * factor
    steps = np.array([transnas.halves(digit) for digit in DIGITS])
    after = np.array([[transnas.pixels(size, 2 + h + step) for step in steps.tolist()] for h in range(POSITIONS + 1)])
    down = np.eye(POSITIONS + 1, k=1, dtype=np.int64)
    return {
        "factor": factor, "norms": factor * (8 + 2 * change), "weights": weights, "macs": after * weights, "down": down,
        "stay": factor**2 * (1 - steps), "fall": factor**2 * steps,
    }  # fmt: skip


def count(codes: Any, size: tuple[int, int] = transnas.SIZE) -> Cost:
    """Cost of the encoder, stem included and no head, of ``(N, 30)`` codes for one image of ``size``; exact for valid codes.

    Multilinear between them. Norms' scales and shifts are parameters, and no multiply-adds.
    """
    tables: dict[str, Any] = _tables(size)
    x: Any
    square: Any
    if hasattr(codes, "detach"):
        import torch  # a tensor came in, so it is loaded already

        x, tables = codes, {name: torch.as_tensor(table).to(codes) for name, table in tables.items()}
        square = torch.zeros(*codes.shape[:-1], POSITIONS + 1).to(codes)
    else:
        x = np.asarray(codes)
        square = np.zeros((*x.shape[:-1], POSITIONS + 1), dtype=x.dtype)
    square[..., 0] = transnas.BASE**2  # mean squared channels where the size was halved so many times
    linear: Any = square[..., 0] * 0 + transnas.BASE  # mean channels
    params, macs = transnas.STEM_PARAMS, transnas.stem_macs(size)
    for position in range(POSITIONS):
        shares = x[..., position * len(OPTIONS) : (position + 1) * len(OPTIONS)]
        none, kinds = shares[..., 0], shares[..., 1:]
        params = params + linear * (kinds @ tables["norms"]) + square.sum(-1) * (kinds @ tables["weights"])
        macs = macs + ((square @ tables["macs"]) * kinds).sum(-1)
        linear = linear * (none + kinds @ tables["factor"])
        stay, fall = none + kinds @ tables["stay"], kinds @ tables["fall"]
        square = square * stay[..., None] + (square @ tables["down"]) * fall[..., None]
    return Cost(params, macs)


class MacroSpace(OneHotSpace):
    """The space itself; satisfies :class:`ncp.spaces.base.Space`."""

    name = "transnas-macro"
    analytic = True

    def __init__(self) -> None:
        positions = range(1, POSITIONS + 1)
        super().__init__([f"m{i}" for i in positions], OPTIONS, [f"Module {i}" for i in positions])

    def parse(self, value: Any) -> Architecture:
        """See :meth:`Architecture.parse`."""
        return Architecture.parse(value)

    def all(self) -> list[Architecture]:
        """All 3,256 networks, by length and digits."""
        lengths = range(LENGTHS[0], LENGTHS[1] + 1)
        found = (digits for n in lengths for digits in product(DIGITS, repeat=n))
        return [Architecture(digits) for digits in found if mistake(digits) is None]

    @cached_property
    def _valid(self) -> np.ndarray:
        """``(3256, 30)`` int64 codes, the cheapest first: it is what no number at all rounds to."""
        codes = self.encode(self.all()).astype(np.int64)
        out: np.ndarray = codes[np.argsort(count(codes).macs, kind="stable")]
        return out

    @cached_property
    def _columns(self) -> np.ndarray:
        """``(30, 3256)``: valid codes are all of one length, so that the nearest has the largest product."""
        out: np.ndarray = np.ascontiguousarray(self._valid.T, dtype=np.float64)
        return out

    @cached_property
    def _keys(self) -> tuple[np.ndarray, np.ndarray]:
        """Valid codes as numbers, ascending, and where each stands among them: ``(3256,)`` float64 and int64."""
        keys = self._valid @ _BASE
        order = np.argsort(keys)
        return keys[order], order

    @cached_property
    def center(self) -> np.ndarray:
        """``(30,)`` mean of the codes over the space."""
        out: np.ndarray = self._valid.mean(0)
        return out

    @cached_property
    def scale(self) -> np.ndarray:
        """``(30,)`` their standard deviation; of what is the same in all networks, that of the rest."""
        spread: np.ndarray = self._valid.std(0)
        return np.where(spread > 0, spread, spread[spread > 0].mean())

    def round(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, 30)`` int64: the nearest of the codes of the space."""
        codes = np.asarray(codes_ND, dtype=np.float64).reshape(-1, self.dim)
        keys, order = self._keys
        near = order[np.searchsorted(keys, codes @ _BASE).clip(max=len(keys) - 1)]
        # codes that are in the space, as a recorded table's, need not be compared with all others
        (moved,) = np.nonzero((self._valid[near] != codes).any(1))
        for i in range(0, len(moved), _CHUNK):
            part = moved[i : i + _CHUNK]
            near[part] = (codes[part] @ self._columns).argmax(1)
        out: np.ndarray = self._valid[near]
        return out

    def texts(self, codes_ND: np.ndarray) -> list[str]:
        """``(N, 30)`` valid codes as text, many at a time."""
        rows = self.choices(codes_ND).tolist()
        return [f"{transnas.BASE}-{''.join(str(digit) for digit in row if digit)}-basic" for row in rows]

    def decode(self, codes_ND: np.ndarray) -> list[Architecture]:
        """The networks nearest to ``(N, 30)`` continuous codes."""
        rows = self.choices(self.round(self.checked(codes_ND))).tolist()
        return [Architecture(tuple(digit for digit in row if digit)) for row in rows]

    def sample(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """``n`` networks drawn uniformly and independently from the 3,256."""
        return self.decode(self._valid[rng.integers(0, len(self._valid), n)].astype(np.float64))

    def mutations(self, architecture: Architecture) -> list[list[Architecture]]:
        """What one mutation may end at, by kind: adding, deleting or changing a module. One that leaves the space is left out."""
        old = architecture.digits
        added = [(*old[:i], digit, *old[i:]) for i in range(len(old) + 1) for digit in DIGITS]
        deleted = [(*old[:i], *old[i + 1 :]) for i in range(len(old))]
        changed = [(*old[:i], digit, *old[i + 1 :]) for i in range(len(old)) for digit in DIGITS if digit != old[i]]
        kinds = [[digits for digits in kind if mistake(digits) is None] for kind in (added, deleted, changed)]
        return [[Architecture(digits) for digits in kind] for kind in kinds if kind]

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """All networks that one mutation ends at, each once."""
        found = dict.fromkeys(other for kind in self.mutations(architecture) for other in kind)
        return [other for other in found if other != architecture]

    def moves(self) -> np.ndarray:
        """``(120, 30)`` differences between codes that a discrete search tries: another module, or none, on one position."""
        one = np.eye(len(OPTIONS))
        changes = [one[b] - one[a] for a in range(len(OPTIONS)) for b in range(len(OPTIONS)) if a != b]
        return np.stack([np.kron(np.eye(POSITIONS)[i], change) for i in range(POSITIONS) for change in changes])

    def default(self) -> Architecture:
        """The network around the cells of the micro space, with basic blocks."""
        return Architecture((4, 1, 4, 1, 4))

    def narrow(self) -> Architecture:
        """The cheapest network."""
        return self.decode(self._valid[:1])[0]

    def canonical(self, architecture: Architecture) -> Architecture:
        """The network itself: no two compute the same function."""
        return architecture

    def features(self, codes: Any) -> Any:
        """``(N, 52)`` for arrays and tensors (then differentiable).

        The code (30); after each position how often the channels were doubled and the size was halved so far (12); the number
        of modules, of each kind of module, and of both changes (7); logarithms of multiply-adds, parameters and their ratio (3).
        """
        x = numbers(codes)
        shares = x.reshape(-1, POSITIONS, len(OPTIONS))
        doubled = (shares[..., 2] + shares[..., 4]).cumsum(-1)
        halved = (shares[..., 3] + shares[..., 4]).cumsum(-1)
        kinds = shares[..., 1:].sum(1)
        cost = count(x)
        if hasattr(codes, "detach"):
            params, macs = cost.params.log2(), cost.macs.log2()
        else:
            params, macs = np.log2(cost.params), np.log2(cost.macs)
        ends = [doubled[:, -1:], halved[:, -1:], params[:, None], macs[:, None], (macs - params)[:, None]]
        return stacked([x.reshape(-1, self.dim), doubled, halved, kinds.sum(-1)[:, None], kinds, *ends], codes)

    def cost(self, codes: Any) -> Cost:
        """Of the encoder for one image of 224 x 224; see :func:`count`."""
        return count(codes)


SPACE = MacroSpace()
