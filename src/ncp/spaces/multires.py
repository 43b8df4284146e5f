"""The multi-resolution space: networks of four stages with 1 to 4 parallel branches, each a code of 27 numbers.

Source: paper section 3.2, equations 8 and 9, Table 7. The dimensions, their names, bounds and steps are written here
and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ncp.errors import UserError
from ncp.spaces.base import Cost
from ncp.spaces.polynomial import Evaluator, Polynomial

STAGES = 4
DEPTH_RANGE = (1, 4, 1)  # blocks (b) and residual units (n): lower, upper, step
CHANNEL_RANGE = (8, 128, 8)  # channels (i, c, o)


class Dimension(NamedTuple):
    """One number of the code. ``kind`` is i, b, n, c or o; ``stage`` and ``branch`` count from 1 (0: none)."""

    name: str
    kind: str
    stage: int
    branch: int
    lower: int
    upper: int
    step: int


def _dimensions() -> Iterable[Dimension]:
    yield Dimension("i1", "i", 0, 0, *CHANNEL_RANGE)
    yield Dimension("i2", "i", 0, 0, *CHANNEL_RANGE)
    for stage in range(1, STAGES + 1):
        yield Dimension(f"b{stage}", "b", stage, 0, *DEPTH_RANGE)
        for kind, limits in (("n", DEPTH_RANGE), ("c", CHANNEL_RANGE)):
            for branch in range(1, stage + 1):
                yield Dimension(f"{kind}{stage}_{branch}", kind, stage, branch, *limits)
    yield Dimension("o1", "o", 0, 0, *CHANNEL_RANGE)


DIMENSIONS: tuple[Dimension, ...] = tuple(_dimensions())
NAMES: tuple[str, ...] = tuple(d.name for d in DIMENSIONS)
INDEX: dict[str, int] = {name: i for i, name in enumerate(NAMES)}
STAGE_START: tuple[int, ...] = tuple(INDEX[f"b{s}"] for s in range(1, STAGES + 1))
# position of the four constant branch counts in the 31-number form
_BRANCH_COUNT_AT = {3: 1, 7: 2, 13: 3, 21: 4}


class Block(NamedTuple):
    """One modularised block: a fusion into ``len(units)`` branches, then ``units[r]`` residual units of ``channels[r]``."""

    units: tuple[int, ...]
    channels: tuple[int, ...]


@dataclass(frozen=True)
class Architecture:
    """One network of the space.

    >>> a = Architecture.parse("64_64-2_1_2_64-2_2_2_2_64_64-2_3_2_2_2_64_64_64-2_4_2_2_2_2_64_64_64_64-64")
    >>> a == SPACE.default(), a["c2_1"], len(a.blocks)
    (True, 64, 8)
    """

    code: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", _validate(self.code))

    @classmethod
    def parse(cls, value: Any) -> Architecture:
        """Read an architecture from any form in which it is written.

        Accepted: an ``Architecture``; 27 numbers (list, tuple, array, or text separated by ``_ - ,`` or spaces); the
        31-number text of the release; a mapping (a row of the release, or of an ``architecture.yaml``); the path of a
        YAML file that holds one.

        Raises:
            UserError: naming the dimension, what was given and what is allowed.
        """
        if isinstance(value, Architecture):
            return value
        if isinstance(value, os.PathLike):
            return cls._from_file(Path(value))
        if isinstance(value, str):
            if value.endswith((".yaml", ".yml")):
                return cls._from_file(Path(value))
            return cls(_from_text(value))
        if isinstance(value, Mapping):
            return cls(_from_mapping(value))
        if isinstance(value, (Sequence, np.ndarray)):
            return cls(_from_numbers(list(value)))
        raise UserError(
            f"an architecture is 27 numbers, a 31-number text or a yaml file; given was {value!r} "
            f"(a {type(value).__name__})"
        )

    @classmethod
    def _from_file(cls, path: Path) -> Architecture:
        import yaml  # not needed for anything else here, and comes with omegaconf

        try:
            content = yaml.safe_load(path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read the architecture file '{path}': {error.__class__.__name__}") from None
        except yaml.YAMLError:
            raise UserError(f"the architecture file '{path}' is not valid YAML") from None
        if isinstance(content, Mapping) and isinstance(content.get("architecture"), Mapping):
            content = content["architecture"]
        try:
            return cls.parse(content)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    @property
    def text(self) -> str:
        """The release's form: ``i1_i2-b1_1_n_c-...-o1``, 31 numbers of which the branch counts 1 2 3 4 are constant."""
        groups = ["_".join(map(str, self.code[:2]))]
        for stage, (b, units, channels) in enumerate(self.stages, start=1):
            groups.append("_".join(map(str, (b, stage, *units, *channels))))
        groups.append(str(self["o1"]))
        return "-".join(groups)

    @property
    def stages(self) -> tuple[tuple[int, tuple[int, ...], tuple[int, ...]], ...]:
        """Per stage: number of blocks, residual units of each branch, channels of each branch."""
        out = []
        for stage, start in enumerate(STAGE_START, start=1):
            units = self.code[start + 1 : start + 1 + stage]
            channels = self.code[start + 1 + stage : start + 1 + 2 * stage]
            out.append((self.code[start], units, channels))
        return tuple(out)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The stages expanded: ``b1 + b2 + b3 + b4`` blocks in forward order."""
        return tuple(Block(units, channels) for b, units, channels in self.stages for _ in range(b))

    def __getitem__(self, name: str) -> int:
        """The value of the dimension called ``name`` (``i1 ... o1``)."""
        if name not in INDEX:
            raise UserError(f"unknown dimension '{name}'; the dimensions are {', '.join(NAMES)}")
        return self.code[INDEX[name]]

    def __str__(self) -> str:
        return self.text


def _validate(code: Iterable[Any]) -> tuple[int, ...]:
    """27 plain ints within bounds and on the grid, or a ``UserError``."""
    values = tuple(code)
    if len(values) != len(DIMENSIONS):
        hint = ""
        if len(values) == 26:
            hint = "; the 26-number lists of the release lack the last one, o1 (their 'last_channel')"
        raise UserError(
            f"a code has {len(DIMENSIONS)} numbers ({NAMES[0]} ... {NAMES[-1]}), given were {len(values)}{hint}"
        )
    out = []
    for dimension, value in zip(DIMENSIONS, values, strict=True):
        allowed = f"{dimension.lower}..{dimension.upper}"
        if dimension.step > 1:
            allowed += f" in steps of {dimension.step}"
        try:
            number = int(value)
            if number != value or isinstance(value, (bool, np.bool_)):
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise UserError(f"{dimension.name} must be an integer in {allowed}, given was {value!r}") from None
        if not dimension.lower <= number <= dimension.upper or number % dimension.step:
            raise UserError(f"{dimension.name} must be in {allowed}, given was {number}")
        out.append(number)
    return tuple(out)


def _from_numbers(values: list[Any]) -> tuple[int, ...]:
    """27 numbers, or 31 with the branch counts."""
    if len(values) == 31:
        for position, branches in _BRANCH_COUNT_AT.items():
            if values[position] != branches:
                raise UserError(
                    f"number {position + 1} of the 31-number form is the branch count of stage {branches} and must be "
                    f"{branches}, given was {values[position]}"
                )
        values = [v for i, v in enumerate(values) if i not in _BRANCH_COUNT_AT]
    return _validate(values)


def _from_text(text: str) -> tuple[int, ...]:
    words = text.strip().strip("[]()").replace("-", "_").replace(",", "_").replace(" ", "_").split("_")
    words = [w for w in words if w]
    try:
        numbers = [int(w) for w in words]
    except ValueError:
        bad = next(w for w in words if not w.isdecimal())
        shown = text if len(text) <= 80 else text[:77] + "..."
        raise UserError(f"'{bad}' in the architecture '{shown}' is not a whole number") from None
    return _from_numbers(numbers)


def _from_mapping(row: Mapping[str, Any]) -> tuple[int, ...]:
    """A row of the release, or ``{code: ...}`` / ``{text: ...}``; all forms that are given must agree."""
    found: dict[str, tuple[int, ...]] = {}
    last = row.get("last_channel")
    if row.get("code") is not None:
        value = row["code"]
        found["code"] = _from_text(value) if isinstance(value, str) else _from_numbers(list(value))
    if row.get("text") is not None:
        found["text"] = _from_text(str(row["text"]))
    if row.get("embedding") is not None:
        numbers = list(row["embedding"])
        if len(numbers) == 26 and last is not None:
            numbers.append(last)
        found["embedding"] = _from_numbers(numbers)
    blocks = row.get("inverted_residual_setting", row.get("network_setting"))
    if blocks is not None and row.get("input_channel") is not None and last is not None:
        found["blocks"] = _from_blocks(row["input_channel"], blocks, last)
    if not found:
        raise UserError(
            "a mapping that describes an architecture needs one of: code, text, embedding, or input_channel with "
            f"inverted_residual_setting and last_channel; given were {', '.join(map(str, row)) or 'no keys'}"
        )
    first = next(iter(found))
    for other, code in found.items():
        if code != found[first]:
            position = next(i for i, (x, y) in enumerate(zip(code, found[first], strict=True)) if x != y)
            raise UserError(
                f"'{first}' and '{other}' describe different architectures: {NAMES[position]} is "
                f"{found[first][position]} in one and {code[position]} in the other"
            )
    return found[first]


def _from_blocks(inputs: Sequence[Any], blocks: Sequence[Any], last: Any) -> tuple[int, ...]:
    """Invert the expansion into blocks: ``[[branches, [units], [channels]], ...]``."""
    code: list[Any] = list(inputs)
    remaining = [(int(b[0]), list(b[1]), list(b[2])) for b in blocks]
    for stage in range(1, STAGES + 1):
        mine = [b for b in remaining if b[0] == stage]
        if not mine:
            raise UserError(f"the list of blocks has none with {stage} branches; every stage needs 1 to 4")
        if any(b != mine[0] for b in mine):
            raise UserError(f"the blocks of stage {stage} differ; all blocks of a stage are the same")
        code += [len(mine), *mine[0][1], *mine[0][2]]
    if [b[0] for b in remaining] != sorted(b[0] for b in remaining) or remaining[-1][0] > STAGES:
        raise UserError("the blocks must be ordered by their number of branches, 1 to 4")
    code.append(last)
    return _validate(code)


class MultiResolutionSpace:
    """The space itself; satisfies :class:`ncp.spaces.base.Space`."""

    name = "multires"
    dim = len(DIMENSIONS)
    labels = NAMES

    def __init__(self) -> None:
        self.lower = np.array([d.lower for d in DIMENSIONS], dtype=np.float64)
        self.upper = np.array([d.upper for d in DIMENSIONS], dtype=np.float64)
        self.step = np.array([d.step for d in DIMENSIONS], dtype=np.float64)
        levels = (self.upper - self.lower) / self.step + 1
        self.center = (self.lower + self.upper) / 2
        self.scale = self.step * np.sqrt((levels**2 - 1) / 12)  # of the uniform distribution on the grid
        self.groups = _groups()

    def parse(self, value: Any) -> Architecture:
        """See :meth:`Architecture.parse`."""
        return Architecture.parse(value)

    def encode(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """``(N, 27)`` float64 codes."""
        return np.array([a.code for a in architectures], dtype=np.float64).reshape(-1, self.dim)

    def round(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, 27)`` int64: nearest multiples of the steps within the bounds (paper 3.1; halves round up)."""
        codes = np.floor((np.asarray(codes_ND, dtype=np.float64) + self.step / 2) / self.step) * self.step
        return np.clip(codes, self.lower, self.upper).astype(np.int64)

    def project(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, 27)`` continuous codes within the bounds."""
        return np.clip(np.asarray(codes_ND, dtype=np.float64), self.lower, self.upper)

    def decode(self, codes_ND: np.ndarray) -> list[Architecture]:
        """The architectures nearest to ``(N, 27)`` continuous codes."""
        codes = np.asarray(codes_ND, dtype=np.float64)
        if codes.ndim != 2 or codes.shape[1] != self.dim or not np.isfinite(codes).all():
            raise UserError(f"decode needs finite codes of shape (N, {self.dim}), given was {codes.shape}")
        return [Architecture(tuple(row)) for row in self.round(codes).tolist()]

    def sample_codes(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """``(n, 27)`` int64 codes, uniform over the grid."""
        levels = ((self.upper - self.lower) / self.step).astype(np.int64) + 1
        return (self.lower + rng.integers(0, levels, size=(n, self.dim)) * self.step).astype(np.int64)

    def sample(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """``n`` architectures drawn uniformly and independently (paper 3.2)."""
        return [Architecture(tuple(row)) for row in self.sample_codes(n, rng).tolist()]

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """All architectures that differ by one step in one dimension (27 to 54 of them)."""
        out = []
        for i, d in enumerate(DIMENSIONS):
            for value in (architecture.code[i] - d.step, architecture.code[i] + d.step):
                if d.lower <= value <= d.upper:
                    out.append(Architecture((*architecture.code[:i], value, *architecture.code[i + 1 :])))
        return out

    def default(self) -> Architecture:
        """``{b, n = 2; c, i, o = 64}``, the start of every search in the paper (section 4.1)."""
        return Architecture(tuple(2 if d.kind in "bn" else 64 for d in DIMENSIONS))

    def cost(self, codes: Any) -> Cost:
        """Cost at 128 x 128 with 19 classes per pixel; see :func:`ncp.spaces.cost.count` for anything else."""
        from ncp.spaces.cost import count

        return count(codes)

    def features(self, codes: Any) -> Any:
        """``(N, 33)``: logarithms of the code, of each branch's depth in convolutions, of MACs and of parameters.

        On these the metrics are smooth: accuracy follows ratios of width and depth rather than differences, and a branch's
        depth is a sum over stages. For arrays and tensors (then differentiable).
        """
        extra = _feature_rule()(codes)
        if hasattr(codes, "detach"):
            import torch  # a tensor came in, so it is loaded already

            return torch.log2(torch.cat([codes, extra], dim=-1))
        return np.log2(np.concatenate([np.asarray(codes, dtype=np.float64), extra], axis=-1))


@lru_cache(maxsize=1)
def _feature_rule() -> Evaluator:
    """Depth of each branch (its 3x3 convolutions over all stages), MACs and parameters at the standard setting."""
    from ncp.spaces.cost import count_polynomials

    x = Polynomial.variables(len(DIMENSIONS))
    depths = []
    for branch in range(1, STAGES + 1):
        depth: Any = 0
        for stage in range(branch, STAGES + 1):
            depth = depth + x[INDEX[f"b{stage}"]] * (2 * x[INDEX[f"n{stage}_{branch}"]] + 1)
        depths.append(depth)
    return Evaluator([*depths, *count_polynomials()], len(DIMENSIONS))


def _groups() -> dict[str, tuple[int, ...]]:
    """The eight panels of the paper's Figure 3 that show dimensions (its other panels are metrics and cost)."""

    def where(kinds: str, stages: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(i for i, d in enumerate(DIMENSIONS) if d.kind in kinds and d.stage in stages)

    return {
        "Blocks": where("b", (1, 2, 3, 4)),
        "Units, stages 1 and 2": where("n", (1, 2)),
        "Units, stage 3": where("n", (3,)),
        "Units, stage 4": where("n", (4,)),
        "Stem and output channels": where("io", (0,)),
        "Channels, stages 1 and 2": where("c", (1, 2)),
        "Channels, stage 3": where("c", (3,)),
        "Channels, stage 4": where("c", (4,)),
    }


SPACE = MultiResolutionSpace()
