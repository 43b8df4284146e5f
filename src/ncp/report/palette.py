"""The colours of all pictures: one palette, the same colour for the same thing everywhere."""

from __future__ import annotations

Colour = str | tuple[float, float, float]
"""``#RRGGBB``, or parts of 0..1."""

# Okabe and Ito's palette, told apart by people with any common colour vision
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
INK, GREY, FAINT = "#222222", "#777777", "#E6E6E6"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY)
COST = VERMILION


def parts(colour: Colour) -> tuple[float, float, float]:
    """Red, green and blue of 0..1."""
    if not isinstance(colour, str):
        return colour
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def dark(colour: Colour) -> tuple[float, float, float]:
    """The colour for type: dark enough to be read on white."""
    red, green, blue = parts(colour)
    return (0.75 * red, 0.75 * green, 0.75 * blue)


def pale(colour: Colour, share: float) -> tuple[float, float, float]:
    """The colour as it looks on white where it covers a share."""
    red, green, blue = (1 - share * (1 - part) for part in parts(colour))
    return red, green, blue
