"""An architecture as a few lines of text."""

from __future__ import annotations

from typing import Any

from ncp.numeric import several

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_BAR = 6  # characters of a full bar
_CELL = 4 + 1 + _BAR + 1 + 3
_COLUMN = _CELL + 4


def draw(architecture: Any) -> str:
    """A small drawing: stages from left to right, resolutions from fine to coarse.

    A cell shows the residual units of a branch (one dot each) and its channels (a bar and their number); all blocks of a
    stage are alike.
    Architectures of a space without stages are written as their text.
    """
    if not hasattr(architecture, "stages"):
        return str(architecture.text)
    stages = architecture.stages
    most = max(max(channels) for _, _, channels in stages)
    ceiling = max(most, 128)
    heads = [f"stage {s}: {several(b, 'block')}" for s, (b, _, _) in enumerate(stages, start=1)]
    lines = [" " * 6 + "".join(f"{text:<{_COLUMN}}" for text in heads)]
    for branch in range(len(stages)):
        cells = [
            _cell(units[branch], channels[branch], ceiling) if branch <= stage else ""
            for stage, (_, units, channels) in enumerate(stages)
        ]
        lines.append(f"1/{4 * 2**branch:<4}" + "".join(f"{cell:<{_COLUMN}}" for cell in cells))
    lines.append(f"stem {architecture['i1']}, {architecture['i2']}; join {architecture['o1']} channels")
    return "\n".join(line.rstrip() for line in lines)


def _cell(units: int, channels: int, ceiling: int) -> str:
    return f"{'●' * units:<4} {_bar(channels / ceiling)} {channels:>3}"


def _bar(share: float) -> str:
    eighths = max(1, round(share * _BAR * 8))
    text = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return f"{text:<{_BAR}}"
