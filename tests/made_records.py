"""Records as trainings leave them, without the trainings."""

import json

import numpy as np

from ncp import spaces
from ncp.benchmark import settings
from ncp.campaign.plan import BuildPlan
from ncp.campaign.records import RecordedEvaluation, TrainingRecord


def plan(count=8, setting="seg", macs=None, seed=0):
    """A plan of random architectures."""
    space = spaces.get(settings.get(setting).space)
    texts = tuple(architecture.text for architecture in space.sample(count, np.random.default_rng(seed)))
    return BuildPlan(setting, texts, macs or (10,) * count, {}, 0)


def record(plan, unit, **changes):
    """A record of a unit of a plan."""
    setting = settings.get(plan.setting)
    text = plan.architectures[unit]
    metrics = {name: 40.0 + 10 * i for i, name in enumerate(setting.metrics)}
    fields = {
        "metrics": metrics,
        "evaluations": [RecordedEvaluation(10, 1.0, metrics)],
        "cost": {"params": 1, "macs": 2, "macs_at_size": 3, "size": [32, 64], "flops_g": 0.5},
        "steps": 10,
        "seconds": 1800.0,
        "peak_memory_mb": 500.0,
        "worker": {"host": "node1", "pid": 7, "born": 1, "machine": "m"},
        "device": {"name": "cpu", "count": 1, "precision": "32", "threads": 1},
        "versions": {"ncp": "1", "torch": "2"},
        "finished": "2026-01-01T00:00:00+00:00",
        **changes,
    }
    code = list(spaces.get(setting.space).parse(text).code)
    return TrainingRecord(plan.units[unit], plan.setting, text, code, 0, **fields)


def put(plan, store, unit, **changes):
    """The same, in its place; its content."""
    content = record(plan, unit, **changes).as_json()
    store.create(f"units/{plan.units[unit]}/0.lease", b"{}")
    assert store.create(f"units/{plan.units[unit]}/record.json", json.dumps(content).encode())
    return content
