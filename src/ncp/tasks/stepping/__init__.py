"""How the steps of a training are run: kernel by kernel, or as CUDA graphs. One interface (:class:`Stepping`) and a choice."""

from ncp.tasks.stepping.base import Eager, Stepping
from ncp.tasks.stepping.choice import choose
from ncp.tasks.stepping.part import Part

__all__ = ["Eager", "Part", "Stepping", "choose"]
