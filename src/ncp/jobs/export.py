"""Export a network: ``ncp export ckpt_path=... format=onnx``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from ncp import runs, terminal


@dataclass
class Options:
    """``conf/export.yaml``, where each is explained."""

    ckpt_path: str | None = None
    format: Any = "safetensors"
    out: str | None = None
    size: list[int] | None = None
    dynamic: bool = False
    classes: Annotated[int, Meta(ge=1)] | None = None
    seed: Annotated[int, Meta(ge=0)] = 1
    licence: str | None = None
    task: dict[str, Any] | None = None
    arch: dict[str, Any] | None = None


def run(options: Options, folder: Path | None = None) -> dict[str, str]:
    """Write a trained network, or an architecture without training, in the formats of this project and of others.

    Args:
        options: which network, in which formats, where to.
        folder: of ``result.json``, and of the files where ``options.out`` names no place; None for a new run folder.

    Returns:
        ``{format: path}``.

    Raises:
        UserError: where no network is named or it does not fit a format.
    """
    from ncp.tasks import export

    folder = runs.made(folder, "export")
    found = export.network_of(options)
    if options.licence is not None:
        found.about["licence"] = export.licence_named(options.licence)
    files = export.write(found, options.format, Path(options.out or folder / found.task), options.size, options.dynamic)
    runs.write_result(folder, export.summarise(found, files, options.size))
    return files


def show(outcome: dict[str, str], brief: bool = False) -> None:
    """Print where the files are."""
    for path in outcome.values():
        terminal.say(path)
