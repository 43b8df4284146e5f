"""What every predictor is, how one is stored, and the class from which one of your own derives.

``Predictor`` is a torch module (:mod:`ncp.predictors.module`), which is imported when it is asked for; all else needs numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ncp.errors import needed
from ncp.predictors.answers import CHUNK, Answer, AnyPredictor, as_codes
from ncp.predictors.card import FORMAT, KINDS, Card, checked_card, kinds
from ncp.predictors.storage import FAMILIES, MAX_FILE, WEIGHTS, load

if TYPE_CHECKING:
    from ncp.predictors.module import Predictor

__all__ = [
    "CHUNK", "FAMILIES", "FORMAT", "KINDS", "MAX_FILE", "WEIGHTS", "Answer", "AnyPredictor", "Card", "Predictor", "as_codes",
    "checked_card", "kinds", "load",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "Predictor":
        return needed("ncp.predictors.module").Predictor
    raise AttributeError(f"module 'ncp.predictors.base' has no attribute '{name}'")
