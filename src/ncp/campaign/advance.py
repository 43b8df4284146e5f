"""The next round of a build: chosen once all units of the rounds before have an end, published once, verified by everybody.

What is chosen is a function of the plan and the results so far. Still only one worker's choice counts, the first that is
published: another one's program, or its view of a unit that was tried again, may differ.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from ncp import spaces
from ncp.benchmark import settings
from ncp.campaign import choosing, growth, proxies, reading, rounds
from ncp.campaign import plan as plans
from ncp.campaign.growth import Round
from ncp.campaign.options import BuildOptions
from ncp.campaign.plan import BuildPlan
from ncp.campaign.records import DONE, versions
from ncp.campaign.store import Store

log = logging.getLogger(__name__)


def advance(options: BuildOptions, plan: BuildPlan, store: Store) -> BuildPlan:
    """The plan with its next round, or as it is where it is complete.

    To be called when every unit of the plan has an end: a result, or failed for good. Units that failed or were stopped early
    teach nothing, and are not chosen again; should too few be left for a predictor, the round covers the space like the first.

    Args:
        options: of the build (where the pool of architectures and the proxy's table lie).
        plan, store: of the build.

    Raises:
        UserError: where the published round cannot be one of this plan, or the folder cannot be written.
    """
    grown = plans.follow(plan, store)
    if len(grown) > len(plan) or plan.growth is None or len(plan) == plan.growth.count:
        return grown
    chosen = choose(options, plan, store)
    if store.create(growth.file(chosen.round), chosen.content):
        log.info("round %d of %d: %s", chosen.round + 1, len(plan.growth.sizes), chosen.how)
    return plans.follow(plan, store)


def choose(options: BuildOptions, plan: BuildPlan, store: Store) -> Round:
    """The next round; the same for the same plan and results."""
    assert plan.growth is not None
    setting = settings.get(plan.setting)
    space, number = spaces.get(setting.space), len(plan.rounds)
    rows = [(unit, r) for unit, r in reading.usable(plan, store, range(len(plan))) if r.state == DONE]
    taken = np.array([spaces.of_text(space, text).code for text in plan.architectures], dtype=np.int64)
    units = [unit for unit, _ in rows]
    values = np.array([record.metrics[setting.main] for _, record in rows], dtype=np.float64)
    proposal = rounds.propose(
        space,
        taken[units],
        values,
        plan.growth.sizes[number],
        limits=dict(plan.growth.budget),
        known=[*plan.growth.known, *proxies.known(options.proxy, setting, plan.growth)],
        seed=plan.seed,
        pool=rounds.pool_of(options, setting),
        bounds=plan.growth.bounds,
        skip=taken[np.setdiff1d(np.arange(len(plan)), units)],
        sign=setting.sign(setting.main),
    )
    return Round(
        round=number,
        follows=plan.tail or growth.digest(plan.content),
        architectures=[architecture.text for architecture in space.decode(proposal.codes)],
        macs=choosing.macs(setting, proposal.codes, plan.training).tolist(),
        units=[plan.units[unit] for unit in units],
        predicted=_rounded(proposal.predicted),
        std=_rounded(proposal.std),
        how=proposal.how,
        versions=dict[str, Any](versions()),
    )


def _rounded(values: np.ndarray) -> list[float]:
    """As far as a person reads them."""
    return [round(float(value), 4) for value in values]
