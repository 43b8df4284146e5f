"""Where the codes of a search begin, drawn in parts, so that memory does not grow with their number.

Shape suffixes: S starts, N starts of one part, D dimensions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from ncp import runs, spaces
from ncp.errors import UserError
from ncp.files import printable
from ncp.numeric import shown
from ncp.progress import Progress
from ncp.search.limits import Region
from ncp.spaces import found

FEW = 64
"""Starts of which every walk is kept."""
CHUNK = 512
"""Starts that move at once: enough to fill a processor, few enough to stay in its cache."""
_NO_PATH = re.compile(r"[\d\s_,()\[\]-]+|\|.*")  # numbers, or the text of a cell


def read_start(space: spaces.Space[Any], start: Any) -> np.ndarray:
    """``(D,)`` code of what a user names as the start.

    Args:
        space: in which it lies.
        start: an architecture in any form that the space reads, the run folder of a search or its ``result.json``, a result
            of a search, or None for the space's default.

    Raises:
        UserError: for anything else.
    """
    if start is None:
        start = space.default()
    if isinstance(start, str) and not start.strip():
        raise UserError(
            "start= is empty; give a code, its text, an architecture.yaml, the run folder of a search, or a known name such as "
            "ncp_seg, or leave start out"
        )
    start = found.named(space.name, runs.found_architecture(getattr(start, "architecture", start)))
    try:
        out: np.ndarray = space.encode([spaces.parsed(space, start)])[0]
        return out
    except UserError as error:
        slip = spaces.of_form(start) == space.name != "multires"  # written as this space's are, and impossible
        if (
            isinstance(start, str)
            and not slip
            and not _NO_PATH.fullmatch(start)
            and not start.endswith((".yaml", ".yml"))
        ):
            there = "that path holds none" if os.path.exists(start) else "there is no such path"
            if start in found.FOUND:
                raise UserError(f"start={start} is of the space multires, the search is in '{space.name}'") from None
            raise UserError(
                f"start='{printable(start)}' is no architecture, and {there}; give a code, its text, an architecture.yaml, "
                "the run folder of a search, or a known name such as ncp_seg"
            ) from None
        raise UserError(f"start: {error}") from None
    except (TypeError, ValueError):
        raise UserError(f"start is no architecture: given was {shown(start)}") from None


class Starts:
    """The first code, then random ones of the region; of many the second one is the space's default, if the first was given.

    Attributes:
        anchors: how many of them are not random.

    Args:
        region: where they lie.
        first: ``(D,)`` code of the first; it is moved into the region.
        count: S, how many there are.
        rng: draws the others, in their order, when they are asked for.
        given: whether a user named the first one, so that it must count whatever becomes of the others.
        progress: told the part done.
    """

    def __init__(
        self,
        region: Region,
        first: np.ndarray,
        count: int,
        rng: np.random.Generator,
        given: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.region, self.count, self.rng, self.given = region, count, rng, given
        self.progress = progress
        anchors = [first]
        if given and count > FEW:  # of many, one may be spared for what everything is compared with
            anchors.append(region.space.encode([region.space.default()])[0])
        self._codes = region.round(np.stack(anchors)).astype(np.float64)
        self.anchors = len(anchors)

    @classmethod
    def of(cls, codes: Any, region: Region) -> Starts:
        """The starts themselves, or ``(S, D)`` codes as such."""
        if isinstance(codes, Starts):
            return codes
        array = np.asarray(codes, dtype=np.float64)
        made = cls(region, array[0], len(array), np.random.default_rng(0))
        made._codes, made.anchors = array, 1
        return made

    def __len__(self) -> int:
        return self.count

    def chunks(self, size: int = CHUNK) -> Iterator[tuple[int, np.ndarray]]:
        """Number of the first and ``(N, D)`` codes of one part after the other; to be gone through once."""
        for number in range(0, self.count, size):
            n = min(size, self.count - number)
            known = self._codes[number : number + n]
            drawn = n - len(known)
            # nothing is drawn where nothing is needed: other random numbers of the search would change
            yield number, np.concatenate([known, self.region.sample(drawn, self.rng)]) if drawn else known
            self.tell((number + n) / self.count, f"{number + n:,} of {self.count:,} starts")

    def all(self) -> np.ndarray:
        """``(S, D)`` codes of all of them."""
        return np.concatenate([codes for _, codes in self.chunks(self.count)])

    def tell(self, part: float, text: str) -> None:
        """Report progress, if somebody listens."""
        if self.progress is not None:
            self.progress(part, text)
