"""Masks of a user: numbers, palettes or colours in a file -> classes, and what a set's masks hold.

What masks hold is counted once and kept in the cache, so that a set without a classes file is not read anew by each command.

Shape suffixes: H height, W width.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ncp.data import images, rasters
from ncp.data.base import IGNORE
from ncp.data.folder.classes import Entry, own_colour
from ncp.data.sealed import cache_folder, read_counts, stamp, write_counts
from ncp.errors import UserError
from ncp.files import printable

log = logging.getLogger(__name__)
SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".npy")
MOST_NUMBERS = 65_536
MOST_COLOURS = 64  # different colours that masks without a classes file may have
LISTED = 4  # in messages
_LAYOUT = 2  # of the cached counts
_CACHE_LIMIT = 2**28
_NOT_HERE = 254


@dataclass(frozen=True)
class Codes:
    """What a mask's file holds: ``(H, W)`` int32 numbers, or packed colours (``coloured``)."""

    numbers: Tensor
    coloured: bool


def read_codes(path: Path, by_colour: bool) -> Codes:
    """The numbers of a mask; colours as ``red << 16 | green << 8 | blue``.

    Args:
        path: of the file.
        by_colour: look palettes' numbers up, for classes that are told by their colours.

    Raises:
        UserError: naming the file, where it cannot be read or is no mask.
    """
    if path.suffix.lower() == ".npy":
        array = rasters.read_array(path)
        if (
            len(array) != 1
            or array.dtype.kind not in "uib"
            or (array.size and not 0 <= array.min() <= array.max() < 2**31)
        ):
            raise UserError(f"the mask '{printable(path)}' must hold whole numbers from 0 up, (height, width)")
        return Codes(torch.from_numpy(array[0].astype(np.int32)), False)
    found, palette = images.read_codes(path)
    if found.ndim == 3:
        return Codes(_packed(found), True)
    if by_colour and palette is not None:
        return Codes(_packed(palette[found.long()].permute(2, 0, 1)), True)
    return Codes(found, False)


def _packed(colours_3HW: Tensor) -> Tensor:
    red, green, blue = colours_3HW.int()
    packed: Tensor = red << 16 | green << 8 | blue
    return packed


class MaskMap:
    """Numbers or colours of masks -> classes 0..n-1, or 255 for what is not counted.

    Args:
        entries: of the classes file, or found in the masks.
        by_colour: the classes are told by their colours where a mask has any.
    """

    def __init__(self, entries: Sequence[Entry], by_colour: bool) -> None:
        self.entries, self.by_colour = tuple(entries), by_colour
        known: dict[int, int] = {}
        colours: dict[int, int] = {}
        label = 0
        for entry in entries:
            target = IGNORE if entry.ignored else label
            label += not entry.ignored
            known[entry.id] = target
            if entry.colour is not None:
                red, green, blue = entry.colour
                colours[red << 16 | green << 8 | blue] = target
        known.setdefault(IGNORE, IGNORE)
        self.table = torch.full((MOST_NUMBERS,), _NOT_HERE, dtype=torch.uint8)
        for number, target in known.items():
            self.table[number] = target
        self.colours = torch.tensor(sorted(colours), dtype=torch.int32)
        self.targets = torch.tensor([colours[key] for key in sorted(colours)], dtype=torch.uint8)

    def __call__(self, path: Path) -> Tensor:
        """``(H, W)`` uint8 classes.

        Raises:
            UserError: naming the file and the value that stands for no class.
        """
        codes = read_codes(path, self.by_colour)
        mapped, wrong = self.mapped(codes)
        if bool(wrong.any()):
            raise UserError(self.refusal(path, codes, wrong))
        return mapped

    def mapped(self, codes: Codes) -> tuple[Tensor, Tensor]:
        """Classes, and where there is none."""
        flat = codes.numbers.reshape(-1)
        if codes.coloured:
            if not len(self.colours):
                return torch.full_like(codes.numbers, IGNORE, dtype=torch.uint8), torch.ones_like(
                    codes.numbers, dtype=torch.bool
                )
            at = torch.searchsorted(self.colours, flat.contiguous()).clamp(max=len(self.colours) - 1)
            labels = torch.where(self.colours[at] == flat, self.targets[at], torch.tensor(_NOT_HERE, dtype=torch.uint8))
        else:
            inside = (flat >= 0) & (flat < MOST_NUMBERS)
            labels = torch.where(
                inside, self.table[flat.clamp(0, MOST_NUMBERS - 1).long()], torch.tensor(_NOT_HERE, dtype=torch.uint8)
            )
        mapped = labels.view(codes.numbers.shape)
        return mapped, mapped == _NOT_HERE

    def refusal(self, path: Path, codes: Codes, wrong: Tensor) -> str:
        """What is wrong with a mask."""
        value = int(codes.numbers[wrong][0])
        count = int(wrong.sum())
        if codes.coloured:
            if not len(self.colours):
                return (
                    f"the mask '{printable(path)}' is a picture of colours, and the classes file gives no colours; add a column "
                    "colour (#rrggbb)"
                )
            return (
                f"the mask '{printable(path)}' holds the colour #{value:06x} in {count:,} pixels, which no class has; "
                f"{len(self.colours)} colours are known: has the mask soft edges?"
            )
        ids = sorted(entry.id for entry in self.entries)
        allowed = f"{ids[0]} to {ids[-1]}" if ids == list(range(ids[0], ids[-1] + 1)) else ", ".join(map(str, ids[:12]))
        return (
            f"the mask '{printable(path)}' holds the number {value} in {count:,} pixels; the classes have {allowed}, and "
            f"{IGNORE} is ignored; correct it, or name the number in the classes file"
        )


