"""What is written down about one training."""

from __future__ import annotations

import math
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ncp.errors import UserError

FORMAT = "ncp-record-1"
DONE, STOPPED = "done", "stopped"
# kinds of failure, each with its rule for the next attempt
RULES = {
    "nan": "the next attempt has another seed",
    "memory": "the next attempt has half the samples on a device at a time; the total batch is kept",
    "crash": "the next attempt is the same again",
    "lost": "the next attempt begins anew",
}
PACKAGES = ("torch", "pytorch-lightning", "torchvision", "numpy", "timm")


@dataclass(frozen=True)
class Evaluation:
    """Metrics in percent points after ``step`` optimiser steps, which are ``epoch`` epochs."""

    step: int
    epoch: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class Record:
    """The result of one unit.

    Attributes:
        unit: its name.
        setting, architecture, code: what was trained.
        state: ``done``, or ``stopped`` (an early stop of a hopeless training: ``metrics`` are those of its last evaluation).
        reason: why it was stopped.
        seed: of this training.
        metrics: final, in percent points.
        evaluations: those within the training, in order.
        cost: exact: ``params``, ``macs`` (128 x 128, per-pixel head, 19 classes), ``macs_at_size``, ``size``, ``flops_g``.
        steps: optimiser steps.
        seconds: spent in training, earlier interrupted attempts included.
        images_per_second: of training; None where it was too short to tell.
        peak_memory_mb: of the device, or of the process on a CPU.
        generation, lost, failures: the attempt that succeeded, deaths before it, and what earlier attempts failed of.
        worker: who trained it (host, SLURM job, ...).
        device: its name, and the precision.
        versions: of the software.
        finished: UTC, ISO 8601.
        checkpoint: the last one, relative to the build's folder, where it was kept.
    """

    unit: str
    setting: str
    architecture: str
    code: list[int]
    seed: int
    metrics: dict[str, float]
    state: str = DONE
    reason: str = ""
    evaluations: list[Evaluation] = field(default_factory=list)
    cost: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    images_per_second: float | None = None
    peak_memory_mb: float = 0.0
    generation: int = 0
    lost: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    worker: dict[str, Any] = field(default_factory=dict)
    device: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    finished: str = ""
    checkpoint: str | None = None
    format: str = FORMAT

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is not finite is left out."""
        out: dict[str, Any] = _finite(asdict(self))
        return out

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Record:
        """Raises ``UserError`` for anything else than a record of this format."""
        try:
            if content["format"] != FORMAT:
                raise KeyError("format")
            evaluations = [Evaluation(**item) for item in content["evaluations"]]
            return cls(**{**content, "evaluations": evaluations})
        except (KeyError, TypeError):
            raise UserError(f"the record of unit {content.get('unit', '?')} is not of the format {FORMAT}") from None

    def row(self) -> dict[str, Any]:
        """A row for :func:`ncp.benchmark.from_rows`: final metrics, those by epoch as ``<metric>@<epoch>``, and numbers."""
        out: dict[str, Any] = {"code": self.code, **self.metrics}
        for evaluation in self.evaluations:  # two that round to one epoch: the later
            epoch = max(1, round(evaluation.epoch))
            out |= {f"{name}@{epoch}": value for name, value in evaluation.metrics.items()}
        numbers = {
            "unit": int(self.unit),
            "seed": self.seed,
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
            "peak_memory_mb": self.peak_memory_mb,
            "attempts": len(self.failures) + 1,
            "network_params": self.cost.get("params"),
            "network_macs": self.cost.get("macs_at_size"),
        }
        return out | {name: value for name, value in numbers.items() if value is not None}


def failure(error: BaseException, seed: int, worker: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """What is written down about a failed attempt."""
    text = str(error).strip()
    reason = text.splitlines()[0] if text else "no message"
    kind = kind_of(error)
    if kind == "crash":
        reason = f"{type(error).__name__}: {reason}"
    where = _where(error)
    return {
        "kind": kind,
        "reason": reason[:500],
        "where": where,
        "seed": seed,
        "seconds": seconds,
        "worker": dict(worker),
        "versions": versions(),
        "finished": now(),
    }


def kind_of(error: BaseException) -> str:
    """A key of ``RULES``."""
    text = str(error).lower()
    if isinstance(error, UserError) and "became nan or infinite" in text:
        return "nan"
    memory = ("out of memory", "does not fit into memory", "can't allocate memory", "cannot allocate memory")
    if isinstance(error, MemoryError) or any(words in text for words in memory):
        return "memory"
    return "crash"


def _where(error: BaseException) -> str:
    """File and line of the innermost frame."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame is not None else ""


@cache
def versions() -> dict[str, str]:
    """Of Python, this project (with its commit where it is a clone) and what computes."""
    import ncp

    out = {"python": platform.python_version(), "ncp": ncp.__version__}
    for name in PACKAGES:
        try:
            out[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        out["commit"] = answer.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return out


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items() if not (isinstance(v, float) and not math.isfinite(v))}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
