"""What a discovery will take: told before anything is trained, held against the limit of hours, and for the expected end."""

from __future__ import annotations

import logging
import shutil

from ncp.campaign import discovery as found_
from ncp.campaign.discovery import cost_of
from ncp.campaign.growth import LEAST, checked_sizes
from ncp.campaign.rounds import REACH
from ncp.errors import UserError
from ncp.files import safe_file
from ncp.jobs import hours as hours_
from ncp.jobs.comparing import BASELINE, Comparing
from ncp.jobs.discovery_plan import records
from ncp.numeric import several
from ncp.terminal import duration

log = logging.getLogger(__name__)
QUICK = 10.0  # seconds, about, of a fit, a search, an export


class Estimating(Comparing):
    """Tries a few steps, and tells from them."""

    def estimate(self) -> None:
        """Hours and disk of the whole, from a few steps of the reference's training.

        Raises:
            UserError: where what is left to do takes more than ``hours``, or more than the disk has.
        """
        [name], plan, clock = self.plan.names, self.plan, self.clock
        words = [*self.training(name), "arch=code", f"arch.code={plan.reference.text}"]
        with self.commands.timed("trial"):
            tried = hours_.tried(words, plan.place)
            full = hours_.tried([*words, *plan.full], plan.place, hours_.FULL) if plan.full else tried
        usual, compared, default = self.usual(), self.to_compare(), cost_of(self.space, plan.reference)
        sizes = dict.fromkeys([float(default), usual, 2 * usual, *compared])
        # a point for each size, since large networks may be trained for fewer steps
        clock.tried = [(macs, tried.seconds(macs / default)) for macs in sizes]
        clock.times = full.seconds() / max(tried.seconds(), 1e-9)
        hours = (plan.trainings * clock.seconds([usual]) + clock.seconds_compared(compared)) / 3600
        disk = len(compared) * full.checkpoint_mb
        longer = f", those to compare {clock.times:.2g} times as long" if plan.full else ""
        log.info(
            "%d trainings to learn from and %d to compare: about %s, one after the other (%s of %.2g s, %s, measured on the "
            "default code%s), and %.0f MB of checkpoints", plan.trainings, len(compared), duration(hours * 3600),
            several(round(tried.taken()), "step"), tried.step, several(tried.evaluations, "evaluation"), longer, disk,
        )  # fmt: skip
        self.out.estimate = {"hours": hours, "disk_mb": disk}
        done, over = self.done(name)
        if done or over:
            log.info("of these an earlier start has done %d and %d", done, over)
        clock.learnt_from = hours_.measured(plan.place / f"sample-{safe_file(name)}")
        self.weigh(usual)
        self.check_left(name, usual)
        free = shutil.disk_usage(plan.place).free / 2**20
        if disk > free:
            raise UserError(
                f"the compared networks' checkpoints take about {disk:,.0f} MB, and the disk of '{plan.place}' has {free:,.0f} "
                "free; give another dir"
            )

    def to_compare(self) -> list[float]:
        """Multiply-adds of the compared trainings in their order, as far as they are known beforehand: those of the limit."""
        plan = self.plan
        default = float(cost_of(self.space, plan.reference))
        limit = float(plan.budget.get("macs", default))
        out = [limit, default, limit] * plan.repeats
        if plan.baseline is not None:
            out += [float(self.hand_designed(plan.baseline, default)[1])] * plan.repeats
        return out

    def weigh(self, usual: float) -> None:
        """Tell the expected end how long the steps take, measured in trainings to learn from."""
        [name], clock = self.plan.names, self.clock
        one, compared = max(clock.seconds([usual]), 1e-9), self.to_compare()
        quick = dict.fromkeys((f"fit {name}", "search", "export"), QUICK / one)
        weights = {"trial": self.commands.seconds["trial"] / one, **quick}
        for repeat in range(self.plan.repeats):
            weights[self.comparison(name, repeat)] = clock.seconds_compared(compared[:3]) / 3 / one
            weights[self.again(BASELINE, repeat)] = clock.seconds_compared(compared[-1:]) / one
        self.commands.expect(one, weights)
        self.commands.already(self.done_before(name))

    def done(self, name: str) -> tuple[int, int]:
        """Trainings to learn from, and compared ones, that an earlier start has done."""
        learnt_from = records(self.plan.place / f"sample-{safe_file(name)}")()
        return int(learnt_from), int(sum(self.done_before(name).values()))

    def check_left(self, name: str, usual: float) -> None:
        """Refuse ``hours`` in which the whole does not fit; what an earlier start began goes on as far as they reach."""
        plan, clock = self.plan, self.clock
        if plan.hours is None:
            return
        done, over = self.done(name)
        one, compared = clock.seconds([usual]), clock.seconds_compared(self.to_compare()[over:])
        left = (max(plan.trainings - done, 0) * one + compared) / 3600
        if left > plan.hours:
            fit = max(0, int((3600 * plan.hours - compared) / one + 1e-6))
            least = "" if done + fit >= LEAST else f", and {LEAST} are the least"
            more = several(plan.trainings - done, "more training" if done else "training")
            what = (
                f"{more} and the comparison take about {left:.2g} hours here, given was hours={plan.hours:g}, in which "
                f"{several(fit, 'training')} {'fits' if fit == 1 else 'fit'}"
            )
            if done >= plan.trainings:
                what = f"the comparison takes about {left:.2g} hours here, given was hours={plan.hours:g}"
            if done and not least:
                log.info("%s; it goes on until then", what)
                return
            raise UserError(f"{what}{least}; give fewer, or shorter ones (recipe.length)")

    def usual(self) -> float:
        """Mean multiply-adds of what is trained to learn from; a first round in a build of several may cost more."""
        plan, limits = self.plan, self.plan.budget
        later = found_.usual_cost(self.space, limits, plan.bounds, plan.seed)
        if plan.sampler != "adaptive" or plan.trainings < LEAST:
            return later
        share = checked_sizes(plan.trainings, plan.rounds)[0] / plan.trainings
        wide = {name: limit * (plan.reach or REACH) for name, limit in limits.items()}
        return share * found_.usual_cost(self.space, wide, plan.bounds, plan.seed) + (1 - share) * later
