"""What is wrong with a user's data set, collected, so that all of it is told at once and not one thing an attempt."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ncp.errors import UserError

SHOWN = 10


class Problems:
    """A list of problems.

    Args:
        what: the data set, as the message names it.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.found: list[str] = []

    def __len__(self) -> int:
        return len(self.found)

    def add(self, text: str) -> None:
        """Note a problem."""
        self.found.append(text)

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """A ``UserError`` inside the block becomes a problem, and what follows the block goes on."""
        try:
            yield
        except UserError as error:
            self.add(str(error))

    def check(self) -> None:
        """Go on where there are none.

        Raises:
            UserError: the problem, or the first ten and how many there are more, in one line.
        """
        if not self.found:
            return
        if len(self.found) == 1:
            raise UserError(self.found[0])
        listed = "; ".join(f"({i}) {text}" for i, text in enumerate(self.found[:SHOWN], start=1))
        more = len(self.found) - SHOWN
        raise UserError(
            f"{self.what} has {len(self.found)} problems: {listed}{f'; and {more} more' if more > 0 else ''}"
        )
