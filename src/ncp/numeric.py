"""Numbers as users give them, checked, and as people write them."""

from __future__ import annotations

import math
import numbers
import re
from typing import Any

from ncp.errors import UserError

# a number that is a whole value or a whole item of one: within architectures and names of files digits are no numbers
_NUMBER = re.compile(r"(?<![^\[{(,:=\s])[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?![^\]}),\s])")


def whole(name: str, value: Any, least: int) -> int:
    """A whole number from ``least``; raises ``UserError`` naming it for anything else.

    >>> whole("seed", 3.0, 0)
    3
    """
    given = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not given or value != int(value) or value < least:
        kind = "a positive whole number (at least 1)" if least == 1 else f"a whole number from {least}"
        raise UserError(f"{name} must be {kind}, given was {shown(value)}")
    return int(value)


def finite(name: str, value: Any, least: float = -math.inf, above: float = -math.inf) -> float:
    """A finite number of at least ``least`` and more than ``above``; raises ``UserError`` naming it for anything else.

    Texts such as ``1e9`` count, since YAML takes them for texts.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name} must be a finite number, given was {shown(value)}")
    if number < least or number <= above:
        limit = (
            "must be positive"
            if above == 0
            else "must not be negative"
            if least == 0
            else f"must be at least {least:g}"
        )
        raise UserError(f"{name} {limit}, given was {shown(value)}")
    return number


def of_text(text: str) -> float:
    """The number that a cell of a table spells, ``nan`` and ``inf`` too.

    Raises ``ValueError`` for anything else, ``1_0`` and digits of other scripts too, which Python takes for numbers.

    >>> of_text(" 1e1 ")
    10.0
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"'{text[:40]}' is no number")
    return float(text)


def shown(value: Any) -> str:
    """A given value as YAML would show it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def shortest(value: float) -> str:
    """The shortest of the ways in which people write a number; it reads back as the same.

    >>> [shortest(v) for v in (1000000000.0, 2.5e9, 0.1, 70, 1234567, 5e-5, 1024, 0.89e9)]
    ['1e9', '2.5e9', '0.1', '70', '1234567', '5e-5', '1024', '8.9e8']
    """
    number = float(value)
    if not math.isfinite(number):
        return str(value)
    plain = str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)
    if number and not 1e-3 <= abs(number) < 1e5:
        mantissa, _, exponent = f"{number:.16e}".partition("e")
        for digits in range(17):
            mantissa, _, exponent = f"{number:.{digits}e}".partition("e")
            if float(f"{mantissa}e{exponent}") == number:
                break
        power = f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"
        return min(plain, power, key=len)
    return plain


def as_written(text: str) -> str:
    """``key=value`` with its numbers as :func:`shortest` writes them.

    >>> as_written("budget={macs:1000000000.0,params:5000000} lam=0.10 start=runs/1000000")
    'budget={macs:1e9,params:5e6} lam=0.1 start=runs/1000000'
    """
    return _NUMBER.sub(lambda found: _same(found.group()), text)


def _same(text: str) -> str:
    short = shortest(float(text))
    # whole numbers beyond what a float holds, such as long seeds, stay
    return text if text.lstrip("+-").isdigit() and float(text) != int(text) else short


def several(count: int, one: str, more: str = "") -> str:
    """A number with its noun; ``more`` is the plural where it has not just an ``s`` more.

    >>> several(1, "class", "classes"), several(2000, "class", "classes"), several(0, "file")
    ('1 class', '2,000 classes', '0 files')
    """
    return f"{count:,} {one if count == 1 else more or one + 's'}"
