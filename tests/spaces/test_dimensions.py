"""The 27 numbers, against the paper's counts (section 3.2)."""

from ncp.spaces.dimensions import DIMENSIONS, INDEX, NAMES, STAGE_START


def test_the_order_is_the_papers():
    assert " ".join(NAMES) == (
        "i1 i2 b1 n1_1 c1_1 b2 n2_1 n2_2 c2_1 c2_2 b3 n3_1 n3_2 n3_3 c3_1 c3_2 c3_3 "
        "b4 n4_1 n4_2 n4_3 n4_4 c4_1 c4_2 c4_3 c4_4 o1"
    )
    assert [NAMES[start] for start in STAGE_START] == ["b1", "b2", "b3", "b4"]
    assert INDEX["o1"] == 26


def test_bounds_and_steps_are_the_papers():
    """b and n are in 1..4, i, c and o in {8, 16, ..., 128}: 4 ** 14 x 16 ** 13 architectures."""
    sizes = [(d.upper - d.lower) // d.step + 1 for d in DIMENSIONS]
    assert sizes.count(4) == 14
    assert sizes.count(16) == 13
    assert {d.kind for d in DIMENSIONS if d.step == 8} == {"i", "c", "o"}
    assert all(d.name.startswith(d.kind) for d in DIMENSIONS)
