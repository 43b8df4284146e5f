"""Measure a machine: ``ncp latency device=cpu runtime=torch task=seg``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

import ncp
from ncp import files, progress, runs, spaces, terminal
from ncp.errors import UserError
from ncp.numeric import several

if TYPE_CHECKING:
    from ncp.latency.machine import Machine
    from ncp.latency.model import Latency

Count = Annotated[int, Meta(ge=1, le=100_000)]
Threads = Annotated[int, Meta(ge=1, le=1024)]
ACTIONS = ("measure", "export", "import")


@dataclass
class Options:
    """``conf/latency.yaml``, where each is explained."""

    action: Literal["measure", "export", "import"] = "measure"
    device: str = "cpu"
    runtime: str = "torch"
    network: str = "seg"
    space: str = "multires"
    size: Annotated[list[Count], Meta(min_length=2, max_length=2)] = field(default_factory=lambda: [128, 128])
    batch: Count = 1
    threads: Threads = 2
    dtype: str = "fp32"
    compile: bool = False
    classes: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    codes: Count = 100
    checks: Count = 20
    minutes: Annotated[float, Meta(gt=0, le=10_000)] = 15.0
    measured: str | None = None
    seed: Annotated[int, Meta(ge=0)] = 0
    ckpt_path: str | None = None


@dataclass
class Outcome:
    """What was measured or written.

    Attributes:
        content: of ``result.json``.
        files: name -> file.
    """

    content: dict[str, Any]
    files: dict[str, Path]


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Measure networks of a space on a machine and fit a model of their latency, or trade measurements with another machine.

    Args:
        options: what to measure.
        folder: where the files go; None for a new run folder. Measurements that lie there are gone on from.

    Raises:
        UserError: for a device or runtime that is not there, and measurements that cannot be used.
    """
    folder = runs.made(folder, "latency")
    if options.ckpt_path not in (None, "auto"):
        raise UserError(
            "ckpt_path is null or auto, which goes on with the newest unfinished measurement of this configuration"
        )
    actions: dict[str, Callable[[Options, Path], Outcome]] = {"measure": _measure, "export": _export, "import": _import}
    return actions[options.action](options, folder)


def _machine(options: Options) -> Machine:
    from ncp.latency.machine import Machine

    if options.space != "multires":
        raise UserError(
            f"networks of space '{options.space}' are not built here; measure them elsewhere and give action=import measured=FILE"
        )
    return Machine(
        options.device, options.runtime, options.network, (options.size[0], options.size[1]), options.batch, options.threads,
        options.dtype, options.compile, options.classes,
    )  # fmt: skip


def _measure(options: Options, folder: Path) -> Outcome:
    from ncp.latency import measuring

    if options.measured is not None:
        raise UserError("measured=FILE is read by action=import")
    machine, space = _machine(options), spaces.get(options.space)
    card = replace(machine.card(space.name), source="measured by ncp latency")
    seconds = min(2.0, 60 * options.minutes / (1.5 * (options.codes + options.checks)) / 2)
    with progress.bar("latency") as tell:
        found = measuring.measure(
            space, lambda a: measuring.median_time(machine.runner(a), seconds), card, folder, options.codes, options.checks,
            options.minutes, options.seed, tell,
        )  # fmt: skip
    rows: dict[str, list[Any]] = {
        "kind": [r.kind for r in found.rows], "code": [r.text for r in found.rows], "ms": [r.milliseconds for r in found.rows],
    }  # fmt: skip
    return _written(found.model, rows, found.notes, folder)


def _export(options: Options, folder: Path) -> Outcome:
    import numpy as np
    import torch

    from ncp.latency import exchange, measuring
    from ncp.latency.machine import write_onnx

    machine = replace(_machine(options), runtime="onnxruntime")
    architectures = measuring.stratified(spaces.get(options.space), options.codes, np.random.default_rng(options.seed))
    with progress.bar("export") as tell:
        for i, architecture in enumerate(architectures):
            write_onnx(machine.network(architecture), folder / exchange.network_file(i), torch.zeros(machine.shape()))
            tell((i + 1) / len(architectures), f"{i + 1} of {len(architectures)} networks")
    table = exchange.write_codes(architectures, folder)
    content = {"command": "latency", "version": ncp.__version__, "action": "export", "codes": len(architectures)}
    written = {"codes": table, "networks": folder, "result": runs.write_result(folder, content)}
    return Outcome(content, written)


def _import(options: Options, folder: Path) -> Outcome:
    from ncp import latency
    from ncp.latency import exchange, fitting
    from ncp.latency.card import MachineCard

    if options.measured is None:
        raise UserError("action=import needs measured=FILE, a CSV with the columns code and ms")
    space = spaces.get(options.space)
    (architectures, times), held = exchange.read_measured(options.measured, space)
    size = list(options.size) if options.space == "multires" else None
    card = MachineCard(
        space.name, files.printable(options.device), files.printable(options.runtime), options.network, size, options.batch,
        options.dtype, options.threads, options.classes, compiled=options.compile,
        source=f"imported from {files.printable(Path(options.measured).name)}",
    )  # fmt: skip
    checked = held if len(held[0]) >= fitting.LEAST_HELD else None
    model = latency.fit(space, architectures, times, card, checked, options.seed)
    rows = {
        "kind": ["fit"] * len(times) + ["check"] * len(held[1]),
        "code": [a.text for a in [*architectures, *held[0]]], "ms": [*times, *held[1]],
    }  # fmt: skip
    return _written(model, rows, [], folder)


def _written(model: Latency, rows: dict[str, list[Any]], notes: list[str], folder: Path) -> Outcome:
    from ncp import latency
    from ncp.report import latency as report
    from ncp.report import style

    card = model.card
    told = asdict(card)
    if not card.trusted:
        error = f"{100 * (card.median_error or 0):.1f} %"
        notes = [
            *notes,
            f"its median error on unseen networks is {error}: no hard limit of a search without latency.trust=true",
        ]
    content = {
        "command": "latency", "version": ncp.__version__, "latency": told, "notes": notes,
        "again": rows["kind"].count("noisy"),
        "reference_ms": [ms for kind, ms in zip(rows["kind"], rows["ms"], strict=True) if kind == "reference"],
    }  # fmt: skip
    written = {"latency": latency.save(model, folder / "latency.safetensors")}
    columns = [rows, *zip(*rows.values(), strict=True)]
    written["measurements"] = files.write_text(folder / "measurements.csv", terminal.csv_text(columns))
    written["result"] = runs.write_result(folder, {**content, "seconds": {"total": runs.seconds()}})
    written["picture"] = style.save(report.figure(model, rows), folder / "latency.png")
    return Outcome(content, written)


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print what the model is worth, and where the files are."""
    told = outcome.content.get("latency")
    if told is None:
        terminal.say(f"{several(outcome.content['codes'], 'network')} to measure, and a table for their times")
    else:
        terminal.say(
            f"{told['rows']} networks fitted; on {told['held']} that the model did not see: median error "
            f"{100 * told['median_error']:.1f} %, 90 % below {100 * told['p90_error']:.1f} %, Spearman {told['spearman']:.3f}"
        )
        if told["drift"] is not None:
            terminal.say(
                f"the reference network's time spread by {100 * told['drift']:.0f} % beside them; measured again, because it "
                f"had moved: {outcome.content['again']}"
            )
        for note in outcome.content["notes"]:
            terminal.say(f"note: {note}", style="yellow")
    terminal.fields({name: terminal.relative(path) for name, path in outcome.files.items()}, 13)
