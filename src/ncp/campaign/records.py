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
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from ncp.benchmark.settings import Setting
from ncp.campaign.schemas import Count, Facts, Name, Notes, Positive, Scalar, Seed, Words
from ncp.errors import UserError, no_memory

FORMAT = "ncp-record-1"
DONE: Final = "done"
STOPPED: Final = "stopped"
Metrics = Annotated[dict[Name, float], Meta(max_length=2000)]
# kinds of failure, each with its rule for the next attempt
RULES = {
    "nan": "the next attempt has another seed",
    "memory": "the next attempt has half the samples on a device at a time; the total batch is kept",
    "crash": "the next attempt is the same again",
    "lost": "the next attempt begins anew",
}
PACKAGES = ("torch", "pytorch-lightning", "torchvision", "numpy", "timm")


@dataclass(frozen=True, slots=True)
class RecordedEvaluation:
    """Metrics in percent points after ``step`` optimiser steps, which are ``epoch`` epochs."""

    step: Count
    epoch: Positive
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class TrainingRecord:
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
        dataset: what a built-in set is; empty on real data, which the setting describes.
        min_overlap: of detection, by class the overlap from which boxes count as found in ``metrics``.
        versions: of the software.
        finished: UTC, ISO 8601.
        checkpoint: the last one, relative to the build's folder, where it was kept.
    """

    unit: Annotated[str, Meta(pattern=r"^[0-9]{6}$")]
    setting: Name
    architecture: Annotated[str, Meta(max_length=1000)]
    code: Annotated[list[Count], Meta(max_length=1000)]
    seed: Seed
    metrics: Metrics
    state: Literal["done", "stopped"] = "done"
    reason: Words = ""
    evaluations: Annotated[list[RecordedEvaluation], Meta(max_length=100_000)] = field(default_factory=list)
    cost: dict[str, Scalar | list[int]] = field(default_factory=dict)
    steps: Count = 0
    seconds: Positive = 0.0
    images_per_second: Positive | None = None
    peak_memory_mb: Positive = 0.0
    generation: Count = 0
    lost: Count = 0
    failures: Annotated[list[Notes], Meta(max_length=1000)] = field(default_factory=list)
    worker: Facts = field(default_factory=dict)
    device: Facts = field(default_factory=dict)
    dataset: Name = ""
    min_overlap: dict[Name, Annotated[float, Meta(gt=0, le=1)]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    finished: Name = ""
    checkpoint: Annotated[str, Meta(max_length=4000)] | None = None
    format: Literal["ncp-record-1"] = "ncp-record-1"

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is not finite is left out."""
        out: dict[str, Any] = _finite(asdict(self))
        return out

    def finished_at(self) -> float:
        """When the training ended, in seconds since 1970. Raises ``ValueError`` where the record does not say."""
        return datetime.fromisoformat(self.finished).timestamp()

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


def check_metrics(metrics: Mapping[str, float], setting: Setting) -> None:
    """Whether a training that came to its end measured what its setting needs.

    Raises:
        UserError: for a metric that is missing, not finite (a failure of the kind ``nan``) or outside of the setting's range.
    """
    for name in setting.metrics:
        value = metrics.get(name)
        if value is None:
            measured = ", ".join(metrics) or "nothing"
            raise UserError(f"the training measured {measured}, but the setting {setting.name} needs {name}")
        if not math.isfinite(value):
            raise UserError(f"the metric {name} became NaN or infinite at the end of the training")
        low, high = setting.range(name)
        if not low <= value <= high:
            unit = "in percent points" if setting.unit(name) else "a number"
            raise UserError(f"the metric {name} is {unit}, {low:g}..{high:g}; the training measured {value}")


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
    return "memory" if no_memory(error) else "crash"


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
