"""Networks: from an architecture's code to a ``torch.nn.Module``.

>>> net = build("ncp_seg", task="seg", classes=19)                         # doctest: +SKIP
>>> logits = net(images)        # (B, 19, H/4, W/4)                          # doctest: +SKIP

Importing this package imports neither torch nor timm. ``import ncp.models.registry`` makes ``timm.create_model`` know the
networks (``ncp_multires``, ``ncp_seg``, ...); where timm is imported before this package, that has happened by itself.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncp.models.baselines import build_timm
    from ncp.models.factory import TASKS, build
    from ncp.models.runtime import default_precision
    from ncp.models.transnas.nets import build_scene

_WHERE = {
    "TASKS": "ncp.models.factory",
    "build": "ncp.models.factory",
    "build_scene": "ncp.models.transnas.nets",
    "build_timm": "ncp.models.baselines",
    "default_precision": "ncp.models.runtime",
}
__all__ = ["TASKS", "build", "build_scene", "build_timm", "default_precision"]


def __getattr__(name: str) -> Any:  # torch is imported only when a network is asked for
    if name in _WHERE:
        from ncp.errors import needed

        return getattr(needed(_WHERE[name]), name)
    raise AttributeError(f"module 'ncp.models' has no attribute '{name}'")


if "timm" in sys.modules:
    import ncp.models.registry  # noqa: F401  the networks appear in timm
