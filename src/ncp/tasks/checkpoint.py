"""A training's checkpoint as the rest of the project sees it: every value in it was checked before anybody uses it.

A checkpoint may come from elsewhere. Reading one goes in three steps: the file is looked over without torch
(:mod:`ncp.benchmark.torch_files`, :mod:`ncp.benchmark.inert`), our own part and the names and shapes of the weights are held
against what they must be, and only where numbers are wanted torch reads them, with ``weights_only=True``. The configuration in it
stays plain text: what looks like a reference (``${...}``) is never resolved, and a class that it names must be one of ours or of
the user's (:mod:`ncp.registry`).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from ncp import files, runs, tensorfile
from ncp.benchmark import torch_files
from ncp.benchmark.inert import Shape
from ncp.errors import UserError
from ncp.tasks.options import TrainOptions
from ncp.tasks.own import KEY, Own, read_own
from ncp.tasks.saving import CHECKPOINTS, LAST

_PREFIX = "network."
_FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose values were checked; its numbers are read when they are asked for.

    Attributes:
        path: of the file.
        own: our part.
        options: of its training.
        shapes: of the weights, by name.
        inert: all values, with a :class:`Shape` for every tensor.
    """

    path: Path
    own: Own
    options: TrainOptions
    shapes: Mapping[str, tuple[int, ...]]
    inert: Mapping[str, Any]

    @property
    def where(self) -> str:
        """The file, for messages."""
        return f"'{files.printable(self.path)}'"

    @property
    def network_shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the network's entries, under its own names."""
        return {key.removeprefix(_PREFIX): sizes for key, sizes in self.shapes.items() if key.startswith(_PREFIX)}

    @cached_property
    def content(self) -> dict[str, Any]:
        """Everything, as Lightning wrote it; the tensors stay in the file until they are used.

        Raises:
            UserError: where torch refuses the file.
        """
        return self._load(mmap=True)

    def _load(self, mmap: bool) -> dict[str, Any]:
        try:
            content: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True, mmap=mmap)
        except Exception as error:  # of many kinds, all about this file
            raise UserError(f"{self.where} cannot be read as a checkpoint ({_reason(error)})") from None
        return content

    def weights(self) -> dict[str, Tensor]:
        """The network's entries under its own names.

        Raises:
            UserError: where one is not finite: nothing that is made of them would be of use.
        """
        found: Mapping[str, Tensor] = self.content["state_dict"]
        weights = {key.removeprefix(_PREFIX): value for key, value in found.items() if key.startswith(_PREFIX)}
        tensorfile.check_finite(weights, f"the weights in {self.where}")
        return weights

    def check_network(self, network: torch.nn.Module) -> None:
        """Raise ``UserError`` unless the weights have the names and shapes of ``network``'s."""
        wanted = tensorfile.shapes_of(network.state_dict())
        tensorfile.check_shapes(self.network_shapes, wanted, f"the weights in {self.where} do not fit its architecture")

    def for_lightning(self) -> dict[str, Any]:
        """What a training needs to go on: weights, the optimiser's state and our part; Lightning's own bookkeeping is left out,
        which :meth:`ncp.tasks.base.Task.on_load_checkpoint` makes anew.

        Raises:
            UserError: where torch refuses the file, or a number is not finite.
        """
        content = self._load(mmap=False)
        kept: dict[str, Any] = {
            **{"epoch": 0, "global_step": self.own.step, "pytorch-lightning_version": pl.__version__},  # type: ignore[attr-defined]
            **{"lr_schedulers": [], "callbacks": {}},
            "state_dict": dict(content["state_dict"]),
            "optimizer_states": content.get("optimizer_states", []),
            KEY: content[KEY],
        }
        if _numbers(content.get("MixedPrecision")):  # the scale of losses in float16
            kept["MixedPrecision"] = content["MixedPrecision"]
        tensorfile.check_finite(kept["state_dict"], f"the weights in {self.where}")
        moments = dict(_tensors(kept["optimizer_states"]))
        tensorfile.check_finite(moments, f"the numbers of the optimiser in {self.where}")
        return kept

    @contextlib.contextmanager
    def blamed(self) -> Iterator[None]:
        """Within, the parts of a training are made as this file says: what goes wrong there is told as its fault.

        Raises:
            UserError: naming the file, for whatever its configuration leads to.
        """
        try:
            yield
        except UserError as error:
            text = files.printable(error).replace("\n", " ")[:600]
            raise UserError(
                text if self.where in text else f"{self.where} cannot be set up as it was trained: {text}"
            ) from None
        except _FAILURES as error:  # kept as the cause, for the log
            raise UserError(f"{self.where} cannot be set up as it was trained ({_reason(error)})") from error


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """All values of a checkpoint of ours, checked (:func:`read`); tensors stay in the file until they are used."""
    return read(path).content


def located(path: str | Path) -> Path:
    """The file itself; of a training's run folder the last checkpoint in it.

    Raises:
        UserError: for a folder that holds none.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    last = path / CHECKPOINTS / LAST
    if not last.is_file():
        raise UserError(
            f"the folder '{files.printable(path)}' holds no {CHECKPOINTS}/{LAST}; give a checkpoint's file, or the run folder "
            "of a training that has kept one"
        )
    return last


def read(path: str | Path) -> Checkpoint:
    """The checkpoint in a file, or the last one in a training's run folder.

    Raises:
        UserError: naming the file, where there is none, it is no regular one, or it holds anything but what a training of this
            project writes: plain values and tensors, in their ranges.
    """
    path = located(path)
    where = f"'{files.printable(path)}'"
    try:
        inert = torch_files.look_over(path)
    except UserError as error:
        if "'mmengine." in str(error):  # a name that their trainings leave in every checkpoint
            raise UserError(f"{where} is a checkpoint of OpenMMLab's frameworks; {_taken_over()}") from None
        raise
    if not isinstance(inert, dict) or not isinstance(inert.get(KEY), dict) or "state_dict" not in inert:
        advice = f"; {_taken_over()}" if isinstance(inert, dict) and "state_dict" in inert else ""
        raise UserError(f"{where} is no checkpoint of a training of this project{advice}")
    own, options = read_own(inert[KEY], where)
    return Checkpoint(path, own, options, _shapes(inert["state_dict"], where), inert)


def _taken_over() -> str:
    return f"weights of mmsegmentation and mmdetection3d are taken over with: {runs.invocation('adopt')} weights=FILE"


def _shapes(weights: Any, where: str) -> dict[str, tuple[int, ...]]:
    if not isinstance(weights, dict) or not weights:
        raise UserError(f"{where} holds no weights")
    for key, value in weights.items():
        if not isinstance(key, str) or not isinstance(value, Shape):
            raise UserError(f"{where} holds {files.shown(value)} where a tensor belongs (weights {files.shown(key)})")
    return {key: value.sizes for key, value in weights.items()}


def _numbers(value: Any) -> bool:
    plain = isinstance(value, dict) and value
    return bool(plain) and all(isinstance(v, (int, float)) and math.isfinite(v) for v in value.values())


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a tree, with the way to each."""
    if isinstance(value, Tensor):
        yield name or "the first", value
    elif isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _tensors(item, f"{name}.{key}" if name else str(key))


def _reason(error: BaseException) -> str:
    lines = str(error).splitlines()
    return files.printable(lines[0].strip() if lines and lines[0] else type(error).__name__)[:200]
