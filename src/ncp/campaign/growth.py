"""A plan that grows: which rounds it has, and what each published round says.

A round is a file of its own, ``rounds/1.json`` and so on, written once like the plan. It names the bytes that it follows (the
plan's, then the round's before), so a chain of rounds is of one plan and in one order, whoever published them. A worker does not
choose a round again: it checks that what is published can be one.

Shape suffixes: B architectures of a round, D dimensions of the code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct

from ncp import files, spaces
from ncp.campaign.schemas import Facts, Words
from ncp.campaign.store import LIMIT, Store
from ncp.errors import UserError

FORMAT = "ncp-round-1"
FOLDER = "rounds"
MOST = 1000
"""Rounds of a build."""
LEAST = 8
"""Trainings that a predictor needs before it can choose further ones."""
ROUNDS = 5
FIRST = 0.6
"""Part of all trainings that the first of several rounds has."""

Size = Annotated[int, Meta(ge=1, le=10**6)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Macs = Annotated[int, Meta(ge=1, le=10**18)]
Limit = Annotated[float, Meta(gt=0, le=1e18)]


@dataclass(frozen=True)
class Growth:
    """How a plan grows; part of the plan.

    Attributes:
        sizes: architectures of each round, the first being the plan's own.
        budget: upper limits of exact cost at the standard size (``macs``, ``params``), which every architecture of later rounds
            keeps.
        bounds: dimension -> ``[lower, upper]``, narrower than the space's.
        known: settings whose bundled predictors the choosing may start from.
        proxy: setting, rows and digest of the table of a cheap proxy, from which it starts too.
        pool: digest of the architectures among which all are chosen; None for any of the space.
    """

    sizes: Annotated[tuple[Size, ...], Meta(min_length=1, max_length=MOST)]
    budget: dict[str, Limit] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    known: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    proxy: dict[str, str | int] = field(default_factory=dict)
    pool: Digest | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))
        object.__setattr__(self, "known", tuple(self.known))

    @property
    def count(self) -> int:
        """Architectures of all rounds."""
        return sum(self.sizes)

    def as_json(self) -> dict[str, Any]:
        """For the plan."""
        return {
            "sizes": list(self.sizes),
            "budget": dict(self.budget),
            "bounds": {name: list(limits) for name, limits in self.bounds.items()},
            "known": list(self.known),
            "proxy": dict(self.proxy),
            "pool": self.pool,
        }


def sizes(count: int, number: int) -> tuple[int, ...]:
    """How many architectures each round has: a first one of more, which has to cover the space, then equal ones.

    >>> sizes(40, 5), sizes(8, 1), sizes(10, 3)
    ((24, 4, 4, 4, 4), (8,), (8, 1, 1))
    """
    if number == 1:
        return (count,)
    first = min(max(LEAST, round(FIRST * count)), count - (number - 1))
    return (first, *(len(part) for part in np.array_split(np.arange(count - first), number - 1)))


def checked_sizes(count: int, number: int | None) -> tuple[int, ...]:
    """The sizes of a build in rounds.

    Raises:
        UserError: for more rounds than architectures, or fewer architectures than a predictor can use.
    """
    if number is not None and not 1 <= number <= MOST:
        raise UserError(f"rounds must be within 1..{MOST}, given was {number}")
    if number is not None and number > count:
        raise UserError(f"rounds must be at most count, given were rounds={number} and count={count}")
    if count < LEAST:
        raise UserError(
            f"sampler=adaptive needs count={LEAST} or more, the trainings that a predictor can use; given was count={count}"
        )
    if number is not None and number > count - LEAST + 1:
        raise UserError(
            f"rounds={number} leaves the first round {count - number + 1} trainings, and a predictor needs {LEAST} before it "
            f"can choose more; give rounds={count - LEAST + 1} at most, or count={LEAST + number - 1} or more"
        )
    return sizes(count, min(ROUNDS, count - LEAST + 1) if number is None else number)


class Round(Struct, kw_only=True, forbid_unknown_fields=False):
    """What ``rounds/N.json`` holds.

    Attributes:
        round: its number; the plan's own architectures are round 0.
        follows: SHA-256 of the file before it.
        architectures, macs: as the plan's.
        units: names of the units whose results it was chosen by.
        predicted, std: what was expected of each architecture, and how sure that was, in the metric's unit; empty where the
            round was to cover the space.
        how: by what it was chosen, in words.
        versions: of the software that chose it.
    """

    round: Annotated[int, Meta(ge=1, le=MOST)]
    follows: Digest
    architectures: Annotated[list[Text], Meta(min_length=1, max_length=10**6)]
    macs: Annotated[list[Macs], Meta(max_length=10**6)]
    units: Annotated[list[Annotated[str, Meta(pattern=r"^[0-9]{6}$")]], Meta(max_length=10**6)] = []
    predicted: Annotated[list[float], Meta(max_length=10**6)] = []
    std: Annotated[list[Annotated[float, Meta(ge=0)]], Meta(max_length=10**6)] = []
    how: Words = ""
    versions: Facts = {}
    format: Literal["ncp-round-1"] = "ncp-round-1"

    @property
    def content(self) -> bytes:
        """The round as it is published; the same round gives the same bytes."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return (json.dumps(fields, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def digest(content: bytes) -> str:
    """By what the next round names it."""
    return hashlib.sha256(content).hexdigest()


