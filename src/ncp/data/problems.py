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
            UserError: the problem, or the first ten and how many there are more, in one line; what is wrong in the same way at
                several places is told once.
        """
        if not self.found:
            return
        if len(self.found) == 1:
            raise UserError(self.found[0])
        shown = 0
        texts: list[str] = []
        for what, places in self._grouped().items():
            listed = places[: SHOWN - shown]
            if not listed:
                break
            shown += len(listed)
            same = f" (the same in {', '.join(listed[1:])})" if any(listed[1:]) else ""
            texts.append(f"({len(texts) + 1}) {listed[0]}{what}{same}")
        more = f"; and {len(self) - shown} more" if len(self) > shown else ""
        raise UserError(f"{self.what} has {len(self)} problems: {'; '.join(texts)}{more}")

    def _grouped(self) -> dict[str, list[str]]:
        """Problems by what is wrong, which begins at the first colon; before it stands where."""
        groups: dict[str, list[str]] = {}
        for text in self.found:
            where, colon, what = text.partition(": ")
            groups.setdefault(colon + what if colon else text, []).append(where if colon else "")
        return groups
