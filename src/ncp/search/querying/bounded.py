"""A ground within limits: the architectures of a search's region that keep its limits of cost, answered by a function.

Shape suffixes: N handles, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ncp.search.limits import Budget
from ncp.search.querying.ground import OpenGround
from ncp.search.robust import shrink


class BoundedGround(OpenGround):
    """What is drawn and what is one step away keeps the limits; what is asked about all the same and does not is worse than all.

    Args:
        budget: the region and its limits.
        answer: ``(N, D)`` int64 codes -> ``(N,)`` what is to be raised.
        first: ``(S, D)`` codes that the first draws begin with.
        lowest: below what ``answer`` gives: an architecture over the limits is worth that minus its relative excess. None where
            ``answer`` sees to it itself.
        keep: whether steps that break a limit are left out, which only a ground may do whose answer does not weigh them.
    """

    def __init__(
        self,
        budget: Budget,
        answer: Callable[[np.ndarray], np.ndarray],
        name: str = "",
        sample: int = 2000,
        first: np.ndarray | None = None,
        lowest: float | None = None,
        keep: bool = True,
    ) -> None:
        super().__init__(budget.region.space, answer if lowest is None else self._limited, name, sample)
        self.budget, self.inner, self.lowest, self.keep = budget, answer, lowest, keep
        self._moves = budget.region.moves()
        self._first = [] if first is None else self.nearest(np.asarray(first)).tolist()

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """See :class:`Ground`."""
        given, self._first = self._first[:n], self._first[n:]
        rest = n - len(given)
        begin = np.array(given, dtype=np.int64)
        return np.concatenate([begin, self.repaired(self.budget.region.sample(rest, rng))]) if rest else begin

    def repaired(self, codes_ND: np.ndarray) -> np.ndarray:
        """See :class:`Ground`: drawn toward the cheapest corner, as far as the limits demand."""
        region, n = self.budget.region, len(codes_ND)
        shrunk = shrink(region, self.budget, codes_ND)
        codes = region.round(shrunk)
        if (
            self.keep and self.budget.limits
        ):  # rounding up may cost too much: then down, and at last to the cheapest corner
            for lower in (
                region.round(shrunk - region.step / 2),
                np.repeat(region.cheapest()[None], n, 0).astype(np.int64),
            ):
                codes = np.where(self.budget.excess(codes)[:, None] > 0, lower, codes)
        return self.nearest(codes)

    def mutate(self, handles_N: np.ndarray, uniform_N2: np.ndarray) -> np.ndarray:
        """See :class:`Ground`: a step of one dimension; one without a step stays."""
        out = []
        for code, which in zip(self.codes(handles_N), uniform_N2[:, 1].tolist(), strict=True):
            near = self._near(code)
            out.append(near[int(which * len(near))] if len(near) else code)
        return self.nearest(np.array(out))

    def kept(self, handles_N: np.ndarray) -> np.ndarray:
        """See :class:`Ground`."""
        codes = self.codes(np.ravel(handles_N))
        return np.asarray(self.budget.excess(codes) <= 0).reshape(np.shape(handles_N))

    def near(self, handle: int) -> np.ndarray:
        """See :class:`Ground`."""
        return self.nearest(self._near(self.codes(np.array([handle]))[0]))

    def _near(self, code_D: np.ndarray) -> np.ndarray:
        codes = code_D + self._moves
        codes = codes[self.budget.region.contains(codes)]
        if self.keep and self.budget.limits:
            codes = codes[self.budget.excess(codes) <= 0]
        out: np.ndarray = codes.astype(np.int64)
        return out

    def _limited(self, codes_ND: np.ndarray) -> np.ndarray:
        assert self.lowest is not None
        excess = self.budget.excess(codes_ND)
        inside = self.budget.region.contains(codes_ND) & (excess <= 0)
        out = self.lowest - excess
        if inside.any():
            out[inside] = np.maximum(self.inner(codes_ND[inside]), self.lowest)
        return out