def file(number: int) -> str:
    """Where a round lies."""
    return f"{FOLDER}/{number}.json"


def read(store: Store, number: int, follows: str) -> tuple[Round, str] | None:
    """A published round and its digest; None where it is not published yet.

    Raises:
        UserError: where the file cannot be used, or follows another plan or round.
    """
    where = f"the {file(number)} of this build"
    content = store.read(file(number), LIMIT)
    if content is None:
        return None
    try:
        found: Round = files.checked(files.parse_json(content, where), Round, where)
    except ValueError as error:
        raise UserError(
            f"{where} is damaged or not of the format {FORMAT}: {error}; if none of its trainings was begun, remove it, and "
            "it is chosen anew"
        ) from None
    if found.round != number or found.follows != follows:
        raise UserError(f"{where} belongs to another plan, or to another order of rounds; give another build.dir")
    return found, digest(content)


def check(found: Round, growth: Growth, before: Sequence[str], space: spaces.Space[Any]) -> np.ndarray:
    """``(B, D)`` codes of a round that can be one.

    Raises:
        UserError: where it has another number of architectures than the plan says, repeats one, or breaks the plan's limits.
    """
    where, size = f"the {file(found.round)} of this build", growth.sizes[found.round]
    given = found.architectures
    if len(given) != size or len(found.macs) != size:
        raise UserError(f"{where} cannot be used: it has {len(given)} architectures, the plan says {size}")
    if len({*before, *given}) != len(before) + size:
        raise UserError(f"{where} cannot be used: it repeats an architecture")
    try:
        architectures = [spaces.of_text(space, text) for text in given]
    except UserError as error:
        raise UserError(f"{where} cannot be used: {error}") from None
    if any(architecture.text != text for architecture, text in zip(architectures, given, strict=True)):
        raise UserError(f"{where} cannot be used: an architecture is not written as this version writes it")
    codes_BD = np.array([architecture.code for architecture in architectures], dtype=np.int64)
    cost = space.cost(codes_BD)
    for name, limit in growth.budget.items():
        if int(np.asarray(getattr(cost, name)).max()) > limit:
            raise UserError(f"{where} cannot be used: an architecture breaks budget.{name}={limit:g}")
    for label, (lower, upper) in growth.bounds.items():
        column_B = codes_BD[:, space.labels.index(label)]
        if column_B.min() < lower or column_B.max() > upper:
            raise UserError(f"{where} cannot be used: an architecture breaks bounds.{label}=[{lower:g},{upper:g}]")
    return codes_BD
