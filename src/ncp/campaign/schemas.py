"""What the small files of a build may hold: strict JSON of a stated shape, every number finite and within its range.

One line in a file that somebody altered must neither stop a worker nor be believed: it is refused by name.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from ncp import files
from ncp.errors import UserError

T = TypeVar("T")

Count = Annotated[int, Meta(ge=0, le=2**53)]
"""Steps, bytes, multiply-adds."""
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Positive = Annotated[float, Meta(ge=0.0, le=1e18)]
"""Seconds, rates."""
Name = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""A host, a metric, a file: one line without control characters."""
Words = Annotated[str, Meta(max_length=4000)]
"""What a person reads."""
Scalar = str | int | float | bool | None
Facts = Annotated[dict[str, Scalar], Meta(max_length=100)]
"""Who did it, and with what."""
Notes = Annotated[dict[str, Scalar | dict[str, Scalar]], Meta(max_length=100)]
"""Facts, grouped once."""


def decode(raw: bytes, kind: type[T] | Any, where: str) -> Any:
    """JSON text as the type ``kind``.

    JSON has no NaN and no infinity, and numbers too large for a float are refused, so every number is finite.

    Raises:
        UserError: naming ``where`` and the place inside it.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
        reason = "it is empty" if not raw.strip() else files.printable(error)[:300]
        raise UserError(f"{where} cannot be used: {reason}") from None


def encode(value: Any) -> bytes:
    """The same value gives the same text, whatever the order of its keys."""
    return msgspec.json.encode(value, order="deterministic")
