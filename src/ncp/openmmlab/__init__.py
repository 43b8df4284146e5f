"""The searched networks in OpenMMLab's frameworks (mmsegmentation, mmdetection, mmdetection3d).

A config that imports this package, ``custom_imports = dict(imports=["ncp.openmmlab"])``, can say

    backbone=dict(type="NCPBackbone", architecture="ncp_seg")

and gets the four maps of the network's last block, at 1/4, 1/8, 1/16 and 1/32 of the image. Beside it are ``NCPJoin`` (the maps
joined at the finest one's size), for mmdetection3d ``NCPPillarNet`` and ``NCPAnchorHead`` (pillars and boxes as they are made
here), and ``NCPKittiMetric`` (KITTI's average precision without numba.cuda). What needs a package that is not installed is not
registered. ``src.export format=mmseg|mmdet|mmdet3d`` writes configs that use them.

Importing needs mmengine: the extra ``mmseg`` brings it, ``make openmmlab`` all of the stack.
"""

import sys

from ncp import terminal
from ncp.errors import missing_extra

try:
    import mmengine  # noqa: F401
except ImportError as error:
    if (
        "ncp.openmmlab.train" in sys.orig_argv
    ):  # python -m imports this package before it runs the module, which would tell it
        terminal.say(missing_extra("mmengine", "mmseg"), stderr=True)
        raise SystemExit(2) from None
    raise missing_extra("mmengine", "mmseg") from error

from ncp.openmmlab.backbone import NCPBackbone
from ncp.openmmlab.join import NCPJoin
from ncp.openmmlab.metric import NCPKittiMetric
from ncp.openmmlab.pillars import NCPPillarNet

__all__ = ["NCPBackbone", "NCPJoin", "NCPKittiMetric", "NCPPillarNet"]

try:
    from ncp.openmmlab.head import NCPAnchorHead

    __all__ += ["NCPAnchorHead"]
except ImportError:  # mmdetection3d is not installed
    pass
