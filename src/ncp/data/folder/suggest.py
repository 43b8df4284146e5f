"""What a data set's look suggests: options of its data and recipe, each with its reason."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ncp.data.folder.files import OwnData
from ncp.data.folder.look import RARE, UNEVEN, Look
from ncp.data.folder.splits import Rule
from ncp.numeric import several

WINDOW = 512  # pixels, of a training window and its image at most
SHORT = 1024  # shorter side from which on images are resized first
SEEDS = 64  # of the split that are tried
_STEP = 32  # pixels: sides are multiples
_MOST_WEIGHT, _LEAST_WEIGHT = 5.0, 0.2
_INSIDE = 0.98  # of the labelled boxes within the range
_MARGIN = 2.0  # metres around labelled boxes


@dataclass
class Suggestion:
    """Options that differ from the defaults, and why.

    Attributes:
        data, recipe: key -> value.
        why: a line each.
    """

    data: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    why: list[str] = field(default_factory=list)


def suggest(data: OwnData, found: Look, recipe: Mapping[str, Any], given: Collection[str] = ()) -> Suggestion:
    """For a set that was looked over.

    Args:
        data, found: the set, and what was found.
        recipe: the one that it would have.
        given: keys that the user chose (``data.size``, ``recipe.batch``): nothing else is suggested for them.
    """
    out = Suggestion()
    if not found.total or not found.classes or found.problems:
        return out
    {"cls": _cls, "seg": _seg, "video": _video, "det3d": _det3d}[found.task](data, found, out)
    _leave(given, out)
    _length(found, {**recipe, **out.recipe}, out)
    if found.task in ("cls", "seg", "video"):
        _weights(found, out)
    _leave(given, out)
    return out


def _leave(given: Collection[str], out: Suggestion) -> None:
    """Take back what is suggested for keys that the user chose."""
    for part, values in (("data", out.data), ("recipe", out.recipe)):
        for key in [key for key in values if f"{part}.{key}" in given]:
            del values[key]
            out.why = [line for line in out.why if not re.match(rf"{part}\.{key}\b", line)]


def _batch(found: Look, out: Suggestion, default: int, large: int | None = None) -> None:
    """A power of two: the default one, less for a set that has not four batches of it, ``large`` for a large set."""
    number = found.files["train"]
    batch = large if large is not None and number >= 200 * large else default
    while batch > 4 and number < 4 * batch:
        batch //= 2
    out.recipe["batch"] = batch
    what = "training image" if found.task in ("cls", "seg") else "training sample"
    out.why.append(f"recipe.batch={batch}: {several(number, what)}")


def _length(found: Look, recipe: Mapping[str, Any], out: Suggestion) -> None:
    batch, number = int(recipe["batch"]), found.files["train"]
    if recipe.get("unit") != "epochs" or not number:
        return
    steps = math.ceil(float(recipe["length"]) * number / batch)
    bounded = min(max(steps, int(recipe.get("least_steps") or 0)), int(recipe.get("most_steps") or steps))
    passes = bounded * batch / number
    bound = "" if bounded == steps else ", the recipe's least" if bounded > steps else ", the recipe's most"
    out.why.append(
        f"length: {bounded:,} steps{bound}, {several(round(passes), 'pass', 'passes')} over the training set "
        "(recipe.least_steps, recipe.most_steps)"
    )


def _weights(found: Look, out: Suggestion) -> None:
    """Weights by the root of the rarity, so that the mean weight of a sample stays 1."""
    shares = np.array([found.shares.get(name, 0.0) for name in found.classes])
    known = shares > 0
    if known.sum() < 2:
        return
    ratio = float(shares[known].max() / shares[known].min())
    rare = found.task == "seg" and shares[known].min() * len(shares) < RARE
    if not rare and (found.task == "seg" or ratio < UNEVEN):
        least = f"the rarest has {shares[known].min():.1%} of the pixels; weights are for less than {RARE / len(shares):.1%}"
        even = f"the commonest class has {ratio:.1f} times the rarest one's share; weights are for {UNEVEN:g} times or more"
        out.why.append(f"no class weights: {least if found.task == 'seg' else even}")
        return
    weights = np.where(known, 1 / np.sqrt(np.where(known, shares, 1.0)), 1.0)
    weights /= (weights * shares).sum()
    weights = np.clip(weights, _LEAST_WEIGHT, _MOST_WEIGHT)
    weights /= (weights * shares).sum()
    out.recipe["class_weights"] = [round(float(weight), 3) for weight in weights]
    out.why.append(
        f"recipe.class_weights: the commonest class has {ratio:,.0f} times the rarest one's share; weights by the root of it, "
        f"{weights.min():.2f} to {weights.max():.2f}"
    )


def _multiple(side: float, most: int, step: int = _STEP) -> int:
    return int(min(most, max(step, side // step * step)))


def _reading(found: Look, out: Suggestion) -> None:
    how = found.facts.get("reading")
    if how:
        out.data.update(how)
        out.why.append(
            f"data.channels={how['channels']}, low and high (what becomes 0 and 255), mean and deviation: measured, as the "
            "images are no RGB photographs"
        )


def _cls(data: Any, found: Look, out: Suggestion) -> None:
    side = min(found.middle())
    size = 224 if side >= 192 else _multiple(side + _STEP - 1, 224)
    out.data["size"] = size
    out.why.append(f"data.size={size}: half of the images have a shorter side of {side} pixels or more")
    _reading(found, out)
    _batch(found, out, 32, 64)


def _seg(data: Any, found: Look, out: Suggestion) -> None:
    height, width = found.middle()
    if not height:
        return
    if min(height, width) >= 1.5 * SHORT:
        zoom = SHORT / min(height, width)
        out.data["short"] = SHORT
        out.why.append(
            f"data.short={SHORT}: images of {height}x{width} pixels are resized first, so that a window sees enough of one"
        )
        height, width = round(height * zoom), round(width * zoom)
    crop = [_multiple(height, WINDOW), _multiple(width, WINDOW)]
    out.data["crop"] = crop
    out.why.append(f"data.crop={crop}: images of {height}x{width} pixels (the median), windows of {WINDOW} at most")
    if len(found.sizes) == 1 and height * width <= 2**20 and found.files["val"] >= 4:
        out.data["eval_batch"] = 4
        out.why.append("data.eval_batch=4: all images that were read have one size")
    _reading(found, out)
    _batch(found, out, 8)
    _seed(data, found, out)


def _seed(data: Any, found: Look, out: Suggestion) -> None:
    """Another seed of the split where a class is in one part alone."""
    presence, names = found.measured.get("presence"), found.measured.get("names")
    if (
        presence is None
        or names is None
        or found.looked != found.files
        or not any("drawn by" in n for n in found.notes)
    ):
        return
    groups = found.measured["groups"]

    def lacking(seed: int) -> int:
        val_N = Rule(data.rule.share, seed).validating(names.tolist(), groups)
        often_K = presence.sum(0) > 1
        return int((often_K & ~(presence[val_N].any(0) & presence[~val_N].any(0))).sum())

    own = lacking(data.rule.seed)
    if not own:
        return
    best = min(range(SEEDS), key=lambda seed: (lacking(seed), seed))
    if lacking(best) < own:
        out.data["split_seed"] = best
        out.why.append(
            f"data.split_seed={best}: in one split alone {'is' if own == 1 else 'are'} {several(own, 'class', 'classes')} with "
            f"{data.rule.seed}, {lacking(best)} with this one"
        )


def _video(data: Any, found: Look, out: Suggestion) -> None:
    side, frames = min(found.middle()), int(np.median(found.measured["frames"])) if "frames" in found.measured else 0
    size = _multiple(side, 112, 16) if side else 112
    out.data["size"] = size
    out.why.append(f"data.size={size}: frames have a shorter side of {side} pixels")
    if frames:
        count = min(8, max(2, frames))
        out.data["frames"] = count
        out.why.append(
            f"data.frames={count} of equal parts (data.sampling=segments): videos have {frames} frames (the median)"
        )
    _batch(found, out, 16)


def _det3d(data: Any, found: Look, out: Suggestion) -> None:
    boxes = found.measured.get("boxes")
    if boxes is None or not len(boxes):
        return
    limits, pillar = np.array(data.limits), data.pillar
    inside = ((boxes[:, :2] >= limits[:2]) & (boxes[:, :2] < limits[3:5])).all(1).mean()
    reach = np.percentile(boxes[:, 0], [0.5, 99.5]), np.abs(np.percentile(boxes[:, 1], [0.5, 99.5])).max()
    far, wide = float(reach[0][1]) + _MARGIN, float(reach[1]) + _MARGIN
    if inside < _INSIDE or far < 0.5 * limits[3]:
        near = 0.0 if reach[0][0] >= 0 else -_grid(-float(reach[0][0]) + _MARGIN, pillar)
        low = float(np.percentile(boxes[:, 2] - boxes[:, 5] / 2, 0.5)) - 1.0
        high = float(np.percentile(boxes[:, 2] + boxes[:, 5] / 2, 99.5)) + 1.0
        made = [
            near,
            -_grid(wide, pillar),
            round(low, 1),
            near + _grid(far - near, pillar),
            _grid(wide, pillar),
            round(high, 1),
        ]
        out.data["limits"] = [round(side, 6) for side in made]
        out.why.append(
            f"data.limits={out.data['limits']}: {inside:.0%} of the labelled boxes lie within {list(data.limits)}; the farthest "
            f"are {far - _MARGIN:.0f} m ahead and {wide - _MARGIN:.0f} m aside"
        )
    else:
        out.why.append(f"data.limits as they are: {inside:.1%} of the labelled boxes lie within")
    out.data.update(classes=list(found.classes), anchors=data.resolved()["anchors"])
    out.why.append("data.anchors: sizes and bottoms from the labels")
    _batch(found, out, 4)


def _grid(side: float, pillar: float) -> float:
    """A length of whole 16 pillars."""
    return math.ceil(side / (16 * pillar)) * 16 * pillar


def metrics_of(task: str, told: Sequence[str] = ()) -> list[str]:
    """What a setting of the task measures, the main metric first."""
    return {"cls": ["top1", "top5"], "seg": ["mIoU", "mAcc", "aAcc"], "video": ["top1", "top5"]}.get(task, list(told))
