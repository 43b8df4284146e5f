"""Searches find what they found when predictors, costs and limits were followed by torch's autograd, in double precision."""

import pytest

from ncp.search import search

RECORDED = {
    "two tasks": (
        {"objectives": ["cls", "seg"]},
        "8_128-1_1_1_72-1_2_1_4_80_32-2_3_1_1_2_40_64_128-3_4_2_1_1_4_24_64_128_128-72",
    ),
    "four tasks": (
        {"objectives": ["cls", "seg", "det3d", "video"]},
        "80_56-1_1_1_80-1_2_1_3_88_96-1_3_2_1_1_40_96_120-2_4_4_2_2_4_24_72_128_128-128",
    ),
    "another lambda": (
        {"objectives": ["cls", "seg"], "lam": 2.0},
        "8_88-1_1_1_40-1_2_1_3_48_32-1_3_1_1_2_24_48_72-3_4_2_1_1_4_8_32_80_128-56",
    ),
    "weights": (
        {"objectives": [{"metric": "cls", "weight": 2.0}, {"metric": "seg", "weight": 0.5}], "combine": "mean"},
        "8_128-1_1_1_88-1_2_1_4_88_40-3_3_1_1_4_40_96_128-1_4_2_1_4_3_32_96_128_8-88",
    ),
    "multiply-adds": (
        {"objectives": ["cls", "seg"], "budget": {"macs": 5e8}},
        "8_96-1_1_1_48-1_2_1_3_56_40-1_3_1_1_2_32_48_88-3_4_2_1_1_4_16_40_96_128-64",
    ),
    "parameters": (
        {"objectives": ["cls"], "budget": {"params": 2e6}},
        "8_128-1_1_1_128-1_2_1_4_88_32-2_3_1_1_4_64_64_32-1_4_2_1_1_2_40_96_48_8-96",
    ),
    "both": (
        {"objectives": ["seg", "video"], "budget": {"macs": 8e8, "params": 3e6}},
        "16_8-1_1_1_64-1_2_1_3_72_80-2_3_3_1_2_16_88_80-1_4_4_2_1_4_24_72_80_88-128",
    ),
    "a floor for all": (
        {"objectives": ["seg"], "floor": {"seg": {"mIoU": 76}}},
        "24_8-1_1_1_32-1_2_1_1_32_16-1_3_4_1_1_8_40_56-3_4_3_4_1_4_8_8_72_128-48",
    ),
    "a floor and a limit": (
        {"objectives": ["cls"], "floor": {"seg": {"mIoU": 74}}, "budget": {"macs": 1.2e9}},
        "8_128-1_1_1_88-1_2_1_4_80_40-3_3_1_1_4_40_80_128-1_4_1_1_1_1_40_80_120_8-96",
    ),
    "bounds": (
        {"objectives": ["cls", "seg"], "bounds": {"c4_4": [8, 64], "b1": [1, 2]}},
        "8_128-1_1_1_72-1_2_1_4_72_24-4_3_1_1_4_32_88_128-1_4_3_1_4_2_32_80_128_8-80",
    ),
    "relations": (
        {"objectives": ["cls", "seg"], "relations": ["c2_1<=c3_1", "n3_1=n4_1"], "budget": {"macs": 1e9}},
        "8_128-1_1_1_72-1_2_1_3_56_32-2_3_1_1_2_56_56_128-3_4_1_1_1_4_32_56_128_128-80",
    ),
    "memory": (
        {"objectives": ["seg"], "budget": {"memory_mb": 24}},
        "56_40-1_1_1_64-2_2_1_1_104_8-2_3_3_1_1_56_88_56-3_4_3_3_1_3_56_40_80_104-48",
    ),
    "without doubt": (
        {"objectives": ["cls", "seg"], "kappa": 0.0},
        "8_128-1_1_1_64-1_2_1_4_72_24-4_3_1_1_4_32_88_128-1_4_3_1_4_1_24_80_128_8-80",
    ),
    "the paper's": (
        {"objectives": ["cls", "seg"], "strategy": "paper", "cost": "exact"},
        "8_128-1_1_1_88-1_2_1_4_80_48-1_3_1_2_1_72_80_8-4_4_1_1_4_4_8_120_128_128-80",
    ),
    "the paper's on the default predictors": (
        {"objectives": ["cls", "seg"], "strategy": "paper", "predictor": "default"},
        "8_128-1_1_1_80-1_2_1_2_80_40-2_3_1_1_2_40_56_128-3_4_1_1_1_4_24_64_128_128-80",
    ),
    "one step at a time": (
        {"objectives": ["cls", "seg"], "strategy": "winner_takes_all"},
        "8_120-1_1_1_64-1_2_1_4_64_64-2_3_1_2_1_64_64_104-2_4_1_1_4_4_48_64_96_112-96",
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_the_same_architectures_are_found(name):
    problem, text = RECORDED[name]
    assert search(**problem).architecture.text == text
