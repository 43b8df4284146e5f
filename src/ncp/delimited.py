"""Delimited text (CSV) from elsewhere, line by line: a quote that is not closed spoils its own line and none after it.

Read as one text, a stray quote makes one field of all that follows, and rows are gone without a word. Here a line of the file
is a row; a field that holds a line's end, which only a quoted one can, is therefore refused.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import NamedTuple

from ncp.errors import UserError

_ENDS = re.compile(r"\r\n|\n|\r")


class Line(NamedTuple):
    """A row: the number of its line in the file, from 1, and its fields."""

    number: int
    fields: list[str]


def fields(line: str, delimiter: str = ",") -> list[str]:
    """The fields of one line. Raises ``csv.Error`` where it cannot be split."""
    return next(csv.reader([line], delimiter=delimiter, strict=True), [])


def lines(text: str, where: str, delimiter: str = ",") -> Iterator[Line]:
    """The rows of a text that hold something.

    Args:
        text: of the whole file.
        where: the file, for messages.
        delimiter: between fields.

    Raises:
        UserError: naming the line, for one that has a stray quote or cannot be split.
    """
    for number, line in enumerate(_ENDS.split(text), 1):
        try:
            found = fields(line, delimiter)
        except csv.Error as error:
            raise UserError(
                f"{where}, line {number} has a stray quote or cannot be split ({error}); one line is one row"
            ) from None
        if any(field.strip() for field in found):
            yield Line(number, found)


def delimiter_of(head: str) -> str:
    """The one of ``, ; tab`` that a head has most of; a comma where it has none."""
    return max(",;\t", key=head.count)
