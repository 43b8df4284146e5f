"""Which architectures a build trains: a sample of the space, the released ones, or those of a file.

Shape suffixes: N architectures, D dimensions of the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ncp import files, spaces
from ncp.benchmark.settings import Setting
from ncp.campaign.options import BuildOptions
from ncp.errors import UserError
from ncp.numeric import several
from ncp.spaces.onehot import OneHotSpace

MAX_COUNT = 1_000_000
LIMIT = 256 * 2**20  # bytes of a list of so many
CHUNK = 64  # architectures drawn at a time, so that a larger sample begins with the smaller one
SOURCES = ("sample", "release", "a file that lists them")


def choose(options: BuildOptions, setting: Setting) -> np.ndarray:
    """``(N, D)`` codes without repeats, at most ``count``.

    Args:
        options: their ``count``, ``bounds``, ``seed`` and ``build.architectures``.
        setting: whose space it is.

    Raises:
        UserError: for a count, bounds or a source that cannot be used.
    """
    count, bounds = options.count, options.bounds
    if count is not None and not 1 <= count <= MAX_COUNT:
        raise UserError(f"count must be within 1..{MAX_COUNT:,}, given was {count}")
    source, space = options.build.architectures, spaces.get(setting.space)
    if source == "sample":
        if count is None:
            raise UserError("how many architectures? give count=2500, as the paper has")
        return sample(space, count, options.seed, bounds)
    if bounds:
        raise UserError(f"bounds is for build.architectures=sample, given was '{source}'")
    if source == "release":
        from ncp import benchmark

        codes = benchmark.load(setting.name).codes
    else:
        codes = _listed(source, space)
    _, first = np.unique(codes, axis=0, return_index=True)
    return np.asarray(codes[np.sort(first)][:count])


def sample(space: spaces.Space[Any], count: int, seed: int, bounds: Mapping[str, Any]) -> np.ndarray:
    """``(count, D)`` different codes, drawn uniformly within ``bounds``.

    ``bounds``: a label, or how labels begin, such as ``c`` -> ``[lower, upper]``.

    A larger count with the same seed begins with the same codes.
    """
    lower, upper = limits(space, bounds)
    rng = np.random.default_rng(seed)
    check_enough(space, lower, upper, count)
    steps = np.floor((upper - lower) / space.step).astype(np.int64) + 1
    found: dict[tuple[int, ...], None] = {}
    for _ in range(100 * (count // CHUNK + 1)):
        if bounds and not isinstance(space, OneHotSpace):
            drawn = lower + space.step * (rng.random((CHUNK, space.dim)) * steps).astype(np.int64)
            codes = [code for code in drawn.astype(np.int64) if np.array_equal(space.round(code[None])[0], code)]
        else:
            codes = [np.array(architecture.code) for architecture in space.sample(CHUNK, rng)]
            codes = [code for code in codes if ((code >= lower) & (code <= upper)).all()]
        for code in codes:
            if len(found) < count:
                found.setdefault(tuple(code.tolist()))
        if len(found) == count:
            return np.array(list(found), dtype=np.int64)
    within = (
        f"within the bounds, {len(found)} were found; widen them"
        if bounds
        else f"of the {len(found):,} of {space.name}"
    )
    raise UserError(f"could not draw {count} different architectures {within}")


def exact_limits(given: Mapping[str, Any] | None) -> dict[str, float]:
    """The limits of exact cost. Raises ``UserError`` for what is no number, or no exact cost."""
    from ncp.search.limits import parse_costs

    out: dict[str, float] = parse_costs(given)
    if other := next((name for name in out if name not in ("macs", "params")), None):
        raise UserError(
            f"what is trained is limited by budget.macs and budget.params; budget.{other} is for src.search"
        )
    return out


def check_enough(space: spaces.Space[Any], lower: np.ndarray, upper: np.ndarray, count: int) -> None:
    """Raise ``UserError`` where there are not ``count`` different architectures between bounds ``(D,)``."""
    most = float(np.prod(np.floor((upper - lower) / space.step) + 1))
    if count > most:
        there = f"{'is' if most == 1 else 'are'} only {several(round(most), 'architecture')}"
        raise UserError(f"within bounds there {there}, given was count={count}; widen them")


def limits(space: spaces.Space[Any], bounds: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds ``(D,)`` of a sample. Raises ``UserError`` for bounds that are none of the space."""
    lower, upper = space.lower.copy(), space.upper.copy()
    for pattern, given in bounds.items():
        exact = [i for i, label in enumerate(space.labels) if label == str(pattern)]
        where = exact or [i for i, label in enumerate(space.labels) if label.startswith(str(pattern))]
        if not where:
            raise UserError(
                f"bounds: no dimension is called '{pattern}' or begins so; dimensions: {', '.join(space.labels)}"
            )
        try:
            low, high = (float(value) for value in given)
        except (TypeError, ValueError):
            raise UserError(f"bounds.{pattern} is [lower, upper], given was {given!r}") from None
        for i in where:
            on_grid = all((value - space.lower[i]) % space.step[i] == 0 for value in (low, high))
            if not (space.lower[i] <= low <= high <= space.upper[i] and on_grid):
                raise UserError(
                    f"bounds.{pattern} must be within {space.lower[i]:g}..{space.upper[i]:g} in steps of "
                    f"{space.step[i]:g}, given was [{low:g}, {high:g}]"
                )
            lower[i], upper[i] = low, high
    return lower, upper


def _listed(source: str, space: spaces.Space[Any]) -> np.ndarray:
    """The architectures of a text file, one a line, or of any table that ``ncp.benchmark`` reads."""
    path = Path(source).expanduser()
    if not path.is_file():
        raise UserError(f"build.architectures must be one of {', '.join(SOURCES)}; there is no file '{source}'")
    if path.suffix in (".parquet", ".csv", ".pkl"):
        from ncp import benchmark

        table = benchmark.load(path)
        if table.setting.space != space.name:
            raise UserError(f"'{source}' is of the space {table.setting.space}, this setting's is {space.name}")
        return np.asarray(table.codes)
    codes = []
    for number, line in enumerate(files.read_text(path, LIMIT).splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                codes.append(space.parse(text).code)
            except UserError as error:
                raise UserError(f"'{source}', line {number}: {error}") from None
    if not codes:
        raise UserError(f"'{source}' lists no architecture; it should hold one a line")
    return np.array(codes, dtype=np.int64)


def macs(setting: Setting, codes_ND: np.ndarray, training: Mapping[str, Any]) -> np.ndarray:
    """``(N,)`` exact multiply-adds at the training's own size; the space's standard ones where that is not known here."""
    if setting.space != "multires":
        return np.asarray(spaces.get(setting.space).cost(codes_ND).macs)
    from ncp.models.setups import SETUPS
    from ncp.spaces import cost

    data = training.get("data") or {}
    size = data.get("crop") or data.get("size")
    if setting.task == "det3d":
        return np.asarray(cost.bev(codes_ND).macs)
    sides = (size, size) if isinstance(size, int) else tuple(int(side) for side in size or (128, 128))
    if setting.task == "video":
        frames = int(data.get("frames") or 8)
        return np.asarray(cost.video(codes_ND, size=(sides[0], sides[1]), frames=frames).macs)
    head = SETUPS[setting.task].head if setting.task in SETUPS else "segmentation"
    channels = int(data.get("channels") or 3)
    return np.asarray(cost.count(codes_ND, size=(sides[0], sides[1]), head=head, in_channels=channels).macs)
