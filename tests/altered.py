"""Content as it might come from elsewhere: one value at a time replaced, removed or added; bytes flipped and cut off."""

import contextlib
import copy
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ncp.errors import UserError


def _deep(levels: int) -> Any:
    out: Any = 1
    for _ in range(levels):
        out = [out]
    return out


ODD: tuple[Any, ...] = (
    None, True, 0, -1, 0.5, 10**9, 10**30, -(10**30), 1e308, float("nan"), float("inf"), "", "x", "1e9", "../../x", "/x",
    "x.yaml", "\x1b[31mred", "[/x]", "a\nb", "é" * 300, "9" * 5000, [], {}, [[]], ["x"], [None], {"a": 1}, [1] * 3000, _deep(70),
)  # fmt: skip


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside, of no more than three of a list."""
    yield path
    if isinstance(content, dict):
        for key in content:
            yield from places(content[key], (*path, key))
    elif isinstance(content, list):
        for i in range(min(3, len(content))):
            yield from places(content[i], (*path, i))


def replaced(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy in which the value at ``path`` is another."""
    if not path:
        return value
    out = copy.deepcopy(content)
    inner = out
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return out


def removed(content: Any, path: tuple[Any, ...]) -> Any:
    """A copy without the value at ``path``."""
    out = copy.deepcopy(content)
    inner = out
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return out


def variants(content: Any, n: int, seed: int = 0) -> Iterator[Any]:
    """``n`` different copies of plain ``content``, each altered in one place."""
    everywhere = list(places(content))
    every = [(path, value) for path in everywhere for value in range(len(ODD) + 1)]
    for i in np.random.default_rng(seed).permutation(len(every))[:n].tolist():
        path, value = every[i]
        if value < len(ODD):
            yield replaced(content, path, ODD[value])
        elif path:
            yield removed(content, path)


def damaged(data: bytes, n: int, seed: int = 0) -> Iterator[bytes]:
    """``n`` copies of ``data`` with some bytes changed, or cut off somewhere."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        if i % 4 == 0:
            yield data[: int(rng.integers(0, len(data)))]
            continue
        out = bytearray(data)
        for position in rng.integers(0, len(out), size=int(rng.integers(1, 8))):
            out[position] = int(rng.integers(0, 256))
        yield bytes(out)


SOME = int(os.environ.get("NCP_ALTERED", "60"))
"""Variants for each reader; all of them were tried once."""


def survives(read: Callable[[Any], Any], contents: Iterable[Any], most: float = 1.0, one_line: bool = False) -> None:
    """``read`` gives a value or a short ``UserError`` for every content; not all are refused, nor all taken."""
    refused = total = 0
    for content in contents:
        total += 1
        try:
            read(content)
        except UserError as error:
            refused += 1
            text = str(error)
            assert len(text) < 1500, text
            assert "\x1b" not in text
            assert not (one_line and "\n" in text), text
    assert 0 < refused <= most * total


@contextlib.contextmanager
def bounded(most: int) -> Iterator[None]:
    """Within, this process takes at most so many MB more than it had; checked on Linux."""
    if sys.platform != "linux":
        yield
        return
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark is where the memory is
    before = _kib("VmRSS")
    yield
    assert _kib("VmHWM") - before < 1000 * most


def _kib(name: str) -> int:
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0])
