"""How the steps of a training are run: kernel by kernel, or as CUDA graphs. One interface (:class:`Stepping`) and a choice."""

from ncp.tasks.stepping.base import Eager, Stepping
from ncp.tasks.stepping.choice import choose

__all__ = ["Eager", "Stepping", "choose"]
