"""Performance predictors: from an architecture's code to its metrics, differentiable.

>>> predictor = load("seg")                              # doctest: +SKIP
>>> predictor.predict([architecture])["mIoU"]            # doctest: +SKIP
>>> mine = fit(architectures, {"top1": values})          # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncp.predictors.auto import fit
    from ncp.predictors.base import AnyPredictor, Card, Predictor, load

__all__ = ["AnyPredictor", "Card", "Predictor", "fit", "load"]


def __getattr__(name: str) -> Any:  # torch is imported only where one is fitted, or written in it
    if name in __all__:
        from ncp.errors import needed

        return getattr(needed("ncp.predictors.auto" if name == "fit" else "ncp.predictors.base"), name)
    raise AttributeError(f"module 'ncp.predictors' has no attribute '{name}'")
