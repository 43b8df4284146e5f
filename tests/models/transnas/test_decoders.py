"""Heads against the benchmark's description, layer by layer."""

import pytest
import torch
from torch import nn

from ncp import spaces
from ncp.errors import UserError
from ncp.models.transnas import nets
from ncp.models.transnas.decoders import DenseDecoder, SegmentationDecoder, scaled
from ncp.models.transnas.discriminator import Discriminator

# of the dense decoder's fourteen layers: those that double the size, by how often it must be doubled
GROWING = {2: {11, 13}, 3: {9, 11, 13}, 4: {7, 9, 11, 13}, 5: {5, 7, 9, 11, 13}, 6: {3, 5, 7, 9, 11, 13}}
WIDTHS = [1024, 1024, 512, 512, 256, 128, 64, 64, 32, 32, 16, 32, 16, 3]
pytestmark = pytest.mark.usefixtures("one_thread")


def layers_of(decoder: nn.Module) -> list[tuple[bool, int, int]]:
    convs = [m for m in decoder.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    assert all(conv.kernel_size == (3, 3) and conv.bias is not None for conv in convs)
    return [(isinstance(m, nn.ConvTranspose2d), m.in_channels, m.out_channels) for m in convs]


@pytest.mark.parametrize("times", GROWING)
def test_the_dense_decoder_has_fourteen_layers(times):
    with torch.device("meta"):
        decoder = DenseDecoder(200, 2**times)
        made = decoder(torch.zeros(2, 200, 256 >> times, 256 >> times))
    assert made.shape == (2, 3, 256, 256)
    wanted = [
        (place in GROWING[times], before, after)
        for place, (before, after) in enumerate(zip([200, *WIDTHS], WIDTHS, strict=False), 1)
    ]
    assert layers_of(decoder) == wanted
    norms = [m.num_features for m in decoder.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms == WIDTHS[:-1]


@pytest.mark.parametrize("times", GROWING)
def test_the_segmentation_decoder_ends_at_the_images_size(times):
    with torch.device("meta"):
        decoder = SegmentationDecoder(512, 2**times, 17)
        logits = decoder(torch.zeros(2, 512, 256 >> times, 256 >> times))
    assert logits.shape == (2, 17, 256, 256)
    widths = [1024, 512, 256, 128, 64, 32]
    plain = [(False, a, b) for a, b in zip([512, *widths[: 6 - times]], widths[: 7 - times], strict=True)]
    growing = [(True, a, b) for a, b in zip(widths[6 - times :], widths[7 - times :], strict=False)]
    assert layers_of(decoder) == [*plain, *growing, (True, 32, 32), (False, 32, 17)]


def test_the_short_segmentation_decoder_keeps_the_first_layer_and_those_that_grow():
    decoder = SegmentationDecoder(64, 8, 17, width=0.5, short=True)
    assert layers_of(decoder) == [(False, 64, 512), (True, 512, 32), (True, 32, 16), (True, 16, 16), (False, 16, 17)]
    assert decoder(torch.zeros(2, 64, 4, 8)).shape == (2, 17, 32, 64)


def test_dense_outputs_lie_between_minus_one_and_one():
    torch.manual_seed(0)
    made = DenseDecoder(8, 4, width=0.01)(10 * torch.randn(2, 8, 4, 4))
    assert float(made.detach().abs().max()) <= 1
    assert scaled(1024, 0.01) == 10


def test_the_discriminator_has_seven_convolutions_of_which_six_are_normalised():
    torch.manual_seed(0)
    network = Discriminator(width=0.25)
    image, target = torch.randn(2, 3, 64, 64), torch.randn(2, 3, 64, 64)
    for _ in range(30):  # a step of power iteration each
        logits = network(image, target)
    assert logits.shape == (2,)
    convs = [*network.layers, network.last]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in convs] == [
        (6, 16, 5, 4), (16, 32, 5, 4), (32, 64, 5, 4), (64, 64, 3, 1), (64, 128, 3, 1), (128, 128, 3, 1), (128, 1, 3, 1),
    ]  # fmt: skip
    largest = [float(torch.linalg.matrix_norm(c.weight.detach().flatten(1), 2)) for c in convs]
    assert largest[:-1] == pytest.approx([1] * 6, abs=0.03)
    assert abs(largest[-1] - 1) > 0.1
    full = sum(p.numel() for p in Discriminator().parameters())
    assert full == sum(i * o * k * k + o for i, o, k in (
        (6, 64, 5), (64, 128, 5), (128, 256, 5), (256, 256, 3), (256, 512, 3), (512, 512, 3), (512, 1, 3)
    ))  # fmt: skip


# encoder's channels of 64-41414-...: 512; of its heads the benchmark's parameters
HEADS = {
    "class_object": 512 * 75 + 75, "class_scene": 512 * 47 + 47, "room_layout": 512 * 9 + 9, "jigsaw": 9 * 512 * 1000 + 1000,
}  # fmt: skip


@pytest.mark.parametrize("task", list(nets.TASKS))
def test_every_task_has_a_network_on_every_space(task):
    for name in ("transnas-micro", "transnas-macro", "multires"):
        space = spaces.get(name)
        with torch.device("meta"):
            net = nets.build_scene(space.narrow(), task).eval()
            shape = (2, 9, 3, 64, 64) if task == "jigsaw" else (2, 3, 128, 64)
            out = net(torch.zeros(shape))
        dense = {"segmentsemantic": 17, "normal": 3, "autoencoder": 3}
        outputs = {"class_object": 75, "class_scene": 47, "room_layout": 9, "jigsaw": 1000}
        assert out.shape == ((2, dense[task], 128, 64) if task in dense else (2, outputs[task]))
        assert net.architecture == space.narrow()
        if task in HEADS and name == "transnas-micro":
            head = sum(p.numel() for p in net.parameters()) - int(space.cost([net.architecture.code]).params[0])
            assert head == HEADS[task]


def test_sides_that_do_not_divide_are_cut_to_the_images_size():
    net = nets.build_scene(spaces.get("transnas-micro").narrow(), "normal", decoder_width=0.01).eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 50, 70)).shape == (1, 3, 50, 70)


def test_a_jigsaw_shares_its_encoder_and_tells_places_apart():
    torch.manual_seed(0)
    net = nets.build_scene(spaces.get("transnas-macro").narrow(), "jigsaw", 4).eval()
    tiles = torch.randn(1, 9, 3, 32, 32)
    with torch.no_grad():
        logits, maps = net(tiles), net.backbone(tiles[0])  # one encoder for all nine
        pooled = maps.mean((2, 3)).flatten()
        torch.testing.assert_close(logits[0], net.head.classifier(pooled), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(logits, net(tiles.flip(1)))
    with pytest.raises(UserError, match=r"a jigsaw reads \(batch, 9, channels"):
        net(torch.zeros(2, 3, 32, 32))


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        ("depth", {}, "unknown task 'depth'; tasks: class_object"),
        ("normal", {"decoder_width": 0.0}, "model.decoder_width must be above 0"),
        ("class_scene", {"outputs": 0}, "classes must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_built_is_one_line(task, options, words):
    with pytest.raises(UserError, match=words):
        nets.build_scene(spaces.get("transnas-micro").narrow(), task, **options)
    with pytest.raises(UserError, match="is of a space without networks"):
        nets.build_scene(spaces.get("nasbench201").default(), "normal")
