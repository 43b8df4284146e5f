"""What a build trains: a pure function of the configuration, published once and verified by every worker.

Shape suffixes: N architectures, D dimensions of the code.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct

from ncp import files, spaces
from ncp.benchmark import settings
from ncp.campaign import choosing, growth, rounds
from ncp.campaign.growth import Growth
from ncp.campaign.options import BuildOptions
from ncp.campaign.store import Store
from ncp.errors import UserError

FORMAT = "ncp-plan-1"
GROWING = "ncp-plan-2"
FILE = "plan.json"
LIMIT = 512 * 2**20  # bytes; a plan of a million architectures has a fifth
# what of a configuration decides about a training's result: these parts, and of them not where files lie or what runs them
TRAINING = ("task", "data", "recipe", "model", "pretrained", "compile", "trainer")
MOVABLE = {
    "data": settings.MOVABLE,
    "trainer": ("accelerator", "devices", "num_nodes", "strategy"),
}


@dataclass(frozen=True)
class BuildPlan:
    """Which architectures are trained, and how.

    Attributes:
        setting: the setting's name.
        architectures: their texts, without repeats; unit ``i`` is the training of ``architectures[i]``.
        macs: exact multiply-adds of a training input, by which work is divided.
        training: the part of the configuration that decides about results.
        seed: of the sample and of every training.
        growth: of a plan that grows in rounds, how; ``architectures`` are then those of the rounds that are published.
        tail: the digest of the last published round; empty before the first.
    """

    setting: str
    architectures: tuple[str, ...]
    macs: tuple[int, ...]
    training: Mapping[str, Any]
    seed: int
    growth: Growth | None = None
    tail: str = ""

    def __len__(self) -> int:
        return len(self.architectures)

    @cached_property
    def content(self) -> bytes:
        """The plan as it is published; of one that grows, with the architectures of its first round."""
        first = len(self) if self.growth is None else self.growth.sizes[0]
        fields = {
            "format": FORMAT,
            "setting": self.setting,
            "seed": self.seed,
            "training": self.training,
            "architectures": list(self.architectures[:first]),
            "macs": list(self.macs[:first]),
        }
        if self.growth is not None:
            fields |= {"format": GROWING, "growth": self.growth.as_json()}
        return (json.dumps(fields, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()

    @cached_property
    def hash(self) -> str:
        """8 hexadecimal digits of the content: two plans are equal when these are."""
        return hashlib.sha256(self.content).hexdigest()[:8]

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Names of the units, ``000000`` ..."""
        return tuple(f"{i:06d}" for i in range(len(self)))

    @property
    def total(self) -> int:
        """Architectures of all rounds, those included that are not chosen yet."""
        return len(self) if self.growth is None else self.growth.count

    @property
    def rounds(self) -> tuple[range, ...]:
        """The units of each published round; one of all units where the plan does not grow."""
        if self.growth is None:
            return (range(len(self)),)
        ends = [0, *np.cumsum(self.growth.sizes).tolist()]
        return tuple(range(a, b) for a, b in itertools.pairwise(ends) if b <= len(self))

    def shards(self, number: int) -> list[list[int]]:
        """Divide the units into ``number`` lists of about equal cost, each with its dearest first, round by round.

        The dearest unit that is left goes to the shard that has least so far (longest processing time first): no shard costs
        more than 4/3 of the best possible division. Disjoint and complete; the same for the same plan and number, and of a
        plan that grew the same for the rounds that were there before.

        Raises:
            UserError: for a number of shards under 1.
        """
        if number < 1:
            raise UserError(f"the number of shards must be at least 1, given was {number}")
        out: list[list[int]] = [[] for _ in range(number)]
        loads = [(0, shard) for shard in range(number)]
        for units in self.rounds:
            for unit in sorted(units, key=lambda i: (-self.macs[i], i)):
                load, shard = heapq.heappop(loads)
                out[shard].append(unit)
                heapq.heappush(loads, (load + self.macs[unit], shard))
        return out


def make(options: BuildOptions) -> BuildPlan:
    """The plan of a build's options; of one that grows, with its first round.

    Raises:
        UserError: for an unknown setting, a count or a source of architectures that cannot be used.
    """
    setting = settings.get(str(options.setting))
    own = str(options.data.get("_target_", "")).startswith("ncp.data.folder.")
    if own and setting.name in settings.shipped():
        raise UserError(
            f"a table of your own data cannot be called {setting.name}; give it a setting of its own (src.data writes one): "
            f"setting=NAME --config-dir FOLDER"
        )
    training = {key: _without(getattr(options, key), MOVABLE.get(key, ())) for key in TRAINING}
    codes_ND, how = rounds.first(options, setting)
    space = spaces.get(setting.space)
    texts = tuple(architecture.text for architecture in space.decode(codes_ND))
    macs = tuple(choosing.macs(setting, codes_ND, training).tolist())
    return BuildPlan(setting.name, texts, macs, json.loads(json.dumps(training)), options.seed, how)


