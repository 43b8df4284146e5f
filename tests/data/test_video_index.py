"""What packets say of frames: worked by hand."""

import pytest

from ncp.data import video_index as VI
from ncp.data.video_index import _Packet


def unit(kind, content=b"\x88\x84"):
    body = bytes([kind]) + content
    return len(body).to_bytes(4, "big") + body


RECOVERY = b"\x06\x01"  # kind and size of the message
PICTURE = unit(0x61)


@pytest.mark.parametrize(
    ("content", "exact"),
    [
        (unit(0x65), True),  # an instantaneous refresh
        (PICTURE, False),  # a picture that says nothing of itself
        (unit(6, RECOVERY + b"\x84\x80") + PICTURE, True),  # all is right after 0 frames
        (unit(6, RECOVERY + b"\x44\x80") + PICTURE, False),  # after 1
        (unit(6, b"\x05\x02ab" + RECOVERY + b"\x84\x80") + PICTURE, True),  # behind another message
        (unit(6, b"\x05\xff\x2d" + b"x" * 300 + RECOVERY + b"\x84\x80") + PICTURE, True),  # a long one
        (unit(6, b"\x05\xff\xff\xff") + PICTURE, False),  # longer than its unit
        (b"\0\0", False),
        (b"\xff\xff\xff\xff\x65", True),
    ],
)
def test_where_decoding_of_h264_may_begin(content, exact):
    assert VI._is_exact(content, 4) is exact


def packet(shown, decoded, begins=False, hidden=False):
    return _Packet(shown, decoded, begins, hidden, 1, False)


def test_numbers_are_those_of_the_order_of_showing():
    # stored I P B B I P B; the second key frame is the fourth that is shown
    stored = [(0, -2, True), (30, -1), (10, 0), (20, 1), (40, 2, True), (60, 3), (50, 4)]
    index = VI._by_time([packet(*values) for values in stored])
    assert index == VI.Index(7, ((0, 0), (4, 40)), (0, 10, 20, 30, 40, 50, 60))


def test_a_key_frame_that_is_cut_away_is_where_the_first_shown_begins():
    stored = [packet(-20, -30, True, True), packet(-10, -20, False, True), packet(0, -10), packet(10, 0, True)]
    assert VI._by_time(stored) == VI.Index(2, ((0, -20), (1, 10)), (0, 10))


def test_the_lengths_before_units():
    assert VI._nal_prefix(None) == VI._nal_prefix(b"") == VI._nal_prefix(b"\0\0\0\1\x67abc") == 0
    assert VI._nal_prefix(b"\x01\x64\x00\x1f\xff\xe1\x00") == 4
    assert VI._nal_prefix(b"\x01\x64\x00\x1f\xfd\xe1\x00") == 2
