"""Searching architectures: propagation of codes along the gradients of predictors, and baselines.

>>> from ncp.search import search                        # doctest: +SKIP
>>> search(objectives=["cls", "seg"]).architecture       # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncp.search.front import Front, pareto
    from ncp.search.objectives import Objective
    from ncp.search.result import Result
    from ncp.search.run import search
    from ncp.search.trajectory import Trajectory

__all__ = ["Front", "Objective", "Result", "Trajectory", "pareto", "search"]
_WHERE = {
    "Front": "front",
    "pareto": "front",
    "Objective": "objectives",
    "Result": "result",
    "search": "run",
    "Trajectory": "trajectory",
}


def __getattr__(name: str) -> Any:  # numpy is imported only when something is searched
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"ncp.search.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'ncp.search' has no attribute '{name}'")