@dataclass(frozen=True)
class Held:
    """What some masks hold: pixels by number or colour, over all, and the masks in which each occurs."""

    coloured: bool
    pixels: Counter[int]
    masks: Counter[int]
    mixed: bool = False  # some hold numbers and some colours
    refused: tuple[str, ...] = ()  # what is wrong with those that could not be counted


Count = tuple[bool, dict[int, int]]


def count(path: Path) -> Count:
    """Whether a mask holds colours, and how many pixels have each number. Raises ``UserError`` for what is no mask."""
    codes = read_codes(path, by_colour=False)
    values, counts = np.unique(codes.numbers.numpy(), return_counts=True)
    if len(values) > 4096:
        raise UserError(
            f"the mask '{printable(path)}' holds {len(values):,} different {'colours' if codes.coloured else 'numbers'}; a mask "
            "has one for each class (is it the photograph, or a compressed picture?)"
        )
    return codes.coloured, dict(zip(values.tolist(), counts.tolist(), strict=True))


def held(paths: Sequence[Path], cache: str | None, tell: Callable[[float, str], None] | None = None) -> Held:
    """What masks hold, counted anew or read from the cache.

    Args:
        paths: of the masks.
        cache: folder; None: the user's cache folder. The file's name depends on the masks' names, sizes and dates.
        tell: is told how far it is.
    """
    digest = hashlib.sha256(b"%d" % _LAYOUT)
    for path in paths:
        digest.update(stamp(path))
    target = cache_folder(cache) / f"masks-{digest.hexdigest()[:16]}.json"
    if target.is_file():
        try:
            kind = tuple[bool, bool, dict[str, int], dict[str, int]]
            coloured, mixed, pixels, masks = read_counts(target, kind, _CACHE_LIMIT)
            return Held(coloured, _counter(pixels), _counter(masks), mixed)
        except (UserError, ValueError):
            log.info("the counts of the masks in '%s' are damaged and are made anew", printable(target))
    pixels, masks, kinds = Counter[int](), Counter[int](), Counter[bool]()
    refused = []
    for number, path in enumerate(paths):
        try:
            coloured, found = count(path)
        except UserError as error:
            refused.append(str(error))
            continue
        kinds[coloured] += 1
        pixels.update(found)
        masks.update(list(found))
        if tell is not None:
            tell((number + 1) / len(paths), f"{number + 1:,} masks")
    coloured = kinds.most_common(1)[0][0] if kinds else False
    out = Held(coloured, pixels, masks, len(kinds) > 1, tuple(refused))
    if refused:
        return out
    try:
        write_counts(target, [out.coloured, out.mixed, pixels, masks])
    except OSError:
        log.info("what the masks hold cannot be kept in '%s'; set data.cache", printable(target.parent))
    return out


def _counter(content: dict[str, int]) -> Counter[int]:
    return Counter({int(key): value for key, value in content.items()})


def entries_of(found: Held) -> tuple[Entry, ...]:
    """Classes of masks that come without a classes file: one for each number (255 is ignored) or colour that occurs.

    Raises:
        UserError: where these cannot be classes.
    """
    if found.mixed:
        raise UserError(
            "some masks hold colours and others numbers; save all of them alike, or give a classes file with both"
        )
    values = sorted(value for value in found.pixels if found.coloured or value != IGNORE)
    what = "colours" if found.coloured else "numbers"
    most = MOST_COLOURS if found.coloured else 254
    if len(values) > most:
        raise UserError(
            f"the masks hold {len(values):,} different {what}, too many for classes; give a classes file (data.classes_file), or "
            "save masks without soft edges"
        )
    if len(values) < 2:
        shown = ", ".join(f"#{v:06x}" if found.coloured else str(v) for v in values) or "nothing but 255"
        raise UserError(
            f"the masks hold one class alone ({shown}); at least two are needed: is the background labelled?"
        )
    if found.coloured:
        return tuple(
            Entry(i, f"colour {value:06x}", (value >> 16, value >> 8 & 255, value & 255))
            for i, value in enumerate(values)
        )
    return tuple(Entry(value, f"class {value}", own_colour(i)) for i, value in enumerate(values))
