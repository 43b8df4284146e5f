"""The encoders against networks that are written a second time (``transnas_networks``), and against the spaces' counts."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from transnas_networks import built

from ncp import spaces
from ncp.errors import UserError
from ncp.models.blocks import scale_residuals
from ncp.models.transnas.encoder import BasicBlock, Cell, Encoder, in_use
from ncp.spaces import transnas_macro, transnas_micro
from ncp.spaces.cell import EDGES

COUNTS = {"transnas-micro": transnas_micro.count, "transnas-macro": transnas_macro.count}
# cheap ones: idle edges before and behind, no way at all, skips where the size changes, a node used twice; 4 to 6 modules
TEXTS = (
    "64-41414-2_01_010", "64-41414-2_00_100", "64-41414-1_20_012", "64-41414-0_02_002", "64-41414-1_11_111", "64-3334-basic",
    "64-41131-basic", "64-211131-basic",
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("one_thread")


def encoder_of(text: str) -> Encoder:
    return Encoder(spaces.get(spaces.of_form(text)).parse(text))


def with_weights_of(plain: nn.Module, encoder: Encoder) -> nn.Module:
    """The plain network with the encoder's numbers, which it lists in the same order."""
    for ours, theirs in ((encoder.parameters(), plain.parameters()), (encoder.buffers(), plain.buffers())):
        for value, place in zip(ours, theirs, strict=True):
            assert value.shape == place.shape
            place.data.copy_(value)
    return plain


@pytest.mark.parametrize("text", TEXTS)
def test_an_encoder_computes_what_the_benchmark_describes(text):
    torch.manual_seed(1)
    encoder = encoder_of(text)
    plain = with_weights_of(built(text), copy.deepcopy(encoder))
    image = torch.randn(2, 3, 61, 43)
    ours, theirs = encoder(image), plain(image)  # norms take this batch's statistics
    assert ours.shape == theirs.shape == (2, encoder.channels, *theirs.shape[2:])
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    sides = [61, 43]
    for _ in range(encoder.reduction.bit_length() - 1):
        sides = [(side + 1) // 2 for side in sides]
    assert list(ours.shape[2:]) == sides
    if ours.requires_grad:
        weight = torch.randn_like(ours)
        (ours * weight).sum().backward()
        (theirs * weight).sum().backward()
        for mine, other in zip(encoder.parameters(), plain.parameters(), strict=True):
            assert (mine.grad is None) == (other.grad is None)
            if mine.grad is not None:
                torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-3)
    assert encoder.idle == any(p.grad is None for p in encoder.parameters())


@pytest.mark.parametrize("name", list(COUNTS))
def test_parameters_and_multiply_adds_are_the_spaces_own(name):
    space = spaces.get(name)
    some = [*space.sample(4, np.random.default_rng(3)), space.default(), space.narrow()]
    counts = COUNTS[name](space.encode(some).astype(np.int64), (135, 90))
    for i, architecture in enumerate(some):
        with torch.device("meta"):
            encoder = Encoder(architecture)
        macs = 0

        def hook(layer: nn.Module, _: object, out: torch.Tensor) -> None:
            nonlocal macs
            macs += layer.weight.numel() * out.shape[2] * out.shape[3]

        for layer in encoder.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(hook)
        encoder(torch.zeros(1, 3, 135, 90, device="meta"))
        assert sum(p.numel() for p in encoder.parameters()) == counts.params[i]
        assert macs <= counts.macs[i]
        assert macs == counts.macs[i] or encoder.idle


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", list(COUNTS))
def test_a_light_encoder_has_all_channels_in_proportion_and_larger_maps(name, stride):
    """Every convolution and norm of the full encoder is there, with a quarter of its channels; only the stem strides less."""
    for architecture in [*spaces.get(name).sample(3, np.random.default_rng(1)), spaces.get(name).default()]:
        with torch.device("meta"):
            full, light = Encoder(architecture), Encoder(architecture, base=16, stem_stride=stride)
            assert not full.light
            assert light.light
            assert (full.channels, full.reduction) == (4 * light.channels, 4 // stride * light.reduction)
            out = light(torch.zeros(2, 3, 128, 64, device="meta"))
        assert out.shape == (2, light.channels, 128 // light.reduction, 64 // light.reduction)
        for (key, wide), (other, narrow) in zip(full.state_dict().items(), light.state_dict().items(), strict=True):
            assert key == other
            inner = (1 if side == 3 and place == 1 else 4 for place, side in enumerate(wide.shape[:2]))
            assert list(wide.shape) == [
                side * factor for side, factor in zip(narrow.shape[:2], inner, strict=False)
            ] + list(narrow.shape[2:])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base": 15}, "model.base must be an even number from 4 to 64, given was 15"),
        ({"base": 128}, "model.base must be an even number from 4 to 64"),
        ({"base": 16.5}, "model.base must be an even number"),
        ({"stem_stride": 3}, "model.stem_stride must be one of 1, 2, 4, given was 3"),
    ],
)
def test_a_light_encoder_that_cannot_be_is_one_line(options, words):
    with pytest.raises(UserError, match=words):
        Encoder(transnas_micro.Architecture((3,) * 6), **options)


def test_edges_in_use_are_those_on_a_way_through_the_cell():
    for operations in np.random.default_rng(0).integers(0, 4, (200, 6)).tolist():
        paths = [p for p in ((0, 2, 5), (0, 4), (1, 5), (3,)) if all(operations[edge] for edge in p)]
        assert set(in_use(operations)) == {edge for path in paths for edge in path}
        assert all(EDGES[a][1] <= EDGES[b][1] for a, b in zip(in_use(operations), in_use(operations)[1:], strict=False))


def test_weights_begin_as_in_the_benchmark():
    torch.manual_seed(0)
    encoder = encoder_of("64-41414-0_00_300")
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            assert float(module.weight.detach().std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)
            assert module.bias is None
        if isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all() and (module.bias == 0).all())


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 3, 32, 32), "one image of 32x32 is too small to train on"),
        ((2, 4, 64, 64), "reads .batch, 3, height, width"),
    ],
)
def test_inputs_that_cannot_be_are_one_line(shape, words):
    with pytest.raises(UserError, match=words):
        encoder_of("64-41414-0_00_200")(torch.zeros(shape))


def test_a_gentle_start_leaves_the_shortest_way_through_a_cell():
    """With 0 as the scale what is left of a cell is its shortest way: the same as without its other edges."""
    torch.manual_seed(3)
    pairs = {
        (3, 3, 1, 3, 3, 2): (0, 0, 0, 3, 0, 0),  # 0 -> 3 beside 0 -> 1 -> 3 and 0 -> 1 -> 2 -> 3
        (3, 3, 2, 0, 3, 2): (3, 0, 0, 0, 3, 0),  # two convolutions in any case: by the first node
        (3, 0, 0, 0, 3, 0): (3, 0, 0, 0, 3, 0),
    }
    for operations, left in pairs.items():
        cell, alone = Cell(operations, 8, 8, 1), Cell(left, 8, 8, 1)
        for edge in alone.used:
            alone.edges[edge].load_state_dict(cell.edges[edge].state_dict())
        scale_residuals(cell, 0.0)
        x = torch.randn(2, 8, 6, 6)
        torch.testing.assert_close(cell(x), alone(x))
    block = BasicBlock(8, 8, 1)
    scale_residuals(block, 0.0)
    torch.testing.assert_close(block(x), x)
