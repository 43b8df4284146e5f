"""Our part of a checkpoint: what it must be, and the bounds within which the configuration in it is believed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from ncp import files
from ncp.benchmark.inert import Shape
from ncp.card import Side, Use
from ncp.errors import UserError
from ncp.models.backbone import MAX_CHANNELS
from ncp.models.heads import MAX_CLASSES
from ncp.tasks import bounds
from ncp.tasks.options import TrainOptions

KEY = "ncp"
"""Our part of a checkpoint."""
_TEXT = 4_000  # characters of a text in a configuration

Channels = Annotated[list[float], Meta(min_length=1, max_length=MAX_CHANNELS)]
Count = Annotated[int, Meta(ge=0, le=2**62)]


class OwnInput(Struct):
    """What a network reads: channels, height and width, mean and deviation by channel."""

    channels: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]
    size: tuple[Side, Side]
    mean: Channels
    std: Channels


class Place(Struct):
    """Where in a training a checkpoint was written (:class:`ncp.tasks.position.Position`)."""

    step: Annotated[int, Meta(ge=0, le=10**9)]
    samples: Count
    batch: Annotated[int, Meta(ge=1, le=bounds.WHOLE)]
    set: Annotated[int, Meta(ge=1, le=2**62)]


class Own(Struct):
    """Our part of a checkpoint; earlier versions lacked ``input``, ``use``, ``position``, ``latest`` and ``at``."""

    architecture: Annotated[str, Meta(min_length=1, max_length=1000)]
    task: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,40}\Z")]
    classes: Annotated[list[Annotated[str, Meta(max_length=1000)]], Meta(min_length=1, max_length=MAX_CLASSES)]
    step: Annotated[int, Meta(ge=0, le=10**9)]
    config: dict[str, Any]
    input: OwnInput | UnsetType = UNSET
    use: Use | UnsetType = UNSET
    position: Place | UnsetType = UNSET
    latest: dict[str, float | None] = {}
    at: Annotated[int, Meta(ge=-1, le=10**9)] = -1


def read_own(content: Mapping[str, Any], where: str) -> tuple[Own, TrainOptions]:
    """Our part, checked, and the options of the training.

    Args:
        content: plain values, with a :class:`Shape` for every tensor.
        where: the file, for messages.

    Raises:
        UserError: naming the file and the value that is missing, of another type or out of range.
    """
    mine = dict(content)
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
    return own, _options(own.config, where)


def _options(config: Mapping[str, Any], where: str) -> TrainOptions:
    """The options of the training; earlier versions kept more keys, and the whole setting instead of its name."""
    known = {f.name for f in fields(TrainOptions)}
    kept = {key: value for key, value in config.items() if key in known}
    if isinstance(kept.get("setting"), Mapping):
        kept["setting"] = kept["setting"].get("name")
    data = kept.get("data")
    for excess in (*bounds.excesses(kept), *(bounds.data_excesses(data) if isinstance(data, Mapping) else ())):
        raise UserError(
            f"{where} cannot be used: its configuration holds {files.shown(excess.value)}; at most {excess.most:,} is read"
        )
    options: TrainOptions = files.checked(kept, TrainOptions, f"the configuration in {where}")
    return options


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
