"""Exact costs against recorded figures, against a slow count layer by layer, and through torch."""

import csv
import math

import numpy as np
import pytest

from ncp.errors import UserError
from ncp.spaces import cost
from ncp.spaces.multires import SPACE, Architecture

# Forty rows of the release's seg table, from the cheapest to the dearest: architecture, flops (G), params (M)
RECORDED = (
    ("8_8-1_1_1_8-1_2_1_1_8_8-1_3_1_1_1_8_8_8-1_4_1_1_1_1_8_8_8_8-8", 0.010842562, 0.021322),
    ("24_16-1_1_1_56-1_2_1_1_24_64-1_3_2_1_1_16_8_40-1_4_1_1_1_1_24_48_64_40-64", 0.171278258, 0.469994),
    ("8_16-1_1_1_24-1_2_1_2_64_24-2_3_1_1_1_8_64_8-2_4_2_1_1_1_8_32_32_56-48", 0.217801874, 0.738938),
    ("16_16-1_1_1_24-2_2_1_1_16_48-1_3_2_2_1_48_32_16-2_4_2_1_2_1_24_16_56_48-48", 0.259694738, 0.84797),
    ("16_16-1_1_2_24-1_2_1_2_48_48-1_3_2_2_1_32_24_56-1_4_2_1_1_1_48_56_24_8-32", 0.300896626, 0.570466),
    ("16_32-2_1_1_8-2_2_1_1_32_32-1_3_1_1_1_64_56_32-1_4_2_1_2_1_48_48_8_64-64", 0.339844274, 0.654626),
    ("32_32-1_1_1_48-1_2_1_1_16_40-1_3_1_2_1_16_56_64-2_4_1_1_1_1_64_64_8_32-16", 0.412199506, 0.910066),
    ("8_16-2_1_2_32-2_2_2_2_48_64-1_3_2_1_1_24_40_48-1_4_1_1_1_1_16_64_16_40-48", 0.491986578, 1.02849),
    ("16_32-3_1_2_48-2_2_1_2_16_16-2_3_3_2_4_32_48_128-1_4_1_1_3_2_48_32_64_32-32", 0.787727986, 3.81709),
    ("32_48-2_1_2_16-2_2_2_1_32_96-2_3_4_1_4_64_32_128-1_4_4_2_1_3_32_48_48_80-64", 1.25646917, 4.68677),
    ("64_48-1_1_1_96-3_2_1_4_48_32-3_3_2_1_1_64_96_16-2_4_3_3_4_4_16_64_64_32-48", 1.559292818, 3.77045),
    ("48_48-1_1_3_80-2_2_1_3_16_112-1_3_4_2_2_80_16_96-1_4_4_3_3_1_48_112_16_80-96", 1.753404658, 3.965218),
    ("32_16-1_1_3_64-2_2_4_3_48_16-2_3_3_4_2_80_48_16-4_4_1_1_2_2_48_64_16_64-112", 1.998180882, 3.60405),
    ("48_16-1_1_1_80-3_2_3_2_64_96-2_3_1_3_2_64_80_64-2_4_2_3_2_3_48_64_48_48-112", 2.180586514, 5.284546),
    ("48_48-1_1_4_112-2_2_2_3_64_112-3_3_1_4_2_48_32_96-2_4_3_3_2_4_16_32_128_32-80", 2.363438546, 6.722882),
    ("32_32-3_1_2_16-3_2_1_3_64_48-4_3_3_1_4_64_96_128-2_4_4_2_1_2_32_48_112_112-32", 2.549084786, 11.318162),
    ("32_64-1_1_3_32-2_2_3_3_64_16-1_3_3_3_3_128_64_96-2_4_1_2_4_2_112_80_80_16-80", 2.69202069, 5.12133),
    ("16_48-1_1_4_48-1_2_1_2_128_80-1_3_3_4_1_80_128_112-2_4_4_2_1_3_80_96_64_112-16", 2.856933202, 7.157602),
    ("16_48-4_1_1_112-2_2_1_3_32_96-1_3_2_1_2_112_64_16-2_4_2_2_3_2_48_112_128_96-48", 2.96048117, 7.83245),
    ("16_32-2_1_1_80-1_2_1_3_80_96-1_3_1_3_1_64_96_16-2_4_4_1_2_3_112_32_112_16-128", 3.08925573, 5.256642),
    ("64_32-2_1_4_96-2_2_3_3_64_128-1_3_3_2_3_48_112_96-1_4_1_2_3_1_96_48_64_128-128", 3.228295474, 6.612946),
    ("48_32-2_1_3_48-3_2_1_2_80_64-3_3_2_1_2_112_112_112-2_4_4_2_1_2_32_32_32_64-96", 3.40584933, 7.25661),
    ("64_48-2_1_4_112-1_2_2_1_96_96-2_3_2_4_2_48_112_48-1_4_1_1_3_1_16_112_128_96-16", 3.553878354, 7.136754),
    ("64_32-2_1_4_16-4_2_1_3_16_80-3_3_3_4_2_48_112_16-4_4_1_4_1_3_64_128_32_96-96", 3.694982898, 14.072274),
    ("32_16-3_1_2_80-2_2_1_3_128_96-1_3_3_2_3_64_48_32-3_4_2_4_4_1_96_48_48_112-48", 3.873119634, 7.134162),
    ("16_32-2_1_2_80-3_2_1_2_112_80-3_3_3_3_4_48_96_112-1_4_4_2_3_2_112_32_48_96-80", 4.043292114, 9.911586),
    ("48_48-3_1_3_112-2_2_1_4_16_96-1_3_3_4_3_64_32_80-2_4_3_2_4_1_80_96_80_128-48", 4.219093394, 8.329154),
    ("32_16-4_1_2_32-2_2_4_4_128_128-2_3_4_4_4_64_16_32-2_4_1_2_2_2_16_48_48_112-112", 4.39439669, 8.159954),
    ("48_64-1_1_3_48-2_2_2_4_48_80-2_3_4_3_2_96_112_80-4_4_1_2_1_1_128_48_16_96-96", 4.621502706, 8.817186),
    ("32_64-4_1_4_64-3_2_3_1_32_128-4_3_2_1_4_96_96_64-4_4_3_2_2_4_48_48_64_128-48", 4.922066834, 14.898578),
    ("64_48-2_1_3_128-2_2_4_1_80_32-3_3_4_2_1_48_64_32-1_4_4_3_3_2_112_112_16_96-16", 5.136562514, 6.669074),
    ("32_48-3_1_4_128-3_2_2_1_80_80-1_3_2_3_3_16_48_80-1_4_4_2_1_1_32_64_96_64-96", 5.34124517, 6.765266),
    ("32_64-3_1_3_128-2_2_4_3_112_16-1_3_1_3_4_64_32_112-1_4_3_2_3_1_32_48_64_112-80", 5.600883666, 7.161138),
    ("32_48-1_1_4_128-2_2_2_4_112_128-2_3_4_1_2_112_16_80-2_4_2_2_4_4_48_112_112_32-96", 6.004238578, 11.697586),
    ("64_16-1_1_3_48-4_2_1_4_128_80-4_3_2_1_4_128_64_112-1_4_1_3_1_1_48_112_16_32-64", 6.317326514, 13.28021),
    ("64_48-1_1_3_48-4_2_2_4_128_128-3_3_2_2_1_64_48_64-3_4_4_4_1_3_32_128_16_16-128", 6.665853746, 14.78261),
    ("32_48-4_1_4_96-4_2_3_4_96_16-2_3_2_1_3_112_96_16-4_4_1_4_4_2_48_16_80_48-112", 7.231812626, 10.367282),
    ("32_16-4_1_1_80-1_2_4_1_64_128-4_3_4_1_3_128_64_80-2_4_3_2_3_3_80_80_48_64-32", 7.881273458, 11.649266),
    ("64_16-2_1_3_32-3_2_1_3_112_64-4_3_4_2_1_128_80_16-3_4_4_4_1_2_64_112_48_112-32", 9.127857266, 15.346802),
    (
        "128_128-2_1_4_128-2_2_4_4_128_128-2_3_4_4_4_128_128_128-2_4_4_4_4_4_128_128_128_128-128",
        13.727426866,
        28.290994,
    ),
)
DEFAULT = "64_64-2_1_2_64-2_2_2_2_64_64-2_3_2_2_2_64_64_64-2_4_2_2_2_2_64_64_64_64-64"
PUBLIC = ("cls-50-1000", "cls-50-100", "cls-10-1000", "cls-10c", "seg", "seg-4x", "video", "video-p")


