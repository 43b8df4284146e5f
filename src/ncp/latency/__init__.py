"""How long networks take on a machine: a model from measurements, and how to measure.

>>> from ncp import latency                                             # doctest: +SKIP
>>> model = latency.fit("multires", architectures, milliseconds)        # doctest: +SKIP
>>> model.predict(codes), model.predict_std(codes)                      # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncp.latency.card import MachineCard
    from ncp.latency.fitting import fit
    from ncp.latency.model import Latency
    from ncp.latency.storage import load, save

__all__ = ["MachineCard", "Latency", "fit", "load", "save"]
_WHERE = {"MachineCard": "card", "Latency": "model", "fit": "fitting", "load": "storage", "save": "storage"}


def __getattr__(name: str) -> Any:  # numpy and scipy are imported only when something is asked
    if name in _WHERE:
        from ncp.errors import needed

        return getattr(needed(f"ncp.latency.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'ncp.latency' has no attribute '{name}'")
