"""A training's checkpoint as the rest of the project sees it: every value in it was checked before anybody uses it.

A checkpoint may come from elsewhere. Reading one goes in three steps: the file is looked over without torch
(:mod:`ncp.tasks.archive`, :mod:`ncp.tasks.inert`), our own part and the names and shapes of the weights are held against what
they must be, and only where numbers are wanted torch reads them, with ``weights_only=True``. The configuration in it stays plain
text: what looks like a reference (``${...}``) is never resolved, and a class that it names must be one of ours or of the user's
(:mod:`ncp.registry`).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import pytorch_lightning as pl
import torch
from msgspec import UNSET, Meta, Struct, UnsetType
from torch import Tensor

from ncp import files, tensorfile
from ncp.errors import UserError
from ncp.models.backbone import MAX_CHANNELS
from ncp.models.heads import MAX_CLASSES
from ncp.tasks import archive
from ncp.tasks.inert import Shape
from ncp.tasks.options import TrainOptions

KEY = "ncp"
"""Our part of a checkpoint."""
LARGEST = 10_000_000  # whole number in a configuration, less its seed
LONGEST = 16_384  # side of an input, in pixels
MOST = {
    **{"workers": 256, "eval_batch": 65_536, "size": LONGEST, "crop": LONGEST, "eval_size": LONGEST},
    **dict.fromkeys(("scenes", "val_scenes", "videos", "val_videos"), 20_000),  # which are drawn
}  # of the data
_ANY = ("seed", "macs")  # endings of keys whose numbers may be of any size
_PREFIX = "network."
_TEXT = 4_000  # characters of a text in a configuration
_FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)

Side = Annotated[int, Meta(ge=1, le=LONGEST)]
Channels = Annotated[list[float], Meta(min_length=1, max_length=MAX_CHANNELS)]
Count = Annotated[int, Meta(ge=0, le=2**62)]


class Input(Struct):
    """What a network reads: channels, height and width, mean and deviation by channel."""

    channels: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]
    size: tuple[Side, Side]
    mean: Channels
    std: Channels


class Place(Struct):
    """Where in a training a checkpoint was written (:class:`ncp.tasks.position.Position`)."""

    step: Annotated[int, Meta(ge=0, le=10**9)]
    samples: Count
    batch: Annotated[int, Meta(ge=1, le=LARGEST)]
    set: Annotated[int, Meta(ge=1, le=2**62)]


class Own(Struct):
    """Our part of a checkpoint; earlier versions lacked ``input``, ``position``, ``latest`` and ``at``."""

    architecture: Annotated[str, Meta(min_length=1, max_length=1000)]
    task: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,40}\Z")]
    classes: Annotated[list[Annotated[str, Meta(max_length=1000)]], Meta(min_length=1, max_length=MAX_CLASSES)]
    step: Annotated[int, Meta(ge=0, le=10**9)]
    config: dict[str, Any]
    input: Input | UnsetType = UNSET
    position: Place | UnsetType = UNSET
    latest: dict[str, float | None] = {}
    at: Annotated[int, Meta(ge=-1, le=10**9)] = -1


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
        wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        tensorfile.check_shapes(self.network_shapes, wanted, f"the weights in {self.where} do not fit its architecture")

    def for_lightning(self) -> dict[str, Any]:
        """What a training needs to go on: weights, the optimiser's state and our part; Lightning's own bookkeeping is left out,
        which :meth:`ncp.tasks.base.Task.on_load_checkpoint` makes anew.

        Raises:
            UserError: where torch refuses the file, or a number is not finite.
        """
        content = self._load(mmap=False)
        kept: dict[str, Any] = {
            **{"epoch": 0, "global_step": self.own.step, "pytorch-lightning_version": pl.__version__},
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


def read(path: str | Path) -> Checkpoint:
    """The checkpoint in a file.

    Raises:
        UserError: naming the file, where there is none, it is no regular one, or it holds anything but what a training of this
            project writes: plain values and tensors, in their ranges.
    """
    path = Path(path)
    where = f"'{files.printable(path)}'"
    inert = archive.look_over(path)
    if not isinstance(inert, dict) or not isinstance(inert.get(KEY), dict) or "state_dict" not in inert:
        raise UserError(f"{where} is no checkpoint of a training of this project")
    mine = dict(inert[KEY])
    if isinstance(mine.get("latest"), dict):  # what could not be measured was NaN in earlier versions
        mine["latest"] = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in mine["latest"].items()
        }
    _check_plain(mine, where)
    own: Own = files.checked(mine, Own, where)
    if own.position is not UNSET and own.position.step != own.step:
        raise UserError(f"{where} names two steps, {own.step} and {own.position.step}")
    if own.input is not UNSET and not len(own.input.mean) == len(own.input.std):
        raise UserError(f"{where} names {len(own.input.mean)} means and {len(own.input.std)} deviations of its input")
    return Checkpoint(path, own, _options(own.config, where), _shapes(inert["state_dict"], where), inert)


def _shapes(weights: Any, where: str) -> dict[str, tuple[int, ...]]:
    if not isinstance(weights, dict) or not weights:
        raise UserError(f"{where} holds no weights")
    for key, value in weights.items():
        if not isinstance(key, str) or not isinstance(value, Shape):
            raise UserError(f"{where} holds {files.shown(value)} where a tensor belongs (weights {files.shown(key)})")
    return {key: value.sizes for key, value in weights.items()}


def _options(config: Mapping[str, Any], where: str) -> TrainOptions:
    """The options of the training; earlier versions kept more keys, and the whole setting instead of its name."""
    known = {f.name for f in fields(TrainOptions)}
    kept = {key: value for key, value in config.items() if key in known}
    if isinstance(kept.get("setting"), Mapping):
        kept["setting"] = kept["setting"].get("name")
    _check_moderate(kept, LARGEST, where)
    data = kept.get("data")
    for key, value in data.items() if isinstance(data, Mapping) else ():
        if not key.endswith(_ANY):
            _check_moderate(value, LONGEST if isinstance(value, (list, tuple)) else MOST.get(key, LARGEST), where)
    options: TrainOptions = files.checked(kept, TrainOptions, f"the configuration in {where}")
    return options


def _check_moderate(value: Any, most: int, where: str) -> None:
    """Raise ``UserError`` for a whole number beyond ``most``: a few digits must not ask for all memory or for years."""
    if isinstance(value, int) and abs(value) > most:
        raise UserError(
            f"{where} cannot be used: its configuration holds {files.shown(value)}; at most {most:,} is read"
        )
    if isinstance(value, Mapping):
        value = [item for key, item in value.items() if not key.endswith(_ANY)]
    for item in value if isinstance(value, (list, tuple)) else ():
        _check_moderate(item, most, where)


def _check_plain(value: Any, where: str) -> None:
    """Raise ``UserError`` unless a tree holds nothing but texts of moderate length, finite numbers, and keys that are texts."""
    if isinstance(value, Shape) or (isinstance(value, float) and not math.isfinite(value)):
        given = "a tensor" if isinstance(value, Shape) else value
        raise UserError(f"{where} holds {given} where a plain, finite value belongs")
    if isinstance(value, str) and len(value) > _TEXT:
        raise UserError(f"{where} holds a text of {len(value):,} characters in its configuration")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise UserError(f"{where} has {files.shown(key)} as a key; keys are texts")
            _check_plain(key, where)
            _check_plain(item, where)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_plain(item, where)


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