def conv(tally, kernel, source, target, area, norm=True, bias=False):
    tally["macs"] += kernel * kernel * source * target * area
    tally["params"] += kernel * kernel * source * target + (2 * target if norm else 0) + (target if bias else 0)
    tally["normed"] += target * area if norm else 0
    tally["biased"] += target * area if bias else 0


def half(sides):
    return tuple((side + 1) // 2 for side in sides)


def slow_count(architecture, size, head, classes, in_channels=3, strides=(2, 2)):
    """Every convolution of the network, one after the other, as the specification lists them."""
    tally = dict.fromkeys(("macs", "params", "normed", "biased"), 0)
    i1, i2, o1 = architecture["i1"], architecture["i2"], architecture["o1"]
    sides = half(size) if strides[0] == 2 else size
    conv(tally, 3, in_channels, i1, sides[0] * sides[1])
    sides = half(sides) if strides[1] == 2 else sides
    conv(tally, 3, i1, i2, sides[0] * sides[1])
    branches = [sides]
    for _ in range(3):
        branches.append(half(branches[-1]))
    area = [h * w for h, w in branches]
    inputs = [i2]
    for units, channels in architecture.blocks:
        new = len(channels) > len(inputs) and len(channels) > 1
        for i, width in enumerate(channels):
            if new and i == len(channels) - 1:
                conv(tally, 3, channels[i - 1], width, area[i])  # from the fused branch above
                continue
            if i > 0:
                conv(tally, 3, inputs[i - 1], width, area[i])
            conv(tally, 3, inputs[i], width, area[i])
            if i + 1 < len(inputs):
                conv(tally, 1, inputs[i + 1], width, area[i + 1])  # before it is enlarged
        for i, (n, width) in enumerate(zip(units, channels, strict=True)):
            for _ in range(2 * n):
                conv(tally, 3, width, width, area[i])
        inputs = list(channels)
    segmentation = head == "segmentation"
    conv(tally, 1, sum(inputs), o1, area[0] if segmentation else area[3])
    if classes:
        conv(tally, 1, o1, classes, area[0] if segmentation else 1, norm=False, bias=True)
    return tally


def test_forty_recorded_rows_to_the_last_digit():
    codes = [Architecture.parse(text).code for text, _, _ in RECORDED]
    flops, params = cost.release_units(np.array(codes))
    assert len(set(codes)) == 40
    assert flops.tolist() == [f for _, f, _ in RECORDED]
    assert params.tolist() == [p for _, _, p in RECORDED]


@pytest.mark.parametrize("setting", PUBLIC)
def test_every_row_of_the_public_settings(shared, setting):
    from ncp.benchmark import pickles

    rows = pickles.read(shared / "nas-bench-mr" / "data" / setting / "trainval.pkl")
    flops, params = cost.release_units(np.array([row["embedding"] for row in rows]))
    assert len(rows) > 2000
    assert flops.tolist() == [row["flops"] for row in rows]
    assert params.tolist() == [row["params"] for row in rows]


def test_the_detection_table_was_counted_at_two_sizes(shared):
    from ncp.benchmark import pickles

    rows = pickles.read(shared / "nas-bench-mr" / "data" / "3ddet" / "trainval.pkl")
    codes = np.array([row["embedding"] for row in rows])
    recorded = np.array([row["flops"] for row in rows])
    at = {size: np.abs(cost.kitti_units(codes, size)[0] - recorded) < 0.000501 for size in (128, 112)}
    assert (at[128] ^ at[112]).all()
    assert {size: int(mask.sum()) for size, mask in at.items()} == {128: 911, 112: 1361}


def cut(value, digits=2):
    """The paper's Table 3 cuts its figures after two decimals (0.7453 is printed as 0.74)."""
    return math.floor(float(value) * 10**digits) / 10**digits


# Networks of the paper's Table 3 that the release holds: code, FLOPs (G) and parameters (M) as printed
PAPER = (
    ("40_40_1_4_8_1_1_2_104_56_1_3_1_1_56_32_88_3_1_1_3_3_8_64_128_128_16", 0.90, 7.91),
    ("8_8_1_1_88_1_1_1_8_8_1_1_1_1_64_128_128_1_1_1_1_4_80_128_128_48_128", 0.74, 2.56),
    ("120_48_1_1_24_1_3_4_80_128_1_1_3_1_96_8_128_1_1_1_2_1_40_80_40_96_112", 1.21, 2.89),
)


@pytest.mark.parametrize(("code", "flops_g", "params_m"), PAPER)
def test_the_papers_own_networks(code, flops_g, params_m):
    flops, params = cost.paper_units(Architecture.parse(code))
    assert (cut(flops), cut(params)) == (flops_g, params_m)


def test_the_start_of_the_papers_searches():
    flops, params = cost.paper_units(Architecture.parse(DEFAULT))
    assert (round(float(flops), 3), round(float(params), 3)) == (1.978, 4.127)


def test_the_file_of_the_papers_networks(shared):
    with (shared / "paper_networks.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["paper_flops_g"]]
    assert len(rows) == 3
    for row in rows:
        flops, params = cost.paper_units(Architecture.parse(row["code"]))
        assert (cut(flops), cut(params)) == (float(row["paper_flops_g"]), float(row["paper_params_m"]))


CASES = [
    ((128, 128), "segmentation", 19, 3, (2, 2)),
    ((128, 128), "classification", 50, 3, (2, 2)),
    ((128, 128), "segmentation", 19, 3, (2, 1)),
    ((97, 31), "segmentation", 7, 3, (2, 2)),
    ((33, 65), "classification", 1000, 1, (2, 2)),
    ((496, 432), "segmentation", 0, 64, (2, 1)),
    ((1, 1), "classification", 2, 3, (2, 2)),
    ((50, 70), "classification", 10, 4, (1, 1)),
    ((512, 1024), "segmentation", 150, 3, (2, 2)),
]


@pytest.mark.parametrize(("size", "head", "classes", "in_channels", "strides"), CASES)
def test_against_a_count_of_every_layer(size, head, classes, in_channels, strides):
    architectures = SPACE.sample(25, np.random.default_rng(0))
    found = cost.count(architectures, size, head, classes, in_channels, strides)
    slow = [slow_count(a, size, head, classes, in_channels, strides) for a in architectures]
    assert found.macs.tolist() == [t["macs"] for t in slow]
    assert found.params.tolist() == [t["params"] for t in slow]
    assert found.macs.dtype == found.params.dtype == np.int64


def test_the_slow_count_itself_meets_the_record():
    for text, flops, params in RECORDED:
        tally = slow_count(Architecture.parse(text), (128, 128), "classification", 50)
        assert (tally["macs"] + tally["biased"] + 2 * tally["normed"]) / 1e9 == flops
        assert tally["params"] / 1e6 == params


def test_one_code_a_list_and_a_batch_agree():
    architecture = Architecture.parse(DEFAULT)
    one, batch = cost.count(architecture), cost.count(np.array([architecture.code] * 3))
    slow = slow_count(architecture, (128, 128), "segmentation", 19)
    assert (int(one.macs), int(one.params)) == (slow["macs"], slow["params"])
    assert batch.macs.tolist() == [int(one.macs)] * 3
    assert (
        cost.count([architecture.code]).params.tolist()
        == cost.count([architecture]).params.tolist()
        == [int(one.params)]
    )


def test_large_inputs_do_not_overflow():
    largest = Architecture(tuple(int(v) for v in SPACE.upper))
    size = (2048, 4096)
    assert int(cost.count(largest, size).macs) == slow_count(largest, size, "segmentation", 19)["macs"] > 2**40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"head": "detection"}, "segmentation, classification"),
        ({"size": (0, 128)}, "positive"),
        ({"classes": -1}, "negative"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(UserError, match=message):
        cost.count(Architecture.parse(DEFAULT), **arguments)


def test_codes_of_another_length_are_refused():
    with pytest.raises(UserError, match="27"):
        cost.count(np.zeros((4, 26), dtype=int))


def test_through_torch_value_and_gradient():
    import torch

    codes = np.array([a.code for a in SPACE.sample(8, np.random.default_rng(3))])
    exact = cost.count(codes)
    x = torch.tensor(codes, dtype=torch.float64, requires_grad=True)
    found = cost.count(x)
    assert found.macs.detach().numpy() == pytest.approx(exact.macs, rel=1e-12)
    assert found.params.detach().numpy() == pytest.approx(exact.params, rel=1e-12)
    (gradient,) = torch.autograd.grad(found.macs.sum(), x)
    # a polynomial of degree three at most in each number: central differences with step 1 are off by f'''/6 alone,
    # so two steps (1 and 2) give the derivative itself
    for k in range(SPACE.dim):

        def rise(step, k=k):
            up, down = codes.copy(), codes.copy()
            up[:, k] += step
            down[:, k] -= step
            return (cost.count(up).macs - cost.count(down).macs) / (2 * step)

        wanted = (4 * rise(1) - rise(2)) / 3
        assert gradient[:, k].numpy() == pytest.approx(wanted, rel=1e-9), SPACE.labels[k]
    assert (gradient > 0).all()
