"""Performance predictors: from an architecture's code to its metrics, differentiable.

>>> predictor = load("seg")                              # doctest: +SKIP
>>> predictor.predict([architecture])["mIoU"]            # doctest: +SKIP
>>> mine = fit(architectures, {"top1": values})          # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncp.predictors.auto import fit
    from ncp.predictors.base import Card, Predictor, load

__all__ = ["Card", "Predictor", "fit", "load"]


def __getattr__(name: str) -> Any:  # torch is imported only when a predictor is asked for
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("ncp.predictors.auto" if name == "fit" else "ncp.predictors.base"), name)
    raise AttributeError(f"module 'ncp.predictors' has no attribute '{name}'")
