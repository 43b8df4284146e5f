"""Winner-takes-all propagation (paper 3.1, equations 4 to 6): one step of one dimension at a time, the most efficient one.

The equations, read so: L is the loss of equation 3 with its cost term; ``g_l = k_l * dL/de_l`` is what one step of
dimension l changes it by (k = 8 for channels, 1 for blocks and units), and ``r_l = g_l / (T(e + k_l) - T(e))`` puts it in
relation to the exact cost T of that step. Where r > 0 growing raises the loss, so the largest r that can still shrink
shrinks; where there is none, the smallest r < 0 that can still grow grows.

Shape suffixes: D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ncp.errors import UserError
from ncp.search.gallery import Gallery
from ncp.search.gradients import gradient_function
from ncp.search.limits import Budget, Region
from ncp.search.loss import Loss
from ncp.search.objectives import Objectives
from ncp.search.propagation import SHORTLIST, check_keep, marked, promise
from ncp.search.starts import FEW, Starts
from ncp.search.trajectory import Trajectory, Walk


def winner(
    gradient_D: np.ndarray, cost_step_D: np.ndarray, can_shrink_D: np.ndarray, can_grow_D: np.ndarray
) -> tuple[int, int] | None:
    """The dimension that moves and its direction (-1 or 1), or None if none may (equation 5).

    Args:
        gradient_D: g, change of the loss by one step up.
        cost_step_D: T(e + k_l) - T(e), change of cost by one step up; dimensions without cost are out.
        can_shrink_D, can_grow_D: whether a step down or up stays within the bounds.

    >>> free = np.array([True, True, True])
    >>> winner(np.array([-2, 1, -0.5]), np.array([1, 4, 0.1]), free, free)
    (1, -1)
    >>> winner(np.array([-2, -1, -0.5]), np.array([1, 4, 0.1]), free, free)
    (2, 1)
    """
    costs = cost_step_D > 0
    ratio_D = np.divide(gradient_D, cost_step_D, out=np.zeros(len(cost_step_D)), where=costs)
    shrink = np.where((ratio_D > 0) & can_shrink_D, ratio_D, -np.inf)
    if np.isfinite(shrink).any():
        return int(shrink.argmax()), -1  # argmax and argmin take the lowest index of equals
    grow = np.where((ratio_D < 0) & can_grow_D, ratio_D, np.inf)
    if np.isfinite(grow).any():
        return int(grow.argmin()), 1
    return None


@dataclass(frozen=True)
class WinnerTakesAll:
    """``strategy=winner_takes_all``.

    Attributes:
        loss: the loss of equation 3.
        iterations: at most so many steps.
        keep: which step is returned, as in :class:`ncp.search.propagation.Propagation`.
    """

    loss: Loss = field(default_factory=Loss)
    iterations: int = 70
    keep: str = "last"
    starts = 1

    def __post_init__(self) -> None:
        check_keep(self.keep)

    def run(self, objectives: Objectives, start: Any, budget: Budget, rng: np.random.Generator) -> Trajectory:
        """Walk from every start; marked is the last (or best) step that keeps the budget, or the one that comes nearest.

        Raises:
            UserError: in a space whose dimensions cannot move one by one, such as a one-hot code.
        """
        starts = Starts.of(start, budget.region)
        gallery, queries = Gallery(starts, SHORTLIST), 0
        for number, codes_SD in starts.chunks(FEW):
            rounded = budget.region.round(codes_SD).astype(np.float64)
            walks = [
                replace(self._walk(objectives, c, budget.region), number=number + s) for s, c in enumerate(rounded)
            ]
            keys = [promise(budget, w.loss[:, None], w.rounded[:, None], np.array([len(w) - 1])) for w in walks]
            gallery.offer(number, np.concatenate(keys), walks.__getitem__)
            queries += sum(map(len, walks))
        return marked(self.loss, objectives, budget, gallery, queries, len(starts), self.keep)

    def _walk(self, objectives: Objectives, code_D: np.ndarray, region: Region) -> Walk:
        space = objectives.space
        steps_DD, related = region.steps(), region.related
        visited: dict[tuple[float, ...], None] = {}
        gradient = gradient_function(objectives)
        weights_K = objectives.weights_K
        losses, goals = [], None
        reason = f"{self.iterations} iterations done"
        for t in range(self.iterations + 1):
            if tuple(code_D) in visited:
                reason = "back at an architecture seen before"
                break
            visited[tuple(code_D)] = None
            at, pull = gradient(code_D[None])
            goals = self.loss.goals(objectives, at) if t == 0 else goals
            losses.append(float(self.loss.value(at, goals, weights_K)[0]))
            if self.loss.reached(at, goals)[0]:
                reason = "all targets reached"
                break
            if t == self.iterations:
                break
            slopes = self.loss.slopes(at, goals, weights_K)
            cost = np.asarray(objectives.charge(np.concatenate([code_D[None], code_D + steps_DD])), dtype=np.float64)
            shrinks = (code_D - steps_DD >= region.lower - 1e-9).all(1) & ~region.fixed
            grows = (code_D + steps_DD <= region.upper + 1e-9).all(1) & ~region.fixed
            if related:  # a step may break the order of two dimensions
                shrinks &= region.contains(code_D - steps_DD)
                grows &= region.contains(code_D + steps_DD)
            move = winner(steps_DD @ pull(*slopes)[0], cost[1:] - cost[0], shrinks, grows)
            if move is None:
                reason = "no dimension can move with profit"
                break
            code_D = code_D.copy()
            code_D += move[1] * steps_DD[move[0]]
            if not region.contains(code_D[None])[0]:
                raise UserError(
                    f"winner_takes_all moves one dimension at a time, which space '{space.name}' does not allow; "
                    "use strategy=paper or robust"
                )
        codes = np.array(list(visited))
        return Walk(codes, codes.astype(np.int64), np.array(losses), reason)
