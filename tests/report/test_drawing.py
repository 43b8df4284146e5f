"""The text drawing against a hand-made one."""

from ncp import spaces
from ncp.report.drawing import draw

TEXT = "40_48-1_1_4_8-2_2_1_1_104_56-1_3_1_1_2_32_88_128-3_4_1_1_3_3_8_64_128_16-24"


def test_a_drawing_shows_blocks_units_and_channels():
    drawing = draw(spaces.get("multires").parse(TEXT)).splitlines()
    assert [" ".join(line.split()) for line in drawing] == [
        "stage 1: 1 block stage 2: 2 blocks stage 3: 1 block stage 4: 3 blocks",
        "1/4 ●●●● ▍ 8 ● ████▉ 104 ● █▌ 32 ● ▍ 8",
        "1/8 ● ██▋ 56 ● ████▏ 88 ● ███ 64",
        "1/16 ●● ██████ 128 ●●● ██████ 128",
        "1/32 ●●● ▊ 16",
        "stem 40, 48; join 24 channels",
    ]
    assert drawing[3].index("●") == drawing[0].index("stage 3")  # 1/16 begins in stage 3, below its heading
    assert max(map(len, drawing)) <= 80


def test_an_architecture_of_another_space_is_written_as_its_text():
    space = spaces.get("nasbench201")
    assert draw(space.default()) == space.default().text
