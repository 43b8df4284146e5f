"""Architectures with a name: the start of every search and the networks that the paper found.

Source: the public release of the paper's networks. ``ncp_seg``, ``ncp_video`` and ``ncp_det3d`` are those of the paper's
Table 3 (Seg, Video, 3dDet). The release also calls one network the classification network; its cost (2.75 G, 7.14 M) is not
that of Table 3's Cls (2.05 G, 5.35 M), whose code is not public.
"""

from __future__ import annotations

from typing import Any

from ncp import files
from ncp.errors import UserError
from ncp.spaces.multires import Architecture

FOUND: dict[str, str] = {
    "default": "64_64-2_1_2_64-2_2_2_2_64_64-2_3_2_2_2_64_64_64-2_4_2_2_2_2_64_64_64_64-64",
    "ncp_cls": "88_128-1_1_1_128-1_2_1_4_120_32-2_3_1_2_4_128_128_128-1_4_1_1_1_1_32_128_8_8-128",
    "ncp_seg": "40_40-1_1_4_8-1_2_1_2_104_56-1_3_3_1_1_56_32_88-3_4_1_1_3_3_8_64_128_128-16",
    "ncp_video": "8_8-1_1_1_88-1_2_1_1_8_8-1_3_1_1_1_64_128_128-1_4_1_1_1_4_80_128_128_48-128",
    "ncp_det3d": "120_48-1_1_1_24-1_2_3_4_80_128-1_3_1_3_1_96_8_128-1_4_1_1_2_1_40_80_40_96-112",
}


def get(name: str) -> Architecture:
    """The architecture called ``name``; raises ``UserError`` if there is none.

    >>> get("ncp_seg")["o1"]
    16
    """
    if name not in FOUND:
        raise UserError(f"unknown architecture '{files.shown(name)}'; the named ones are {', '.join(FOUND)}")
    return Architecture.parse(FOUND[name])


def named(space: str, value: Any) -> Any:
    """The architecture of a known name in the space that these are of; anything else as it is.

    >>> named("multires", "ncp_seg")["o1"], named("nasbench201", "ncp_seg")
    (16, 'ncp_seg')
    """
    return get(value) if space == "multires" and isinstance(value, str) and value in FOUND else value
