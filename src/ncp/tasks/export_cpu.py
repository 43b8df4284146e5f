"""Exported networks on this CPU: eight bits calibrated on the training's data, times beside plain torch, accuracy.

What runs where: ``onnx`` files by onnxruntime, ``openvino`` files by OpenVINO. Times are medians of all candidates in turns, one
input at a time; the accuracy is the main metric on the whole validation set, counted by the task's own evaluation.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from ncp import files
from ncp.benchmark import settings
from ncp.data.base import Key
from ncp.errors import UserError
from ncp.models.quantised import PRECISION, quantise
from ncp.models.runners import Runner, clock_for, onnxruntime_runner, openvino_runner, plain, turns
from ncp.numeric import several
from ncp.progress import Progress
from ncp.tasks.export import Exportable, input_shape, write
from ncp.tasks.run import Run, restore

RUNTIMES = ("onnx", "openvino")  # formats that a CPU's runtime reads
PRECISIONS = ("fp32", "int8", "auto")
CALIBRATION = 64  # samples of the training set
SECONDS = 3.0  # of timing, all candidates together
NOISY = 0.3  # spread of times above which ratios are rough
ADVICE = "precision=auto tries eight bits too, and says what they gain and lose on the training's data"


class Candidate(NamedTuple):
    """A file that was written: its format, its precision, where it is."""

    format: str
    precision: str
    path: Path

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.format} {self.precision}"

    def runner(self, threads: int) -> Runner:
        """The file in its runtime."""
        return onnxruntime_runner(self.path, threads) if self.format == "onnx" else openvino_runner(self.path, threads)


class Measured(NamedTuple):
    """A candidate on this CPU.

    Attributes:
        candidate: which.
        milliseconds: of one input.
        ratio: times as fast as plain torch in fp32.
        metric: the task's main one, in percent (a similarity or a loss in its own unit); None where no data was looked at.
        lost: so much worse than torch's.
    """

    candidate: Candidate
    milliseconds: float
    ratio: float
    metric: float | None = None
    lost: float = 0.0


class Here(NamedTuple):
    """What was measured on this CPU.

    Attributes:
        threads: of the CPU.
        milliseconds: of plain torch in fp32, one input.
        metric: its main metric; None where no data was looked at.
        objective: that metric's name behind the setting's: ``seg.mIoU``; empty where no data was looked at.
        networks: the files, the fastest first.
        allowed: what a recommended one may lose, in the metric's unit.
        spread: of a network's times (ninth decile less first), as a share of the median, of the one that varied most.
        kept: format -> precision of the file that stays.
        advice: what else could be asked for; empty for nothing.
    """

    threads: int
    milliseconds: float
    metric: float | None
    objective: str
    networks: list[Measured]
    allowed: float
    spread: float = 0.0
    kept: Mapping[str, str] = {}
    advice: str = ""

    @property
    def main_metric(self) -> str:
        """The metric's name alone."""
        return self.objective.rpartition(".")[2]

    @property
    def recommended(self) -> Measured | None:
        """The fastest that loses no more than is allowed."""
        return next((one for one in self.networks if one.lost <= self.allowed), None)

    def as_dict(self) -> dict[str, Any]:
        """For ``result.json``."""
        best = self.recommended
        return {
            "threads": self.threads,
            "plain_ms": self.milliseconds,
            "metric": self.main_metric,
            "plain_metric": self.metric,
            "allowed": self.allowed,
            "spread": self.spread,
            "networks": [
                {
                    "format": one.candidate.format, "precision": one.candidate.precision, "ms": one.milliseconds,
                    "ratio": one.ratio, "metric": one.metric,
                }
                for one in self.networks
            ],
            "recommended": None if best is None else {"format": best.candidate.format, "precision": best.candidate.precision},
            "written": dict(self.kept),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """For a person: each that was measured, then which is recommended, and what was written."""
        cores = several(self.threads, "thread")
        out = []
        for one in self.networks:
            line = f"{one.candidate.name} on this CPU ({cores}): {one.milliseconds:.1f} ms an input, "
            line += f"{one.ratio:.1f} times as fast as plain torch in fp32"
            if one.metric is not None and self.metric is not None:
                before, after = (settings.figure_text(self.objective, value) for value in (self.metric, one.metric))
                line += f", {self.main_metric} {before} to {after}"
            out.append(line)
        if self.spread > NOISY:
            out.append(
                f"these times are rough (they vary by {self.spread:.0%}): other work ran on this machine; export again"
            )
        best = self.recommended
        if best is None:
            out.append(f"none is recommended: all lose more than {self._allowance()}; give precision=fp32")
        elif len(self.networks) > 1:
            why = "" if self.metric is None else f" that loses at most {self._allowance()}"
            out.append(f"recommended: {best.candidate.name}, {best.ratio:.1f}x plain torch in fp32, the fastest{why}")
        if set(self.kept.values()) - {"fp32"}:
            out.append("written: " + ", ".join(f"{name} in {precision}" for name, precision in self.kept.items()))
        return out + ([self.advice] if self.advice else [])

    def _allowance(self) -> str:
        if settings.unit(self.objective):
            return f"{self.allowed:g} point{'' if self.allowed == 1 else 's'}"
        return f"{self.allowed:.3g} of {self.main_metric}"


def check(precision: str, formats: Sequence[str], task: str, trained: bool) -> None:
    """Raise ``UserError`` where a precision is no precision, or means nothing for what is written."""
    if precision not in PRECISIONS:
        raise UserError(f"precision is one of {', '.join(PRECISIONS)}, given was '{files.shown(precision)}'")
    if precision == "fp32":
        return
    if not set(formats) & set(RUNTIMES):
        raise UserError(
            f"precision={precision} is for {' and '.join(f'format={name}' for name in RUNTIMES)}; leave it out"
        )
    if task == "det3d":
        raise UserError(f"precision={precision} is for images and clips; a detector of points is written in fp32")
    if not trained:
        raise UserError(f"precision={precision} is calibrated on a training's data: give ckpt_path=..., not arch=...")


class Judge:
    """The training's own data and evaluation, for calibration and for the accuracy of what was exported.

    Args:
        ckpt_path: of the training.
        data: what differs from its configuration of the data, such as its ``root``.

    Raises:
        UserError: where the data is not there.
    """

    def __init__(self, ckpt_path: str, data: dict[str, Any]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ncp-export-")
        trainer = {"accelerator": "cpu", "devices": 1, "precision": "32-true"}
        given: Any = SimpleNamespace(ckpt_path=ckpt_path, data=data, task={}, trainer=trainer, logger={"kind": "csv"})
        self.run: Run = restore(given, Path(self._folder.name))
        self.run.task.eval()

    @property
    def objective(self) -> str:
        """The main metric behind the setting's name, or the task's where no setting was chosen: ``seg.mIoU``."""
        return f"{self.run.options.setting or self.run.task.name}.{self.run.task.main_metric}"

    def samples(self, count: int = CALIBRATION) -> list[np.ndarray]:
        """Inputs of the network, spread over the training set, as they are in an evaluation."""
        data, task = self.run.data, self.run.task
        total = len(data.train_set)  # type: ignore[arg-type]
        collate: Callable[..., Any] = data.collate or default_collate
        picked = sorted({round(at) for at in np.linspace(0, total - 1, min(count, total))})
        return [_array(task.prepare_batch(collate([data.train_set[Key(-1, at)]]))) for at in picked]

    @torch.inference_mode()
    def accuracy(self, runner: Runner, progress: Progress | None = None, name: str = "") -> float:
        """The main metric on the validation set of whatever ``runner`` is, in percent points."""
        task, batches = self.run.task, self.run.data.val_dataloader()
        before = task._compiled
        task._compiled = [lambda x: torch.from_numpy(runner(_array(x)))]
        task.scores.reset()
        try:
            for done, batch in enumerate(batches):
                task.score(batch)
                if progress is not None:
                    progress((done + 1) / len(batches), f"{name}: {done + 1} of {len(batches)} batches")
            found = {key: float(value) for key, value in task.scores.compute().items()}
        finally:
            task._compiled = before
            task.scores.reset()
        return found[task.main_metric.removeprefix(task.prefix)]


def may_lose(share: float, objective: str, before: float) -> float:
    """What a network may lose of ``setting.metric``, in that metric's unit.

    Args:
        share: in percent of the metric's range, so in points of a percentage; of a loss, which has none, of ``before``.
        objective: which.
        before: what the network has in float32.

    >>> may_lose(1, "seg.mIoU", 70.0), may_lose(1, "transnas-micro/normal.valid_ssim", 0.6), may_lose(1, "mine.neg_loss", -0.5)
    (1.0, 0.02, 0.005)
    """
    span = settings.span(objective)
    return share / 100 * (abs(before) if span is None else span)


def _array(x: Tensor) -> np.ndarray:
    return np.ascontiguousarray(x.float().numpy())


def measure(
    net: torch.nn.Module,
    candidates: Sequence[Candidate],
    shape: Sequence[int],
    judge: Judge | None,
    loses: float,
    progress: Progress | None = None,
) -> Here:
    """Time the candidates beside plain torch, and count what those of fewer bits lose.

    Args:
        net: the network that they were made of.
        candidates: files.
        shape: of one input.
        judge: None: nobody looks at the accuracy.
        loses: see :func:`may_lose`.
        progress: told the part of the evaluations that is done.
    """
    threads = torch.get_num_threads()
    x = np.random.default_rng(0).normal(size=tuple(shape)).astype(np.float32)
    torchs = plain(net)
    runners = {one: one.runner(threads) for one in candidates}
    rounds = turns(
        {
            "plain": functools.partial(torchs, x),
            **{one.name: functools.partial(run, x) for one, run in runners.items()},
        },
        SECONDS,
        now=clock_for(threads),
    )
    times = {name: float(np.median(found)) for name, found in rounds.items()}
    spread = max(float(np.subtract(*np.quantile(found, [0.9, 0.1]))) / times[name] for name, found in rounds.items())
    before = judge.accuracy(torchs, progress, "torch") if judge is not None else None
    objective = judge.objective if judge is not None else ""
    found = []
    for one, run in runners.items():
        after, lost = before, 0.0
        if judge is not None and before is not None and one.precision != "fp32":
            after = judge.accuracy(run, progress, one.name)
            lost = settings.sign(objective) * (before - after)
        found.append(Measured(one, 1e3 * times[one.name], times["plain"] / times[one.name], after, lost))
    found.sort(key=lambda one: one.milliseconds)
    allowed = 0.0 if before is None else may_lose(loses, objective, before)
    return Here(threads, 1e3 * times["plain"], before, objective, found, allowed, spread)


class Finishing(Protocol):
    """What :func:`finish` is told (``conf/export.yaml``)."""

    ckpt_path: str | None
    size: list[int] | None
    dynamic: bool
    precision: str
    loses: float
    measure: bool
    data: dict[str, Any]


def finish(
    found: Exportable, written: dict[str, str], given: Finishing, progress: Progress | None = None
) -> Here | None:
    """Measure what was written for a CPU, and put files of eight bits in its place where these are asked for.

    Args:
        found: the network.
        written: ``{format: path}`` in float32.
        given: the options.
        progress: told how far the evaluations are.

    Returns:
        What was measured; None where nothing was, for a CPU's runtime reads none of the files, or it was not asked for.

    Raises:
        UserError: where the training's data is not there, or does not fit the files.
    """
    formats = [name for name in RUNTIMES if name in written]
    low = given.precision != "fp32"
    if not formats or found.task == "det3d" or not (given.measure or low):
        return None
    candidates = [Candidate(name, "fp32", Path(written[name])) for name in formats]
    with tempfile.TemporaryDirectory(prefix="ncp-export-") as folder:
        judge = None
        if low:
            assert given.ckpt_path is not None
            judge = Judge(given.ckpt_path, given.data)
            candidates += _in_eight_bits(found, written, given, judge, Path(folder))
        shape = input_shape(found, given.size)
        here = measure(found.net, candidates, shape, judge, given.loses, progress)
        kept = {name: _kept(here, name, given.precision) for name in formats}
        for name, one in kept.items():
            if one.precision != "fp32":
                _replace(one.path, Path(written[name]))
    advice = ADVICE if given.ckpt_path is not None and not low else ""
    return here._replace(kept={name: one.precision for name, one in kept.items()}, advice=advice)


def _kept(here: Here, form: str, precision: str) -> Candidate:
    """Which of a format's candidates stays."""
    mine = [one for one in here.networks if one.candidate.format == form]  # the fastest first
    if precision == "auto":
        return next(one.candidate for one in mine if one.candidate.precision == "fp32" or one.lost <= here.allowed)
    return next(one.candidate for one in mine if one.candidate.precision == precision)


def _in_eight_bits(
    found: Exportable, written: dict[str, str], given: Finishing, judge: Judge, folder: Path
) -> list[Candidate]:
    """One candidate for each format that was written for a CPU."""
    samples = judge.samples()
    size = tuple(given.size or found.size)
    if not given.dynamic and any(one.shape[-2:] != size for one in samples):
        other = next(one.shape[-2:] for one in samples if one.shape[-2:] != size)
        raise UserError(
            f"precision={given.precision} is calibrated and judged on the training's data, which has inputs of "
            f"{other[0]}x{other[1]}; the file reads {size[0]}x{size[1]} alone: give dynamic=true"
        )
    source = written.get("onnx") or write(found, "onnx", folder / "network", given.size, given.dynamic)["onnx"]
    low = quantise(Path(source), folder / "int8.onnx", samples)
    out = []
    if "onnx" in written:
        out.append(Candidate("onnx", "int8", low))
    if "openvino" in written:
        from ncp.models import openvino_file

        path = openvino_file.from_onnx(low, folder / "int8.xml", {**found.about, PRECISION: "int8"})
        out.append(Candidate("openvino", "int8", path))
    return out


def _replace(source: Path, target: Path) -> None:
    """Put a file in another's place, of OpenVINO its weights first."""
    pairs = [(source, target)]
    if target.suffix == ".xml":
        pairs.insert(0, (source.with_suffix(".bin"), target.with_suffix(".bin")))
    for old, new in pairs:
        with files.writing(new) as scratch:
            shutil.copyfile(old, scratch)