def publish(plan: BuildPlan, store: Store) -> None:
    """Write the plan, or verify that the one there is the same.

    Raises:
        UserError: where the folder holds another plan, saying what differs, or one that cannot be read.
    """
    if store.create(FILE, plan.content):
        return
    there = read(store)
    if there.content != plan.content:
        raise UserError(f"build.dir holds another plan ({_difference(there, plan)}); give another build.dir or none")


class _File(Struct):
    """What ``plan.json`` must hold."""

    format: Literal["ncp-plan-1", "ncp-plan-2"]
    setting: Annotated[str, Meta(max_length=200)]
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    training: dict[str, Any]
    architectures: Annotated[list[Annotated[str, Meta(min_length=1, max_length=1000)]], Meta(min_length=1)]
    macs: list[Annotated[int, Meta(ge=1, le=10**18)]]
    growth: Growth | None = None


def read(store: Store) -> BuildPlan:
    """The published plan with its published rounds.

    Raises:
        UserError: where there is none, or it or a round is not of this format.
    """
    content = store.read(FILE, LIMIT)
    where = f"the {FILE} of this build"
    if content is None:
        raise UserError(
            f"there is no build in this folder (no {FILE}); give build.dir=<its folder>, or its configuration"
        )
    try:
        fields: _File = files.checked(files.parse_json(content, where), _File, where)
        json.dumps(fields.training, allow_nan=False)
    except ValueError as error:
        raise UserError(f"{where} is damaged or not of the format {FORMAT}: {error}") from None
    try:
        known = settings.get(fields.setting).name == fields.setting  # short names are not written down
    except UserError:
        known = False
    if not known:
        raise UserError(
            f"{where} is of a setting that is not known here: '{files.printable(fields.setting)[:80]}'; {settings.OWN}"
        )
    number = len(fields.architectures)
    if len(fields.macs) != number or len(set(fields.architectures)) != number or number > choosing.MAX_COUNT:
        raise UserError(
            f"{where} is damaged: it lists {number:,} architectures with repeats, or {len(fields.macs):,} costs"
        )
    grows, labels = fields.growth, spaces.get(settings.get(fields.setting).space).labels
    fits = (grows is not None) == (fields.format == GROWING)
    if grows is not None:
        fits = (
            fits and grows.sizes[0] == number and {*grows.bounds} <= {*labels} and {*grows.budget} <= {"macs", "params"}
        )
    if not fits:
        raise UserError(f"{where} is damaged: its rounds and its architectures do not fit together")
    texts, macs = tuple(fields.architectures), tuple(fields.macs)
    plan = BuildPlan(fields.setting, texts, macs, fields.training, fields.seed, grows)
    return follow(plan, store)


def follow(plan: BuildPlan, store: Store) -> BuildPlan:
    """The plan with the rounds that are published and that it does not have yet.

    Raises:
        UserError: for a round that cannot be one of this plan.
    """
    grows = plan.growth
    while grows is not None and len(plan) < grows.count:
        found = growth.read(store, len(plan.rounds), plan.tail or growth.digest(plan.content))
        if found is None:
            break
        new, tail = found
        setting = settings.get(plan.setting)
        codes_BD = growth.check(new, grows, plan.architectures, spaces.get(setting.space))
        try:
            exact = choosing.macs(setting, codes_BD, plan.training).tolist()
        except (TypeError, ValueError, AttributeError):
            raise UserError(
                f"the {FILE} of this build is damaged: it states no size of the training's inputs"
            ) from None
        if new.macs != exact:
            raise UserError(
                f"the {growth.file(new.round)} of this build cannot be used: it states other costs than exact ones"
            )
        texts, macs = (*plan.architectures, *new.architectures), (*plan.macs, *new.macs)
        plan = replace(plan, architectures=texts, macs=macs, tail=tail)
    return plan


def _without(value: Any, keys: Sequence[str]) -> Any:
    return {key: item for key, item in value.items() if key not in keys} if isinstance(value, Mapping) else value


def _difference(there: BuildPlan, here: BuildPlan) -> str:
    """The first thing in which the published plan differs."""
    for key in ("setting", "seed"):
        if getattr(there, key) != getattr(here, key):
            return f"{key} {getattr(there, key)} there, {getattr(here, key)} here"
    for part in TRAINING:
        a, b = there.training.get(part), here.training.get(part)
        if a == b:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            key = next(k for k in sorted({*a, *b}) if a.get(k) != b.get(k))
            part, a, b = f"{part}.{key}", a.get(key), b.get(key)
        return files.printable(f"{part} {_short(a)} there, {_short(b)} here")
    grown = [None if plan.growth is None else plan.growth.as_json() for plan in (there, here)]
    if grown[0] != grown[1]:
        a, b = grown
        key = next(k for k in (a or b or {}) if (a or {}).get(k) != (b or {}).get(k)) if a and b else "rounds"
        return files.printable(f"{key} {_short((a or {}).get(key))} there, {_short((b or {}).get(key))} here")
    return f"{len(there):,} architectures there, {len(here):,} here, or others"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
