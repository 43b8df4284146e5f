"""A built-in training's budget of multiply-adds: a large network takes fewer steps, so that any takes about the same time."""

from __future__ import annotations

import logging

from ncp.data.base import DataModule
from ncp.tasks.position import Plan

log = logging.getLogger(__name__)
LEAST_STEPS = 24
PASSES = 3  # a training step costs about three inferences


def allowed(training_macs: float, macs: int, batch: int) -> float:
    """Steps, of ``batch`` samples each, that a budget allows a network of so many multiply-adds."""
    return training_macs / (PASSES * macs * batch)


def shortened(plan: Plan, data: DataModule, macs: int) -> Plan:
    """The plan, ended early where the data set has a budget (``training_macs``) that it would exceed.

    Args:
        plan: of the recipe.
        data: told of the new length.
        macs: multiply-adds of one sample's inference at the training's size.
    """
    if not data.training_macs:
        return plan
    steps = max(LEAST_STEPS, int(allowed(data.training_macs, macs, plan.policy.total)))
    if steps >= plan.steps:
        return plan
    log.info(
        "%d steps instead of %d: this network's share of data.training_macs=%.3g", steps, plan.steps, data.training_macs
    )
    data.plan(plan.policy, steps)
    return plan.shortened(steps)
