"""The loop of the paper, closed: ``ncp loop`` builds, fits, searches, builds again and compares, for two tasks at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from ncp import runs, spaces
from ncp.benchmark import settings
from ncp.campaign.discovery import cost_of
from ncp.jobs.discover import Count, show
from ncp.jobs.discovering import carry_out, values
from ncp.jobs.discovery_plan import DiscoveryPlan, Outcome

__all__ = ["Options", "Outcome", "run", "show"]
SHORT: dict[str, Any] = {"count": 20, "repeats": 1}
SHORT_STEPS = 20
# as conf/loop.yaml, where they are explained
BOUNDS = {"i": [8, 32], "b": [1, 2], "n": [1, 2], "c": [8, 32], "o1": [8, 32]}
DEFAULT = {"i": 16, "b": 2, "n": 2, "c": 16, "o1": 16}


@dataclass
class Options:
    """``conf/loop.yaml``, where each is explained."""

    settings: list[str] = field(default_factory=lambda: ["cls", "seg"])
    count: Count = 32
    steps: dict[str, Annotated[int, Meta(ge=4)]] = field(default_factory=lambda: {"cls": 96, "seg": 120})
    bounds: dict[str, list[int]] = field(default_factory=lambda: dict(BOUNDS))
    default: dict[str, int] = field(default_factory=lambda: dict(DEFAULT))
    predictor: Literal["auto", "default"] = "auto"
    repeats: Count = 3
    seed: Annotated[int, Meta(ge=0)] = 1
    per_device: Count | Literal["auto"] = "auto"
    short: bool = False


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Sample and train architectures for two tasks, fit predictors, search one for both, train it and compare.

    Args:
        options: of the loop; ``options.short`` for fewer and shorter trainings, to see that everything runs.
        folder: where all files go; None for a new run folder.

    Raises:
        UserError: when a step fails, with its command.
    """
    folder = runs.made(folder, "loop").resolve()
    if options.short:
        options = replace(options, **SHORT, steps=dict.fromkeys(options.settings, SHORT_STEPS))
    names = tuple(settings.get(name).name for name in options.settings)
    space = spaces.get(settings.get(names[0]).space)
    reference = space.decode(values(space, options.default)[None])[0]
    plan = DiscoveryPlan(
        names=names,
        words={name: _words(options, name) for name in names},
        trainings=options.count,
        budget={"macs": float(cost_of(space, reference))},
        reference=reference,
        place=folder,
        bounds=options.bounds,
        repeats=options.repeats,
        seed=options.seed,
        per_device=options.per_device,
        family=options.predictor,
        start=True,
        title="loop",
    )
    return carry_out(plan, folder)


def _words(options: Options, name: str) -> list[str]:
    """Of every training of a setting: evaluated twice, saved four times."""
    by_name = {settings.get(given).name: number for given, number in options.steps.items()}
    if name not in by_name:
        return []
    steps = by_name[name]
    return [f"recipe.length={steps}", f"recipe.eval_every={steps // 2}", f"recipe.save_every={steps // 4}"]
