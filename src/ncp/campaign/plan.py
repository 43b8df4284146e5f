"""What a build trains: a pure function of the configuration, published once and verified by every worker.

Shape suffixes: N architectures, D dimensions of the code.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ncp import spaces
from ncp.benchmark import settings
from ncp.benchmark.settings import Setting
from ncp.campaign.options import BuildOptions
from ncp.campaign.store import Store
from ncp.errors import UserError

FORMAT = "ncp-plan-1"
FILE = "plan.json"
MAX_COUNT = 1_000_000
CHUNK = 64  # architectures drawn at a time, so that a larger sample begins with the smaller one
# what of a configuration decides about a training's result: these parts, and of them not where files lie or what runs them
TRAINING = ("task", "data", "recipe", "model", "pretrained", "compile", "trainer")
MOVABLE = {
    "data": ("root", "cache", "workers", "eval_batch"),
    "trainer": ("accelerator", "devices", "num_nodes", "strategy"),
}
SOURCES = ("sample", "release", "a file that lists them")


@dataclass(frozen=True)
class Plan:
    """Which architectures are trained, and how.

    Attributes:
        setting: the setting's name.
        architectures: their texts, without repeats; unit ``i`` is the training of ``architectures[i]``.
        macs: exact multiply-adds of a training input, by which work is divided.
        training: the part of the configuration that decides about results.
        seed: of the sample and of every training.
    """

    setting: str
    architectures: tuple[str, ...]
    macs: tuple[int, ...]
    training: Mapping[str, Any]
    seed: int

    def __len__(self) -> int:
        return len(self.architectures)

    @cached_property
    def content(self) -> bytes:
        """The plan as it is published."""
        fields = {
            "format": FORMAT,
            "setting": self.setting,
            "seed": self.seed,
            "training": self.training,
            "architectures": list(self.architectures),
            "macs": list(self.macs),
        }
        return (json.dumps(fields, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()

    @cached_property
    def hash(self) -> str:
        """8 hexadecimal digits of the content: two plans are equal when these are."""
        return hashlib.sha256(self.content).hexdigest()[:8]

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Names of the units, ``000000`` ..."""
        return tuple(f"{i:06d}" for i in range(len(self)))

    def shards(self, number: int) -> list[list[int]]:
        """Divide the units into ``number`` lists of about equal cost, each with its dearest first.

        The dearest unit that is left goes to the shard that has least so far (longest processing time first): no shard costs
        more than 4/3 of the best possible division. Disjoint and complete; the same for the same plan and number.

        Raises:
            UserError: for a number of shards under 1.
        """
        if number < 1:
            raise UserError(f"the number of shards must be at least 1, given was {number}")
        out: list[list[int]] = [[] for _ in range(number)]
        loads = [(0, shard) for shard in range(number)]
        for unit in sorted(range(len(self)), key=lambda i: (-self.macs[i], i)):
            load, shard = heapq.heappop(loads)
            out[shard].append(unit)
            heapq.heappush(loads, (load + self.macs[unit], shard))
        return out


def make(options: BuildOptions) -> Plan:
    """The plan of a build's options.

    Raises:
        UserError: for an unknown setting, a count or a source of architectures that cannot be used.
    """
    setting = settings.get(str(options.setting))
    training = {key: _without(getattr(options, key), MOVABLE.get(key, ())) for key in TRAINING}
    codes_ND = _choose(options, setting)
    space = spaces.get(setting.space)
    texts = tuple(architecture.text for architecture in space.decode(codes_ND))
    macs = _macs(setting, space, codes_ND, training)
    return Plan(
        setting.name, texts, tuple(int(value) for value in macs), json.loads(json.dumps(training)), options.seed
    )


def publish(plan: Plan, store: Store) -> None:
    """Write the plan, or verify that the one there is the same.

    Raises:
        UserError: where the folder holds another plan, saying what differs.
    """
    if store.create(FILE, plan.content):
        return
    there = store.read(FILE)
    if there != plan.content:
        raise UserError(f"build.dir holds another plan ({_difference(there, plan)}); give another build.dir or none")


def read(store: Store) -> Plan:
    """The published plan.

    Raises:
        UserError: where there is none, or it is not of this format.
    """
    content = store.read(FILE)
    if content is None:
        raise UserError(
            f"there is no build in this folder (no {FILE}); give build.dir=<its folder>, or its configuration"
        )
    try:
        fields = json.loads(content)
        if fields["format"] != FORMAT:
            raise KeyError("format")
        plan = Plan(
            fields["setting"], tuple(fields["architectures"]), tuple(fields["macs"]), fields["training"], fields["seed"]
        )
    except (ValueError, KeyError, TypeError):
        raise UserError(f"the {FILE} of this build is damaged or not of the format {FORMAT}") from None
    return plan


