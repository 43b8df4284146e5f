"""Who answers for the objectives: the predictors that a search asks, and the judge by whom searches are compared.

Shape suffixes: D dimensions of the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.numeric import shown
from ncp.predictors.answers import AnyPredictor
from ncp.predictors.storage import load
from ncp.predictors.trust import known_bounds, without_skill

Given = str | Mapping[str, AnyPredictor | str | Path] | None


@dataclass(frozen=True)
class PredictorPanel:
    """Predictors of some settings.

    Attributes:
        predictors: setting -> predictor.
        names: setting -> what it is: a family of bundled ones, or a file.
    """

    predictors: dict[str, AnyPredictor]
    names: dict[str, str]

    @property
    def min_overlap(self) -> dict[str, dict[str, float]]:
        """Setting -> class -> the overlap from which boxes count as found, of settings of detection."""
        found = {name: predictor.min_overlap for name, predictor in self.predictors.items()}
        return {name: overlap for name, overlap in found.items() if overlap}

    @classmethod
    def of(cls, needed: Iterable[str], given: str | Mapping[str, AnyPredictor], said: Given) -> PredictorPanel:
        """Those of the settings that are needed; ``said`` is how the user named them."""
        predictors = load_predictors(needed, given)
        full = {settings.full_name(n): v for n, v in said.items()} if isinstance(said, Mapping) else {}
        return cls(predictors, {name: _name(full.get(name, said)) for name in predictors})


def panels(
    needed: Iterable[str], given: Given, own: dict[str, AnyPredictor] | None, family: str, judge: Given
) -> tuple[PredictorPanel, PredictorPanel]:
    """The panel that a search asks and the panel that judges what it found.

    Args:
        needed: the settings.
        given: what the user named as predictors; None for the family that belongs to the strategy.
        own: the same, read, where it is a mapping.
        family: that of the strategy.
        judge: what the user named as the judge. None: the predictors that the user named, else the default ones, so that
            searches by strategies with predictors of their own compare.
    """
    needed = list(dict.fromkeys(needed))
    asked = PredictorPanel.of(needed, own if own is not None else str(given or family), given or family)
    if judge is None and (given is not None or family == "default"):
        return asked, asked
    read = read_predictors(judge) if isinstance(judge, Mapping) else str(judge or "default")
    return asked, PredictorPanel.of(needed, read, judge or "default")


def _name(said: Any) -> str:
    if isinstance(said, AnyPredictor):
        return f"{said.card.kind}, {said.card.rows:,} rows" if said.card.rows else said.card.kind
    return str(said)


def read_predictors(given: Mapping[str, AnyPredictor | str | Path]) -> dict[str, AnyPredictor]:
    """Setting, by its full name, -> predictor: files are read, predictors stay as they are.

    Raises:
        UserError: for a file that cannot be read, or anything else than those two.
    """
    out = {}
    for name, value in given.items():
        if not isinstance(value, str | Path | AnyPredictor):
            raise UserError(
                f"predictors are default, paper or {{setting: file}}, such as {{seg: FILE.safetensors}}; given for {name} "
                f"was {shown(value)}"
            )
        out[settings.full_name(name)] = load(value) if isinstance(value, str | Path) else value
    return out


def load_predictors(names: Iterable[str], given: str | Mapping[str, AnyPredictor]) -> dict[str, AnyPredictor]:
    """Setting -> predictor: from a mapping by full names, or the bundled ones of a family (``default`` or ``paper``)."""
    out: dict[str, AnyPredictor] = {}
    for name in dict.fromkeys(names):
        if not isinstance(given, Mapping):
            if given.endswith(".safetensors"):
                raise UserError(
                    f"a predictor's file stands beside the name of its setting, {{{name}: FILE.safetensors}}; given was "
                    f"{shown(given)}"
                )
            out[name] = load(name, family=given)
        elif name in given:
            out[name] = given[name]
        else:
            raise UserError(f"no predictor given for '{name}'; given were {', '.join(given) or 'none'}")
    return out


def check_skill(
    wanted: Iterable[tuple[str, str]], predictors: Mapping[str, AnyPredictor], force: bool
) -> tuple[str, ...]:
    """Refuse ``(setting, metric)`` that a predictor knows nothing about; what was found where ``force`` allows it.

    Raises:
        UserError: for the first of them, with the reason.
    """
    found = []
    for setting, metric in dict.fromkeys(wanted):
        reason = without_skill(predictors[setting], metric)
        if reason is None:
            continue
        what = f"the predictor of {setting} has not learned {metric}: {reason}"
        if not force:
            raise UserError(f"{what}; fit one to more rows, or search all the same with force=true")
        found.append(what)
    return tuple(found)


def others_setting(predictors: Mapping[str, AnyPredictor]) -> list[str]:
    """What to say of predictors that are asked for one setting and were fitted for another."""
    return [
        f"the predictor given for {name} was fitted for {predictor.setting}"
        for name, predictor in predictors.items()
        if predictor.setting != name
    ]


def known_region(predictors: Mapping[str, AnyPredictor]) -> tuple[np.ndarray, np.ndarray] | None:
    """Lower and upper bounds ``(D,)`` within which all predictors were fitted; None where that is the whole space.

    Raises:
        UserError: if they were fitted on architectures that have nothing in common.
    """
    both = [bounds for bounds in map(known_bounds, predictors.values()) if bounds is not None]
    if not both:
        return None
    lower, upper = np.max([b[0] for b in both], axis=0), np.min([b[1] for b in both], axis=0)
    if (lower > upper).any():
        label = next(iter(predictors.values())).space.labels[int((lower > upper).argmax())]
        raise UserError(
            f"the predictors of {', '.join(predictors)} were fitted on architectures of different {label}; fit them on "
            "architectures that they share"
        )
    return lower, upper
