"""The two spaces of TransNAS-Bench-101: strings, codes, costs against networks that are built here, equal functions."""

import csv
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transnas_networks import built

from ncp import spaces
from ncp.errors import UserError
from ncp.spaces import transnas_macro, transnas_micro

MICRO, MACRO = spaces.get("transnas-micro"), spaces.get("transnas-macro")


def counted(text: str, size: tuple[int, int]) -> tuple[int, int]:
    macs = 0

    def hook(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal macs
        macs += layer.weight.numel() * out.shape[2] * out.shape[3]

    with torch.device("meta"):
        network = built(text)
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(hook)
        network(torch.zeros(1, 3, *size))
    return sum(p.numel() for p in network.parameters()), macs


@pytest.mark.parametrize("space", [MICRO, MACRO], ids=lambda space: space.name)
def test_costs_are_those_of_the_built_networks(space):
    some = [*space.sample(2, np.random.default_rng(1)), space.default()]
    module = {"transnas-micro": transnas_micro, "transnas-macro": transnas_macro}[space.name]
    codes = space.encode(some).astype(np.int64)
    for size in ((224, 224), (135, 250)):
        cost = module.count(codes, size)
        assert cost.params.dtype == cost.macs.dtype == np.int64
        assert list(zip(cost.params.tolist(), cost.macs.tolist(), strict=True)) == [counted(a.text, size) for a in some]


@pytest.mark.parametrize("space", [MICRO, MACRO], ids=lambda space: space.name)
def test_costs_and_features_have_gradients_and_agree_with_numpy(space):
    codes = space.encode(space.sample(5, np.random.default_rng(2)))
    x = torch.tensor(codes, requires_grad=True)
    np.testing.assert_allclose(space.cost(x).macs.detach().numpy(), space.cost(codes).macs, rtol=1e-12)
    np.testing.assert_allclose(space.features(x).detach().numpy(), space.features(codes), rtol=1e-9, atol=1e-9)
    (slope,) = torch.autograd.grad(space.cost(x).macs.sum(), x)
    ahead = codes + 1e-4 * np.eye(space.dim)[7]
    measured = (space.cost(ahead).macs - space.cost(codes).macs) / 1e-4
    np.testing.assert_allclose(slope[:, 7], measured, rtol=1e-3, atol=1)


def test_the_spaces_have_the_published_numbers_of_architectures():
    assert len({a.text for a in MICRO.all()}) == 4096
    assert Counter(len(a.digits) for a in MACRO.all()) == {4: 210, 5: 750, 6: 2296}
    for space in (MICRO, MACRO):
        every = space.all()
        codes = space.encode(every)
        assert space.texts(codes) == [a.text for a in every]
        np.testing.assert_array_equal(space.round(codes), codes)
        for a in every[::211]:
            assert space.parse(a.text) == space.parse(a.code) == space.parse({"arch": a.text}) == a


def test_rounding_takes_the_nearest_network():
    codes = MACRO.project(np.random.default_rng(0).normal(0.3, 0.5, (40, 30)))
    np.testing.assert_allclose(codes.reshape(40, 6, 5).sum(-1), 1)
    valid = MACRO.encode(MACRO.all())
    nearest = ((codes[:, None] - valid) ** 2).sum(-1).min(1)
    np.testing.assert_allclose(((MACRO.round(codes) - codes) ** 2).sum(-1), nearest)


def test_mutations_of_the_macro_space_add_delete_or_change_one_module():
    a = MACRO.parse("64-2131-basic")
    added, changed = ([b.text[3:-6] for b in kind] for kind in MACRO.mutations(a))  # of four modules none is deleted
    assert len(added) == 5 * 4  # every place and kind
    assert all(len(b) == 5 for b in added)
    assert set(changed) >= {"2132", "2141", "4131", "2133"}
    assert "1131" not in changed  # no module would double the channels
    assert "2111" not in changed  # none would halve the size
    near = MACRO.neighbours(a)
    assert len(near) == len(set(near)) == len(set(added) | set(changed))
    for b in MACRO.neighbours(MACRO.parse("64-224131-basic")):
        assert a in MACRO.neighbours(b) or len(b.digits) >= 5


def test_neighbours_of_a_cell_differ_in_one_edge():
    near = MICRO.neighbours(MICRO.parse("3_03_122"))
    assert len(set(near)) == 18
    assert all(sum(x != y for x, y in zip(b.operations, (3, 0, 3, 1, 2, 2), strict=True)) == 1 for b in near)


@pytest.mark.parametrize(
    ("space", "given", "message"),
    [
        (MICRO, "64-41414-3_04_122", "digit 3 of a cell must be one of 0, 1, 2, 3; given was '4'"),
        (MICRO, "64-41414-3_0_122", "six digits 0..3"),
        (MICRO, "64-1414-3_03_122", "stand in 64-41414"),
        (MICRO, "64-21231-basic", "six digits"),
        (MICRO, [1] * 24, "edge 0>1 must have one 1 and three 0"),
        (MICRO, [0] * 23, "24 numbers"),
        (MICRO, "3" * 200, "at most 100 characters"),
        (MICRO, 3, "given was a whole number"),
        (MACRO, "64-21531-basic", "digit 3 of the modules must be one of 1, 2, 3, 4; given was '5'"),
        (MACRO, "64-213-basic", "4 to 6 modules, this one 3"),
        (MACRO, "64-1113111", "4 to 6 modules, this one 7"),
        (MACRO, "64-3333-basic", "1 to 3 modules that double the channels .*, this one 0"),
        (MACRO, "64-444434-basic", "1 to 4 modules that halve the size .*, this one 6"),
        (MACRO, "32-2133-basic", "64-DIGITS-basic"),
        (MACRO, "64-2133-deep", "64-DIGITS-basic"),
        (MACRO, "64-41414-3_03_122", "64-DIGITS-basic"),
        (MACRO, [1, 0, 0, 0, 0] + [0, 1, 0, 0, 0] * 5, "position 1 holds no module and a later one does"),
        (MACRO, {"x": 1}, "needs code, text or arch"),
    ],
)
def test_refusals(space, given, message):
    with pytest.raises(UserError, match=message):
        space.parse(given)


def test_cells_that_compute_the_same_have_one_canonical_form():
    for same in (
        ("0_00_200", "2_00_010", "0_20_001"),  # from the benchmark: they share one training
        ("0_00_310", "0_00_300", "0_01_301"),
        ("3_00_020", "0_30_002"),
        ("3_00_110", "3_10_011"),
    ):
        assert len({MICRO.canonical(MICRO.parse(text)) for text in same}) == 1
    for different in (
        ("3_00_010", "3_01_011", "3_00_310"),  # one convolution, the same one twice, two of them
        ("3_00_010", "3_00_020", "3_00_030"),
        ("3_31_021", "3_00_020"),
    ):
        assert len({MICRO.canonical(MICRO.parse(text)) for text in different}) == len(different)
    every = MICRO.all()
    assert all(MICRO.canonical(MICRO.canonical(cell)) == MICRO.canonical(cell) for cell in every[::17])


def test_equal_cells_give_equal_outputs():
    """Weights by what a convolution reads and where it ends make each convolution's result a fixed function of its input."""
    rng = np.random.default_rng(0)
    grouped: dict[str, list[str]] = {}
    for cell in MICRO.all():
        grouped.setdefault(MICRO.canonical(cell).text, []).append(cell.text[9:])
    shared = [texts for texts in grouped.values() if len(texts) > 1]
    weight = {digit: rng.normal(size=(5, 5)) for digit in "123"}

    def output(text: str) -> np.ndarray:
        sums = [np.ones(5)]
        for node in text.split("_"):
            total = np.zeros(5)
            for source, digit in enumerate(node):
                if digit == "0" or not sums[source].any():
                    continue
                plain = digit == "1" and source
                total += sums[source] if plain else np.tanh(weight[digit] @ sums[source])
            sums.append(total)
        return sums[-1]

    for texts in shared[:: max(1, len(shared) // 60)]:
        for text in texts:
            np.testing.assert_allclose(output(text), output(texts[0]), rtol=1e-9, atol=1e-12)


def test_trainings_that_the_benchmark_shares_are_of_equal_cells(shared: Path):
    path = shared / "transnas-bench-101" / "best_over_epochs.csv.gz"
    found: dict[tuple[str, ...], set[str]] = {}
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            if row["space"] == "micro":
                figures = tuple(v for k, v in row.items() if k not in ("index", "arch") and "time" not in k)
                found.setdefault(figures, set()).add(MICRO.canonical(MICRO.parse(row["arch"])).text)
    assert len(found) == 3028
    assert all(len(forms) == 1 for forms in found.values())
