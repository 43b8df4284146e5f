"""Random materials, by what things are usually made of; colours overlap, so that a colour alone tells no class."""

from __future__ import annotations

import colorsys

import numpy as np

from ncp.data.indoor.parts import Material, Rgb

Rng = np.random.Generator


def hsv(hue: float, saturation: float, value: float) -> Rgb:
    """A colour by its hue (0..1, any number of turns), saturation and value."""
    return colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))


def darker(colour: Rgb, factor: float) -> Rgb:
    """A colour times a factor, within 0..1."""
    r, g, b = (min(1.0, part * factor) for part in colour)
    return r, g, b


def _salt(rng: Rng) -> int:
    return int(rng.integers(1 << 16))


def wood(rng: Rng, across: float = 0.12) -> Material:
    """Boards of a width in metres: from dark walnut over beech to white paint."""
    tone = rng.random()
    if tone < 0.75:
        colour = hsv(rng.uniform(0.045, 0.11), rng.uniform(0.3, 0.68), rng.uniform(0.25, 0.85))
    else:
        colour = hsv(rng.random(), rng.uniform(0, 0.12), rng.uniform(0.15, 0.95))
    return Material("planks", colour, darker(colour, 0.55), (1.4, across), rng.uniform(0.05, 0.4), salt=_salt(rng))


def fabric(rng: Rng) -> Material:
    """Cloth, plain, striped or dotted."""
    colour = hsv(rng.random(), rng.uniform(0.05, 0.65), rng.uniform(0.2, 0.9))
    other = hsv(rng.random(), rng.uniform(0, 0.6), rng.uniform(0.3, 0.95))
    pattern = ("cloth", "cloth", "cloth", "stripes", "dots", "checker")[int(rng.integers(6))]
    size = rng.uniform(0.05, 0.2)
    return Material(pattern, colour, other, (size, size), 0.0, salt=_salt(rng))


def metal(rng: Rng) -> Material:
    """Steel, brass or black."""
    colour = hsv(rng.uniform(0.08, 0.16), float(rng.choice([0.03, 0.05, 0.4])), rng.uniform(0.15, 0.8))
    return Material("plain", colour, gloss=0.8, salt=_salt(rng))


def enamel(rng: Rng) -> Material:
    """White or coloured goods: glossy, mostly pale."""
    pale = rng.random() < 0.75
    colour = hsv(
        rng.random(), rng.uniform(0, 0.08) if pale else rng.uniform(0, 0.5), rng.uniform(0.75, 0.97) if pale else 0.4
    )
    return Material("plain", colour, gloss=0.7, salt=_salt(rng))


def stone(rng: Rng) -> Material:
    """Polished stone with veins."""
    colour = hsv(rng.uniform(0.0, 0.15), rng.uniform(0, 0.2), rng.uniform(0.2, 0.9))
    return Material("marble", colour, darker(colour, 0.6), (0.5, 0.5), 0.5, salt=_salt(rng))


def tiles(rng: Rng, side: float | None = None) -> Material:
    """Glazed tiles with joints, or two colours of them."""
    side = side or rng.uniform(0.12, 0.45)
    colour = hsv(rng.random(), rng.uniform(0, 0.35), rng.uniform(0.45, 0.97))
    joint = hsv(0.1, 0.05, rng.uniform(0.25, 0.8))
    pattern = "checker" if rng.random() < 0.2 else "tiles"
    return Material(pattern, colour, joint, (side, side * rng.choice([1.0, 1.0, 0.5])), 0.55, salt=_salt(rng))


def paint(rng: Rng, dark: float = 0.0) -> Material:
    """A painted wall."""
    colour = hsv(rng.random(), rng.uniform(0.02, 0.35), rng.uniform(0.6 - dark, 0.97))
    return Material("plain", colour, salt=_salt(rng))


def wallpaper(rng: Rng) -> Material:
    """Stripes or dots on a pale ground."""
    ground = hsv(rng.random(), rng.uniform(0.05, 0.3), rng.uniform(0.6, 0.95))
    other = hsv(rng.random(), rng.uniform(0.1, 0.5), rng.uniform(0.4, 0.9))
    size = rng.uniform(0.12, 0.4)
    return Material(("stripes", "dots")[int(rng.integers(2))], ground, other, (size, size), salt=_salt(rng))


def brick(rng: Rng) -> Material:
    """A bare wall of bricks."""
    colour = hsv(rng.uniform(0.0, 0.07), rng.uniform(0.2, 0.6), rng.uniform(0.35, 0.85))
    return Material("brick", colour, hsv(0.1, 0.05, rng.uniform(0.5, 0.85)), (0.26, 0.09), salt=_salt(rng))


def carpet(rng: Rng) -> Material:
    """A carpet from wall to wall."""
    colour = hsv(rng.random(), rng.uniform(0.05, 0.45), rng.uniform(0.25, 0.75))
    return Material("cloth", colour, darker(colour, 0.8), (0.05, 0.05), salt=_salt(rng))


def parquet(rng: Rng) -> Material:
    """A floor of boards."""
    colour = hsv(rng.uniform(0.05, 0.11), rng.uniform(0.3, 0.6), rng.uniform(0.35, 0.85))
    return Material(
        "planks", colour, darker(colour, 0.5), (1.2, rng.uniform(0.09, 0.2)), rng.uniform(0.1, 0.6), salt=_salt(rng)
    )


def light(rng: Rng) -> Material:
    """A lampshade that glows."""
    return Material("plain", hsv(rng.uniform(0.08, 0.15), rng.uniform(0.02, 0.3), 1.0), glow=rng.uniform(0.75, 1.0))


def leaves(rng: Rng) -> Material:
    """Foliage."""
    colour = hsv(rng.uniform(0.22, 0.4), rng.uniform(0.35, 0.75), rng.uniform(0.25, 0.6))
    return Material("leaves", colour, darker(colour, 0.45), (0.05, 0.05), salt=_salt(rng))


def patterned(pattern: str, rng: Rng, size: tuple[float, float], gloss: float = 0.2, glow: float = 0.0) -> Material:
    """Two random colours under a pattern, such as the backs of books or a picture."""
    first = hsv(rng.random(), rng.uniform(0.1, 0.7), rng.uniform(0.3, 0.95))
    second = hsv(rng.random(), rng.uniform(0.1, 0.7), rng.uniform(0.1, 0.9))
    return Material(pattern, first, second, size, gloss, glow, _salt(rng))