def _choose(options: BuildOptions, setting: Setting) -> np.ndarray:
    """``(N, D)`` codes without repeats, at most ``count``."""
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
    lower, upper = _limits(space, bounds)
    rng = np.random.default_rng(seed)
    steps = np.floor((upper - lower) / space.step).astype(np.int64) + 1
    most = float(np.prod(steps.astype(np.float64)))
    if count > most:
        raise UserError(f"within bounds there are only {most:.0f} architectures, given was count={count}")
    found: dict[tuple[int, ...], None] = {}
    for _ in range(100 * (count // CHUNK + 1)):
        if bounds:
            drawn = lower + space.step * (rng.random((CHUNK, space.dim)) * steps).astype(np.int64)
            codes = [code for code in drawn.astype(np.int64) if np.array_equal(space.round(code[None])[0], code)]
        else:
            codes = [np.array(architecture.code) for architecture in space.sample(CHUNK, rng)]
        for code in codes:
            if len(found) < count:
                found.setdefault(tuple(code.tolist()))
        if len(found) == count:
            return np.array(list(found), dtype=np.int64)
    raise UserError(f"could not draw {count} different architectures within bounds; widen them")


def _limits(space: spaces.Space[Any], bounds: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    lower, upper = space.lower.copy(), space.upper.copy()
    for pattern, limits in bounds.items():
        exact = [i for i, label in enumerate(space.labels) if label == str(pattern)]
        where = exact or [i for i, label in enumerate(space.labels) if label.startswith(str(pattern))]
        if not where:
            raise UserError(
                f"bounds: no dimension is called '{pattern}' or begins so; dimensions: {', '.join(space.labels)}"
            )
        try:
            low, high = (float(value) for value in limits)
        except (TypeError, ValueError):
            raise UserError(f"bounds.{pattern} is [lower, upper], given was {limits!r}") from None
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
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                codes.append(space.parse(text).code)
            except UserError as error:
                raise UserError(f"'{source}', line {number}: {error}") from None
    if not codes:
        raise UserError(f"'{source}' lists no architecture; it should hold one a line")
    return np.array(codes, dtype=np.int64)


def _macs(setting: Setting, space: spaces.Space[Any], codes_ND: np.ndarray, training: Mapping[str, Any]) -> np.ndarray:
    """Exact multiply-adds at the training's own size; the space's standard ones where that is not known here."""
    if setting.space != "multires":
        return np.asarray(space.cost(codes_ND).macs)
    from ncp.spaces import cost

    data = training.get("data") or {}
    size = data.get("crop") or data.get("size")
    if setting.task == "det3d":
        return np.asarray(cost.bev(codes_ND).macs)
    sides = (size, size) if isinstance(size, int) else tuple(int(side) for side in size or (128, 128))
    if setting.task == "video":
        frames = int(data.get("frames") or 8)
        return np.asarray(cost.video(codes_ND, size=(sides[0], sides[1]), frames=frames).macs)
    head = "classification" if setting.task == "cls" else "segmentation"
    return np.asarray(cost.count(codes_ND, size=(sides[0], sides[1]), head=head).macs)


def _without(value: Any, keys: Sequence[str]) -> Any:
    return {key: item for key, item in value.items() if key not in keys} if isinstance(value, Mapping) else value


def _difference(there: bytes | None, plan: Plan) -> str:
    """The first thing in which the published plan differs."""
    try:
        old, new = json.loads(there or b""), json.loads(plan.content)
    except ValueError:
        return "its plan.json is damaged"
    for key in ("format", "setting", "seed"):
        if old.get(key) != new[key]:
            return f"{key} {old.get(key)} there, {new[key]} here"
    for part in TRAINING:
        a, b = (fields["training"].get(part) for fields in (old, new))
        if a != b:
            if isinstance(a, Mapping) and isinstance(b, Mapping):
                key = next(k for k in sorted({*a, *b}) if a.get(k) != b.get(k))
                return f"{part}.{key} {a.get(key)} there, {b.get(key)} here"
            return f"{part} {a} there, {b} here"
    return f"{len(old.get('architectures', []))} architectures there, {len(plan)} here, or others"
