"""The built-in indoor scenes: a small renderer of furnished rooms that knows the truth of seven tasks at once, no files.

From the camera back to the seed: :mod:`data` (the data set), :mod:`scenes` (one scene and its labels), :mod:`lighting`,
:mod:`textures`, :mod:`surfaces`, :mod:`casting` (from rays to colours), :mod:`rooms` and :mod:`kinds` (what stands where),
:mod:`furniture`, :mod:`fixtures`, :mod:`materials`, :mod:`parts`, :mod:`names`. All but the data set are numpy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncp.data.indoor.data import Indoor as Indoor


def __getattr__(name: str) -> Any:
    """``Indoor`` when it is asked for: drawing needs no torch."""
    if name == "Indoor":
        from ncp.data.indoor.data import Indoor

        return Indoor
    raise AttributeError(name)
