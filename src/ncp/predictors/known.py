"""What is known already when a new setting is to be predicted from few rows: predictors of other settings.

Shape suffixes: D dimensions of the code, F features, K known predictors.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.numeric import shown
from ncp.predictors.base import FAMILIES, WEIGHTS, Predictor, load
from ncp.predictors.gp import SparseGP
from ncp.predictors.transfer import MAX_KNOWN, reduced

Known = str | Path | Predictor | Iterable[str | Path | Predictor]


def bundled(space: str) -> tuple[str, ...]:
    """The settings of a space for which a predictor is bundled."""
    folder = WEIGHTS / FAMILIES["default"]
    shipped = [name for name in settings.PAPER if (folder / f"{name}.safetensors").exists()]
    return tuple(name for name in shipped if settings.SETTINGS[name].space == space)


def predictors(known: Known, setting: str, space: str) -> dict[str, Predictor]:
    """The known predictors by name, each reduced to the mean of its first metric.

    Args:
        known: ``all`` (all bundled ones of the space), ``none``, or a list of settings' names, predictors' files and
            predictors.
        setting: what is to be predicted; its own bundled predictor is never among them.
        space: the search space; the known ones must be of it.

    Raises:
        UserError: for an unknown setting, a file that is no predictor, one of another space, or the setting itself.
    """
    setting = settings.full_name(setting)
    names = bundled(space)
    if isinstance(known, str) and known in ("all", "none"):
        return {name: _bundled(name) for name in names if known == "all" and name != setting}
    given = [known] if isinstance(known, str | Path | Predictor) else known
    if not isinstance(given, Iterable):
        raise UserError(f"known is all, none or a list of settings and predictors' files; given was {shown(given)}")
    found: dict[str, Predictor] = {}
    for item in given:
        name, predictor = _one(item, names, setting)
        if predictor.card.space != space:
            raise UserError(f"known predictor {name} is of space {predictor.card.space}, not {space}")
        while name in found:
            name += "'"
        found[name] = predictor
    if len(found) > MAX_KNOWN:
        raise UserError(f"at most {MAX_KNOWN} predictors can be known, given were {len(found)}")
    return found


def _one(item: str | Path | Predictor, names: tuple[str, ...], setting: str) -> tuple[str, Predictor]:
    if isinstance(item, Predictor):
        return item.setting, reduced(item).double()
    if not isinstance(item, str | Path):
        raise UserError(f"known is all, none or a list of settings and predictors' files; given was {shown(item)}")
    if str(item).endswith(".safetensors"):
        predictor = load(item)
        return predictor.setting, reduced(predictor).double()
    name = settings.full_name(item)
    if name == setting:
        raise UserError(f"known names {name} itself, which is to be predicted; leave it out")
    if name not in names:
        raise UserError(
            f"known names '{item}', for which no predictor is bundled; bundled are {', '.join(names) or 'none in this space'}; "
            "all, none and predictors' files are allowed too"
        )
    return name, _bundled(name)


@lru_cache(maxsize=16)
def _bundled(name: str) -> Predictor:
    return reduced(load(name)).double()


def inverse_scales(known: Iterable[Predictor]) -> Tensor | None:
    """``(F,)`` inverse length scales on the features as they are, the mean over the known processes; None without any."""
    found = [p.inverse_scale[0].double() / p.spread.double() for p in known if isinstance(p, SparseGP)]
    return torch.stack(found).mean(0) if found else None


def reference(codes_ND: np.ndarray, predictor: Predictor, n: int = 1000) -> np.ndarray:
    """``(n, D)`` valid codes within the bounds of the rows: what scores are standardised over, alike for all fits."""
    space, rng = predictor.space, np.random.default_rng(0)
    lower, upper = codes_ND.min(axis=0), codes_ND.max(axis=0)
    return space.round(lower + (upper - lower) * rng.random((n, space.dim))).astype(np.float64)
