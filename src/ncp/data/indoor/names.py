"""What the indoor scenes are labelled with: objects, semantic classes, kinds of rooms. numpy alone."""

from __future__ import annotations

import numpy as np

# object, semantic class
_OBJECTS = (
    ("armchair", "sofa"),
    ("bathtub", "sanitary"),
    ("bed", "bed"),
    ("board", "picture"),
    ("bookcase", "storage"),
    ("bottle", "thing"),
    ("cabinet", "storage"),
    ("chair", "chair"),
    ("curtain", "textile"),
    ("desk", "table"),
    ("door", "door"),
    ("floor lamp", "lamp"),
    ("hanging lamp", "lamp"),
    ("mirror", "picture"),
    ("picture", "picture"),
    ("plant", "plant"),
    ("refrigerator", "appliance"),
    ("rug", "textile"),
    ("screen", "screen"),
    ("sink", "sanitary"),
    ("sofa", "sofa"),
    ("stove", "appliance"),
    ("table", "table"),
    ("toilet", "sanitary"),
    ("toy", "thing"),
    ("wardrobe", "storage"),
    ("washing machine", "appliance"),
    ("window", "window"),
)
OBJECTS = tuple(name for name, _ in _OBJECTS)
"""Classes of objects; the room itself (wall, floor, ceiling) is none."""

# semantic class and its colour in pictures
_SEMANTIC = (
    ("wall", (152, 152, 164)),
    ("floor", (110, 82, 58)),
    ("ceiling", (214, 214, 204)),
    ("door", (160, 96, 32)),
    ("window", (112, 190, 240)),
    ("table", (214, 150, 60)),
    ("chair", (206, 60, 60)),
    ("sofa", (150, 40, 110)),
    ("bed", (90, 70, 190)),
    ("storage", (96, 128, 56)),
    ("lamp", (250, 226, 80)),
    ("plant", (32, 150, 60)),
    ("screen", (24, 24, 30)),
    ("appliance", (70, 200, 180)),
    ("sanitary", (240, 240, 250)),
    ("textile", (226, 120, 170)),
    ("picture", (20, 90, 140)),
    ("thing", (255, 90, 20)),
)
MERGED = {"thing": "table"}  # too small for a class of its own: what stands on furniture counts as the table's
SEMANTIC = tuple(name for name, _ in _SEMANTIC if name not in MERGED)
"""The 17 semantic classes."""
PALETTE = tuple(colour for name, colour in _SEMANTIC if name not in MERGED)
WALL, FLOOR, CEILING = (SEMANTIC.index(name) for name in ("wall", "floor", "ceiling"))
SEMANTIC_OF = np.array([SEMANTIC.index(MERGED.get(kind, kind)) for _, kind in _OBJECTS], dtype=np.uint8)
"""``(objects,)``: the semantic class of each object."""

# kind of room -> kinds that it is like
_LIKE = {
    "bathroom": ("laundry room",),
    "bedroom": ("child's room", "living room"),
    "child's room": ("bedroom",),
    "classroom": ("conference room", "office"),
    "conference room": ("classroom", "office", "dining room"),
    "corridor": ("office",),
    "dining room": ("living room", "conference room", "kitchen"),
    "kitchen": ("dining room", "laundry room"),
    "laundry room": ("bathroom", "kitchen"),
    "library": ("office", "living room"),
    "living room": ("dining room", "library"),
    "office": ("library", "conference room"),
}
SCENES = tuple(_LIKE)
"""Kinds of rooms."""
OWN_SHARE = 0.9  # of a scene's soft label; the rest goes to what the room is like, in equal parts


def _soft() -> np.ndarray:
    out = np.zeros((len(SCENES), len(SCENES)), dtype=np.float32)
    for row, like in enumerate(_LIKE.values()):
        out[row, row] = OWN_SHARE
        for name in like:
            out[row, SCENES.index(name)] = (1 - OWN_SHARE) / len(like)
    return out


SOFT_SCENES = _soft()
"""``(scenes, scenes)`` float32: a row is the soft label of a kind of room."""
