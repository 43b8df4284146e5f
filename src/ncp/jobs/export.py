"""Export a network: ``ncp export ckpt_path=... format=onnx``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from ncp import progress, runs, terminal

if TYPE_CHECKING:
    from ncp.tasks.export_cpu import Here


@dataclass
class Options:
    """``conf/export.yaml``, where each is explained."""

    ckpt_path: str | None = None
    format: Any = "safetensors"
    out: str | None = None
    size: list[int] | None = None
    dynamic: bool = False
    precision: str = "fp32"
    loses: Annotated[float, Meta(ge=0)] = 1.0
    measure: bool = True
    data: dict[str, Any] = field(default_factory=dict)
    classes: Annotated[int, Meta(ge=1)] | None = None
    seed: Annotated[int, Meta(ge=0)] = 1
    licence: str | None = None
    task: dict[str, Any] | None = None
    arch: dict[str, Any] | None = None


class Files(dict[str, str]):
    """``{format: path}``, and what was measured on this CPU (None where nothing was)."""

    here: Here | None = None


def run(options: Options, folder: Path | None = None) -> Files:
    """Write a trained network, or an architecture without training, in the formats of this project and of others.

    Args:
        options: which network, in which formats, where to.
        folder: of ``result.json``, and of the files where ``options.out`` names no place; None for a new run folder.

    Returns:
        ``{format: path}``.

    Raises:
        UserError: where no network is named or it does not fit a format.
    """
    from ncp.tasks import export, export_cpu

    wanted = [options.format] if isinstance(options.format, str) else list(options.format)
    folder = runs.made(folder, "export")
    found = export.network_of(options)
    export_cpu.check(options.precision, wanted, found.task, options.ckpt_path is not None)
    if options.licence is not None:
        found.about["licence"] = export.licence_named(options.licence)
    out = Path(options.out or folder / found.task)
    files = Files(export.write(found, options.format, out, options.size, options.dynamic))
    with progress.bar("on this CPU", after=1.0) as tell:
        files.here = export_cpu.finish(found, files, options, tell)
    summary = export.summarise(found, files, options.size)
    runs.write_result(folder, summary if files.here is None else {**summary, "here": files.here.as_dict()})
    return files


def show(outcome: Files, brief: bool = False) -> None:
    """Print where the files are, and how fast they are here."""
    for path in outcome.values():
        terminal.say(path)
    if outcome.here is not None and not brief:
        for line in outcome.here.lines():
            terminal.say(line)
