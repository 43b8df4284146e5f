"""A multi-resolution architecture, and every form in which one is written.

Whatever is given, from a file or by hand, becomes an architecture or one ``UserError``, in bounded time: lists are measured
before they are looked at, and of a value that is no number or text only its type is told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ncp import files
from ncp.errors import UserError
from ncp.spaces.dimensions import DIMENSIONS, INDEX, NAMES, STAGE_START, STAGES

# position of the four constant branch counts in the 31-number form
_BRANCH_COUNT_AT = {3: 1, 7: 2, 13: 3, 21: 4}
_LONGEST_TEXT, _LONGEST_LIST = 1000, 200
_ALLOWED = tuple(frozenset(range(d.lower, d.upper + 1, d.step)) for d in DIMENSIONS)
_NUMBERS = re.compile(r"[0-9]{1,9}(?:[-_, ]+[0-9]{1,9})*")


class BlockSpec(NamedTuple):
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
        if isinstance(value, os.PathLike) or (isinstance(value, str) and value.endswith((".yaml", ".yml"))):
            return cls._from_file(Path(value))
        return cls.of_content(value)

    @classmethod
    def of_content(cls, value: Any) -> Architecture:
        """As :meth:`parse`, but never opens a file: for what was itself read from a file or a message of another program."""
        if isinstance(value, str):
            return cls(_from_text(value))
        if isinstance(value, Mapping):
            return cls(_from_mapping(value))
        if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (bytes, bytearray)):
            return cls(_from_numbers(_listed(value, "an architecture")))
        raise UserError(
            f"an architecture is 27 numbers, a 31-number text or a yaml file; given was {_given(value)} "
            f"({files.kind_of(value)})"
        )

    @classmethod
    def _from_file(cls, path: Path) -> Architecture:
        content = files.read_yaml(path)
        if isinstance(content, Mapping) and isinstance(content.get("architecture"), Mapping):
            content = content["architecture"]
        try:
            return cls.of_content(content)
        except UserError as error:
            raise UserError(f"{files.printable(path)}: {error}") from None

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
    def blocks(self) -> tuple[BlockSpec, ...]:
        """The stages expanded: ``b1 + b2 + b3 + b4`` blocks in forward order."""
        return tuple(BlockSpec(units, channels) for b, units, channels in self.stages for _ in range(b))

    def __getitem__(self, name: str) -> int:
        """The value of the dimension called ``name`` (``i1 ... o1``)."""
        if name not in INDEX:
            raise UserError(f"unknown dimension '{name}'; the dimensions are {', '.join(NAMES)}")
        return self.code[INDEX[name]]

    def __str__(self) -> str:
        return self.text


def _given(value: Any) -> str:
    return f"'{files.shown(value)}'" if isinstance(value, str) else files.shown(value)


def _listed(value: Any, what: str) -> list[Any]:
    """A list that is no longer than any form of an architecture."""
    if isinstance(value, np.ndarray):
        value = value.tolist() if value.ndim and value.size <= _LONGEST_LIST else None
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray)) or len(value) > _LONGEST_LIST:
        raise UserError(f"{what} must be a list of at most {_LONGEST_LIST} numbers, given was {_given(value)}")
    return list(value)


def _validate(code: Iterable[Any]) -> tuple[int, ...]:
    """27 plain ints within bounds and on the grid, or a ``UserError``."""
    values = tuple(code)
    if len(values) == len(_ALLOWED):
        for value, allowed_values in zip(values, _ALLOWED, strict=True):
            if value.__class__ is not int or value not in allowed_values:
                break
        else:  # as nearly always; what follows finds the words for what is wrong
            return values
    if len(values) != len(DIMENSIONS):
        hint = ""
        if len(values) == 26:
            hint = "; the 26-number lists of the release lack the last one, o1 (their 'last_channel')"
        raise UserError(
            f"a code has {len(DIMENSIONS)} numbers ({NAMES[0]} ... {NAMES[-1]}), given were {len(values)}{hint}"
        )
    out = []
    for dimension, value in zip(DIMENSIONS, values, strict=True):
        number = _whole(value)
        if number is None or not dimension.lower <= number <= dimension.upper or number % dimension.step:
            allowed = f"{dimension.lower}..{dimension.upper}"
            if dimension.step > 1:
                allowed += f" in steps of {dimension.step}"
            must = "be an integer in" if number is None else "be in"
            raise UserError(f"{dimension.name} must {must} {allowed}, given was {_given(value)}")
        out.append(number)
    return tuple(out)


def _whole(value: Any) -> int | None:
    """A plain int, None for anything that is not a whole number."""
    if value.__class__ is int:
        return int(value)
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return None
    return int(value) if np.isfinite(value) and int(value) == value else None


def _from_numbers(values: list[Any]) -> tuple[int, ...]:
    """27 numbers, or 31 with the branch counts."""
    if len(values) == 31:
        for position, branches in _BRANCH_COUNT_AT.items():
            if _whole(values[position]) != branches:
                raise UserError(
                    f"number {position + 1} of the 31-number form is the branch count of stage {branches} and must be "
                    f"{branches}, given was {_given(values[position])}"
                )
        values = [v for i, v in enumerate(values) if i not in _BRANCH_COUNT_AT]
    return _validate(values)


def _from_text(text: str) -> tuple[int, ...]:
    if len(text) > _LONGEST_TEXT:
        raise UserError(f"an architecture has at most {_LONGEST_TEXT} characters, given were {len(text):,}")
    inner = text.strip().strip("[]()").strip("-_, ")
    if inner and not _NUMBERS.fullmatch(inner):
        words = [w for w in re.split(r"[-_, ]+", inner) if w]
        bad = next((w for w in words if not _NUMBERS.fullmatch(w)), text)
        raise UserError(
            f"'{files.shown(bad)}' in the architecture '{files.shown(text)}' is not a whole number; give {len(DIMENSIONS)} "
            "numbers, a text such as 64_64-2_1_2_64-..., a YAML file, or a known name such as ncp_seg"
        )
    return _from_numbers([int(word) for word in re.findall("[0-9]+", inner)])


def _from_mapping(row: Mapping[Any, Any]) -> tuple[int, ...]:
    """A row of the release, or ``{code: ...}`` / ``{text: ...}``; all forms that are given must agree."""
    found: dict[str, tuple[int, ...]] = {}
    last = row.get("last_channel")
    if (code := row.get("code")) is not None:
        found["code"] = _from_text(code) if isinstance(code, str) else _from_numbers(_listed(code, "code"))
    if (text := row.get("text")) is not None:
        if not isinstance(text, str):
            raise UserError(f"text must be the 31-number text of an architecture, given was {_given(text)}")
        found["text"] = _from_text(text)
    if row.get("embedding") is not None:
        numbers = _listed(row["embedding"], "embedding")
        if len(numbers) == 26 and last is not None:
            numbers.append(last)
        found["embedding"] = _from_numbers(numbers)
    blocks = row.get("inverted_residual_setting", row.get("network_setting"))
    if blocks is not None and row.get("input_channel") is not None and last is not None:
        found["blocks"] = _from_blocks(row["input_channel"], blocks, last)
    if not found:
        keys = ", ".join(files.shown(key, 40) for key in list(row)[:20])
        raise UserError(
            "a mapping that describes an architecture needs one of: code, text, embedding, or input_channel with "
            f"inverted_residual_setting and last_channel; given were {keys or 'no keys'}"
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


def _from_blocks(inputs: Any, blocks: Any, last: Any) -> tuple[int, ...]:
    """Invert the expansion into blocks: ``[[branches, [units], [channels]], ...]``."""
    code: list[Any] = _listed(inputs, "input_channel")
    remaining: list[tuple[int, list[int | None], list[int | None]]] = []
    for block in _listed(blocks, "the list of blocks"):
        parts = _listed(block, "a block")
        branches = _whole(parts[0]) if len(parts) == 3 else None
        if branches is None:
            raise UserError("a block is its number of branches, a list of units and a list of channels")
        units, channels = ([_whole(n) for n in _listed(part, "units and channels")] for part in parts[1:])
        remaining.append((branches, units, channels))
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
