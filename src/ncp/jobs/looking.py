"""What looking at inputs is made of, whatever the task: what is asked for, what could be read, classes with probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from ncp.inference.inputs import Input
from ncp.inference.loading import Failed, Work, ahead
from ncp.inference.outputs import Results, rounded
from ncp.process import own_cores

THREADS = 4  # that read, at most


class Asked(Protocol):
    """What is asked for (``conf/predict.yaml``)."""

    batch: int
    window: list[int] | None
    overlap: float
    every: int
    clips: int | None
    top: int
    score: float | None
    calib: str | None
    pictures: bool
    movies: bool


Heads = dict[str, Sequence[str]]
Watch = Callable[[Input], None]


def readable(
    work: Iterator[tuple[Input, Work[Any]]], most: int, results: Results, watch: Watch
) -> Iterator[tuple[Input, Any]]:
    """What could be read; the rest is noted."""
    for given, found in ahead(work, min(THREADS, len(own_cores())), most):
        if isinstance(found, Failed):
            results.fail(found)
        else:
            yield given, found
        watch(given)


def named(top: Sequence[tuple[int, float]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Classes with their numbers and probabilities, as in the JSON lines."""
    return [{"class": names[k], "index": k, "probability": rounded(value)} for k, value in top]


def top_columns(count: int) -> list[str]:
    """Of a table of the likeliest classes."""
    return [f"{what}_{k}" for k in range(1, count + 1) for what in ("class", "probability")]


def top_cells(best: Sequence[dict[str, Any]]) -> list[Any]:
    """A row of :func:`top_columns`, of what :func:`named` made."""
    return [cell for one in best for cell in (one["class"], one["probability"])]
