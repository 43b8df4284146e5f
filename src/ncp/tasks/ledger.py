"""The ledger of a training: one line for every evaluation, with all its figures; nothing else keeps evaluations.

``evaluations.jsonl`` in the run folder is only ever appended to. A line that was cut off by a kill is skipped, of two lines for
one step the newer counts, and a run that goes on from a checkpoint cuts the lines beyond it. Pictures, results, KITTI's file,
records of builds and ``task.pick`` are read from here.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from ncp import files
from ncp.errors import UserError

FILE = "evaluations.jsonl"


@dataclass(frozen=True)
class Evaluation:
    """What was measured after ``step`` optimiser steps.

    Attributes:
        step: optimiser steps done.
        samples: training samples seen.
        set: samples in the training set.
        metrics: all figures; most are percent points, those that could not be measured NaN.
        checkpoint: the kept checkpoint of these weights, relative to the run folder; None where none is kept.
    """

    step: int
    samples: int
    set: int
    metrics: Mapping[str, float]
    checkpoint: str | None = None

    @property
    def epoch(self) -> Fraction:
        """Epochs seen, exact."""
        return Fraction(self.samples, self.set)

    def line(self) -> str:
        """As JSON; numbers that are not finite are null."""
        metrics = {key: value if math.isfinite(value) else None for key, value in self.metrics.items()}
        content = {
            "step": self.step,
            "epoch": float(self.epoch),
            "samples": self.samples,
            "set": self.set,
            "metrics": metrics,
            "checkpoint": self.checkpoint,
        }
        return json.dumps(content, allow_nan=False)

    @classmethod
    def read(cls, line: str | bytes) -> Evaluation | None:
        """From a line; None for one that is none."""
        try:
            content = files.parse_json(line, "a line")
            step, samples, size = content["step"], content["samples"], content["set"]
            metrics = {str(k): math.nan if v is None else float(v) for k, v in content["metrics"].items()}
            checkpoint = content.get("checkpoint")
            if not all(isinstance(n, int) for n in (step, samples, size)) or step < 0 or samples < 0 or size < 1:
                return None
        except (UserError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return None
        return cls(step, samples, size, metrics, None if checkpoint is None else str(checkpoint))


class Ledger:
    """The evaluations of a training, by step.

    Args:
        path: of the file; None keeps them in memory alone.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._entries: dict[int, Evaluation] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, step: object) -> bool:
        return step in self._entries

    def __iter__(self) -> Iterator[Evaluation]:
        """By step."""
        return iter([self._entries[step] for step in sorted(self._entries)])

    @property
    def newest(self) -> Evaluation | None:
        """The evaluation with the most steps."""
        return self._entries[max(self._entries)] if self._entries else None

    def add(self, entry: Evaluation, write: bool = True) -> None:
        """Append; with ``write`` the line is on the disk when this returns."""
        if write and self.path is not None:
            with open(self.path, "ab+") as file:
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":  # a line that was cut off stays by itself
                        file.write(b"\n")
                file.write(entry.line().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        self._entries[entry.step] = entry

    def take(self, entries: Mapping[int, Evaluation]) -> None:
        """Hold these and no others (what the first process read, for all)."""
        self._entries = dict(entries)

    def entries(self) -> dict[int, Evaluation]:
        """A copy, by step."""
        return dict(self._entries)

    def load(self, step: int, source: Path | None = None) -> None:
        """Read what was measured up to ``step``.

        Args:
            step: of the checkpoint from which a training goes on; -1 for a training that begins.
            source: the run folder of that checkpoint; where it is another one, its evaluations come first.
        """
        found: dict[int, Evaluation] = {}
        own = self.path.parent if self.path is not None else None
        if source is not None and (own is None or source.resolve() != own.resolve()):
            for entry in read(source / FILE):
                kept = None if entry.checkpoint is None else str(source / entry.checkpoint)
                found[entry.step] = replace(entry, checkpoint=kept)
        if self.path is not None:
            found |= {entry.step: entry for entry in read(self.path)}
        self._entries = {at: entry for at, entry in found.items() if at <= step}

    def rewrite(self) -> None:
        """Make the file hold what is held here: lines beyond a checkpoint are cut."""
        if self.path is None:
            return
        if not self._entries:
            self.path.unlink(missing_ok=True)
        else:
            files.write_text(self.path, "".join(entry.line() + "\n" for entry in self))


def read(path: Path) -> list[Evaluation]:
    """The evaluations of a file, by step; none where there is no file. Lines that cannot be read are skipped."""
    if not path.is_file():
        return []
    found: dict[int, Evaluation] = {}
    for line in files.read_bytes(path).splitlines():
        if line.strip() and (entry := Evaluation.read(line)) is not None:
            found[entry.step] = entry
    return [found[step] for step in sorted(found)]


def flat(full: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Figures within figures under one name each: ``{"car/3d/moderate": {"AP11": 7}}`` is ``{"car/3d/moderate/AP11": 7}``."""
    return {f"{key}/{name}": float(value) for key, values in full.items() for name, value in values.items()}


def nested(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The way back from :func:`flat`; names without a ``/`` are left out."""
    out: dict[str, dict[str, float]] = {}
    for key, value in metrics.items():
        head, slash, name = key.rpartition("/")
        if slash:
            out.setdefault(head, {})[name] = value
    return out
