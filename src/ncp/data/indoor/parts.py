"""What rooms and furniture are made of: convex parts with a material, grouped into items that stand somewhere.

Lengths are metres; z is up. An item's parts lie in its own frame: the origin at the middle of its footprint on the floor, +y the
side that it shows to the room.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ncp.data.indoor.names import OBJECTS

BOX, CYLINDER, BALL = range(3)
Rgb = tuple[float, float, float]
Triple = tuple[float, float, float]


class Material(NamedTuple):
    """How a surface looks.

    Attributes:
        pattern: one of :data:`ncp.data.indoor.textures.PATTERNS`.
        first, second: colours 0..1; the second is that of seams, stripes, dots.
        size: of the pattern's repetition along the surface and up, in metres.
        gloss: 0 matt .. 1 polished.
        glow: light of its own, 0..1.
        salt: of the pattern's random numbers.
    """

    pattern: str
    first: Rgb
    second: Rgb = (0.2, 0.2, 0.2)
    size: tuple[float, float] = (0.1, 0.1)
    gloss: float = 0.1
    glow: float = 0.0
    salt: int = 0


class Part(NamedTuple):
    """A convex body: a box, an upright elliptic cylinder, or an ellipsoid, by the corners of the box around it."""

    kind: int
    low: Triple
    high: Triple
    material: Material
    what: int  # index into OBJECTS


@dataclass
class Item:
    """Parts in one frame.

    Attributes:
        name: the object that most of it is.
        parts: of it.
        x, y, yaw: where it stands and how it is turned (radians, counter-clockwise from above).
        dense: how much of the light it holds up, 0..1.
        lamp: place of its light in its own frame and its strength, None where it gives none.
    """

    name: str
    parts: list[Part] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0
    dense: float = 0.9
    lamp: tuple[Triple, float] | None = None
    _size: Triple | None = None

    def box(self, low: Triple, high: Triple, material: Material, what: str | None = None, kind: int = BOX) -> None:
        """Add a part between two corners."""
        self.add(Part(kind, low, high, material, OBJECTS.index(what or self.name)))

    def add(self, part: Part) -> None:
        """Add a part."""
        self.parts.append(part)
        self._size = None

    def block(
        self, width: float, depth: float, z0: float, z1: float, material: Material, at: tuple[float, float] = (0.0, 0.0),
        what: str | None = None, kind: int = BOX,
    ) -> None:  # fmt: skip
        """Add a part of a width (x) and a depth (y) around a place, from one height to another."""
        low = (at[0] - width / 2, at[1] - depth / 2, z0)
        self.box(low, (at[0] + width / 2, at[1] + depth / 2, z1), material, what, kind)

    def legs(self, width: float, depth: float, height: float, thick: float, material: Material) -> None:
        """Add four legs at the corners of a footprint."""
        for sx in (-1, 1):
            for sy in (-1, 1):
                at = (sx * (width - thick) / 2, sy * (depth - thick) / 2)
                self.block(thick, thick, 0.0, height, material, at)

    @property
    def size(self) -> Triple:
        """Width, depth and height of the box around it, symmetric to its middle."""
        if self._size is None:
            width = 2 * max(max(-p.low[0], p.high[0]) for p in self.parts)
            depth = 2 * max(max(-p.low[1], p.high[1]) for p in self.parts)
            self._size = width, depth, max(p.high[2] for p in self.parts)
        return self._size
