"""Look at images, videos or LiDAR scenes with a network: ``ncp predict ckpt=... input=... out=FOLDER``."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from ncp import runs, terminal
from ncp.errors import UserError
from ncp.files import printable

log = logging.getLogger(__name__)
Count = Annotated[int, Meta(ge=1, le=10**9)]


@dataclass
class Options:
    """``conf/predict.yaml``, where each is explained."""

    ckpt: str
    input: str | list[str]
    out: str | None = None
    batch: Count = 8
    window: list[int] | None = None
    overlap: float = 0.25
    every: Count = 1
    clips: Annotated[int, Meta(ge=1, le=1000)] | None = None
    top: Count = 5
    score: float | None = None
    calib: str | None = None
    pictures: bool = True
    movies: bool = True
    device: str = "auto"
    dtype: str = "fp32"
    runtime: str = "onnxruntime"


SEGMENTING = ("seg", "segmentsemantic")
# options that only networks of these tasks have a use for
OF_TASKS = {
    "window": SEGMENTING, "overlap": SEGMENTING, "clips": ("video",), "score": ("det3d",), "calib": ("det3d",),
}  # fmt: skip


@dataclass
class Outcome:
    """What was done.

    Attributes:
        result: the content of ``result.json``.
        lines: what was found, one for each input (frame), as in ``predictions.jsonl``.
        out: the folder of results.
        files: lines and tables in it.
        folder: the run's.
        kinds: folders in ``out`` that hold results of these inputs.
    """

    result: dict[str, Any]
    lines: list[dict[str, Any]]
    out: Path
    files: list[Path] = field(default_factory=list)
    folder: Path | None = None
    kinds: list[str] = field(default_factory=list)


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Look at all inputs, and leave what a program and what a person wants to see in ``options.out``.

    Args:
        options: with which network, at what, how.
        folder: of ``result.json``, and of the results where ``options.out`` is None; None for a new run folder.

    Raises:
        UserError: where network or inputs cannot be used; where none of the inputs can, after all were tried.
    """
    from ncp.inference.inputs import listed
    from ncp.inference.networks import open_network
    from ncp.inference.outputs import Results
    from ncp.jobs.predicting import look

    folder = runs.made(folder, "predict")
    network = open_network(options.ckpt, options.device, options.runtime, options.dtype)
    card = network.card
    _check_uses(options, card.task)
    if card.missing:
        log.warning("'%s' does not say: %s", printable(options.ckpt), "; ".join(card.missing))
    out = Path(options.out).expanduser() if options.out else folder / "predictions"
    inputs = listed(options.input, card.task, out)
    results = Results(out, inputs)
    began = time.perf_counter()
    files = look(network, inputs, options, results)
    seconds = time.perf_counter() - began
    result = {
        "task": card.task,
        "architecture": {"text": card.architecture},
        "network": str(options.ckpt),
        "device": network.device,
        "dtype": options.dtype,
        "inputs": {"given": len(inputs), "predicted": results.worked, "left_out": len(results.failed)},
        "left_out": {printable(path): reason for path, reason in results.failed.items()},
        "seconds": {"predicting": seconds},
        "out": str(out),
        "files": [str(path) for path in files],
    }
    runs.write_result(folder, result)
    if not results.worked:
        first = next(iter(results.failed.values()), "nothing was found in them")
        raise UserError(f"none of the {len(inputs):,} inputs could be used; the first: {first}")
    return Outcome(result, results.lines, out, files, folder, sorted(results.kinds))


def _check_uses(options: Options, task: str) -> None:
    """Refuse an option that a network of this task has no use for."""
    usual = Options("", "")
    for name, tasks in OF_TASKS.items():
        if task not in tasks and getattr(options, name) != getattr(usual, name):
            raise UserError(
                f"{name} is for networks of {' and '.join(tasks)}, and '{options.ckpt}' is one of {task}: leave it out"
            )


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print how many inputs were looked at, how many were left out, and where the results are."""
    inputs, seconds = outcome.result["inputs"], outcome.result["seconds"]["predicting"]
    words = f"{inputs['predicted']:,} of {inputs['given']:,} inputs in {seconds:.1f} s on {outcome.result['device']}"
    if inputs["left_out"]:
        words += f"; {inputs['left_out']:,} could not be used"
    terminal.say(f"{outcome.result['task']}: {words}")
    if not brief:
        for path in [*outcome.files, *(outcome.out / name for name in outcome.kinds)]:
            terminal.say(terminal.relative(path))
