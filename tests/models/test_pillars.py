"""Pillars against a plain loop; the encoder on ragged scenes, empty ones, and where there are too many points."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from taped import TapedGraphs
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.nn import functional as F

from ncp.errors import UserError
from ncp.models import pillars
from ncp.models.pillars import Grid, PillarEncoder, decorate, pillarise

GRID = Grid((0.0, -0.8, -3.0, 1.6, 0.8, 1.0), 0.16, (10, 10))
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def _points(rng: np.random.Generator, *counts: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points around the grid, some of them outside."""
    points = rng.uniform([-0.1, -0.9, -3.2, 0], [1.7, 0.9, 1.2, 1], (sum(counts), 4)).astype(np.float32)
    return torch.from_numpy(points), torch.tensor(counts)


def _plain(points: torch.Tensor, counts: torch.Tensor, most: int, size: int) -> list[dict[int, list[int]]]:
    """Scene by scene, point by point: cell -> numbers of its points, first come, first served."""
    out, start = [], 0
    for count in counts.tolist():
        pillars: dict[int, list[int]] = {}
        for i in range(start, start + count):
            x, y, z = points[i, :3].tolist()
            if not (0 <= x < 1.6 and -0.8 <= y < 0.8 and -3 <= z < 1):
                continue
            row, column = (np.float32(y) + np.float32(0.8)) / np.float32(0.16), np.float32(x) / np.float32(0.16)
            cell = int(row) * 10 + int(column)
            if cell not in pillars and len(pillars) == most:
                continue
            members = pillars.setdefault(cell, [])
            if len(members) < size:
                members.append(i)
        out.append(pillars)
        start += count
    return out


@pytest.mark.parametrize(("most", "size"), [(1000, 1000), (1000, 3), (40, 1000), (37, 2)])
@pytest.mark.parametrize("device", DEVICES)
def test_pillars_against_a_plain_loop(most: int, size: int, device: str) -> None:
    points, counts = _points(np.random.default_rng(0), 500, 0, 300, 40)
    expected = _plain(points, counts, most, size)
    found = pillarise(points.to(device), counts.to(device), GRID, most, size)
    cells = [scene * 100 + cell for scene, pillars in enumerate(expected) for cell in sorted(pillars)]
    assert found.cells.tolist() == cells
    members = [m for pillars in expected for cell in sorted(pillars) for m in [pillars[cell]]]
    assert found.lengths.tolist() == [len(m) for m in members]
    torch.testing.assert_close(found.points.cpu(), points[[i for m in members for i in m]], rtol=0, atol=0)


@pytest.mark.parametrize("device", DEVICES)
def test_points_on_borders_fall_where_division_puts_them(device: str) -> None:
    """KITTI's grid, points on and beside the pillars' borders, against numpy's division (mmcv's and spconv's rule)."""
    grid = Grid((0.0, -39.68, -3.0, 69.12, 39.68, 1.0), 0.16, (496, 432))
    rng = np.random.default_rng(7)
    border = np.stack([rng.integers(0, 432, 4000) * 0.16, rng.integers(0, 496, 4000) * 0.16 - 39.68], 1).astype(
        np.float32
    )
    xy = np.concatenate([border, np.nextafter(border, np.float32(1e3)), np.nextafter(border, np.float32(-1e3))])
    xy = xy[((xy >= [0, np.float32(-39.68)]) & (xy < [69, 39])).all(1)]
    points = torch.from_numpy(np.column_stack([xy, np.zeros((len(xy), 2), np.float32)]))
    place = np.floor((xy - np.array([0, -39.68], np.float32)) / np.float32(0.16)).astype(np.int64)
    by_product = np.floor((xy - np.array([0, -39.68], np.float32)) * np.float32(1 / 0.16)).astype(np.int64)
    assert (place != by_product).any(1).sum() > 10  # the two rules do differ here
    found = pillarise(points.to(device), torch.tensor([len(points)]), grid, len(points), len(points))
    np.testing.assert_array_equal(found.cells.cpu(), np.unique(place[:, 1] * 432 + place[:, 0]))
    assert int(found.lengths.sum()) == len(points)


def test_decoration_by_hand() -> None:
    points = torch.tensor([[0.1, -0.75, -1.0, 0.5], [0.04, -0.79, 0.0, 0.7], [1.0, 0.5, -2.0, 0.1]])
    pillars = pillarise(points, torch.tensor([3]), GRID, 100)
    nine = decorate(pillars, GRID)
    torch.testing.assert_close(nine[0], torch.tensor([0.1, -0.75, -1, 0.5, 0.03, 0.02, -0.5, 0.02, -0.03]))
    torch.testing.assert_close(nine[2, 4:7], torch.zeros(3))
    ten = decorate(pillars, GRID, z_offset=True)
    torch.testing.assert_close(ten[:, :9], nine)
    torch.testing.assert_close(ten[:, 9], torch.tensor([0.0, 1.0, -1.0]))  # from z = -1, the middle of -3..1


def test_random_choice_depends_on_the_seed_alone() -> None:
    points, counts = _points(np.random.default_rng(1), 800, 800)

    def chosen(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return pillarise(points, counts, GRID, 30, 4, shuffle=True).points

    assert torch.equal(chosen(0), chosen(0))
    assert not torch.equal(chosen(0), chosen(1))
    cells = [pillarise(points, counts, GRID, 30, 4, shuffle=True).cells for _ in range(60)]
    assert all(torch.bincount(c // 100).tolist() == [30, 30] for c in cells)
    frequency = torch.bincount(torch.cat(cells), minlength=200).float() / 60
    assert (frequency > 0.05).float().mean() > 0.9  # every cell gets its turn


def test_encoder_equals_padded_pillars() -> None:
    """The same net written with padded pillars, as it is published, its padding left out of the maximum."""
    torch.manual_seed(0)
    encoder = PillarEncoder(GRID, 16).eval()
    torch.nn.init.normal_(encoder.norm.running_mean)  # type: ignore[arg-type]
    points, counts = _points(np.random.default_rng(2), 400, 100)
    found = encoder(points, counts)
    assert found.shape == (2, 16, 10, 10)
    assert found.is_contiguous(memory_format=torch.channels_last)
    pillars = pillarise(points, counts, GRID, 40_000)
    rows = list(torch.split(decorate(pillars, GRID), pillars.lengths.tolist()))
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=torch.nan)
    x = torch.nan_to_num(
        F.relu(encoder.norm((padded @ encoder.linear.weight.T).flatten(0, 1)).unflatten(0, padded.shape[:2]))
    )
    expected = torch.zeros(2, 16, 10, 10)
    for value, cell in zip(x.max(1).values, pillars.cells.tolist(), strict=True):
        expected[cell // 100, :, cell % 100 // 10, cell % 10] = value
    torch.testing.assert_close(found, expected)


def test_training_and_evaluation_have_their_own_limits() -> None:
    points, counts = _points(np.random.default_rng(3), 2000)
    encoder = PillarEncoder(GRID, 8, max_pillars=(7, 50))
    torch.nn.init.constant_(encoder.norm.bias, 1.0)  # type: ignore[arg-type]
    assert (encoder.train()(points, counts).sum(1) > 0).sum() == 7
    assert (encoder.eval()(points, counts).sum(1) > 0).sum() == 50


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("counts", [(0,), (0, 0), (1,), (0, 5)])
def test_empty_and_tiny_scenes(training: bool, counts: tuple[int, ...]) -> None:
    encoder = PillarEncoder(GRID, 8).train(training)
    points = torch.full((sum(counts), 4), 0.5)
    out = encoder(points, torch.tensor(counts))
    assert out.shape == (len(counts), 8, 10, 10)
    assert torch.isfinite(out).all()
    out.sum().backward()
    for weight in encoder.parameters():  # devices that had points wait for all of them
        assert weight.grad is not None
        assert torch.isfinite(weight.grad).all()
    outside = encoder(torch.full((3, 4), 99.0), torch.tensor([3]))
    assert (outside == 0).all()


def test_float32_inside_autocast() -> None:
    points, counts = _points(np.random.default_rng(4), 300)
    encoder = PillarEncoder(GRID, 8).eval()
    expected = encoder(points, counts)
    with torch.autocast("cpu", dtype=torch.bfloat16):  # rounded once, when it is laid for those who read it so
        torch.testing.assert_close(encoder(points, counts), expected.bfloat16(), rtol=0, atol=0)


def test_what_users_give() -> None:
    points, counts = _points(np.random.default_rng(5), 10)
    with pytest.raises(UserError, match="10 points do not make scenes"):
        pillarise(points, counts + 1, GRID, 5)
    with pytest.raises(UserError, match="at least 1"):
        pillarise(points, counts, GRID, 0)
    for limits in ((12_000,), (0, 5)):
        with pytest.raises(UserError, match="max_pillars are two numbers"):
            PillarEncoder(GRID, max_pillars=limits)


def _clouds(seed: int) -> tuple[torch.Tensor, torch.Tensor, tuple[int, int]]:
    """Scenes of few, many and no points: some outside, some NaN, some on borders; and limits, some of which are exceeded."""
    rng = np.random.default_rng(seed)
    counts = rng.choice([0, 1, 3, 50, 400], size=rng.integers(1, 5)).tolist()
    points, counts_B = _points(rng, *counts)
    points[torch.from_numpy(rng.uniform(size=len(points)) < 0.1)] = torch.nan
    if seed % 3 == 0:
        points[:, :2] = (points[:, :2] / 0.16).round() * 0.16
    if seed % 7 == 0:  # nothing within, or one point
        points[seed % 2 :] = torch.nan
    return points, counts_B, (int(rng.choice([1, 5, 30, 1000])), int(rng.choice([1, 3, 1000])))


@pytest.mark.parametrize("shuffle", [False, True])
def test_padded_pillars_are_the_cut_ones_and_nothing(shuffle: bool) -> None:
    for seed in range(40):
        points, counts, (most, size) = _clouds(seed)
        torch.manual_seed(seed)
        cut = pillarise(points, counts, GRID, most, size, shuffle)
        torch.manual_seed(seed)
        padded = pillarise(points, counts, GRID, most, size, shuffle, cut=False)
        for one, whole, rest in zip(cut, padded, (0, 0, 100 * len(counts)), strict=True):
            assert len(whole) == len(points)
            assert torch.equal(whole[: len(one)], one)
            assert (whole[len(one) :] == rest).all()
        assert (cut.lengths > 0).all()
        assert int(cut.lengths.sum()) == len(cut.points)
        if not shuffle and seed % 3:  # the loop knows no borders
            scenes = _plain(points, counts, most, size)
            assert cut.lengths.tolist() == [len(found[cell]) for found in scenes for cell in sorted(found)]
        ten = decorate(padded, GRID, z_offset=True)
        assert torch.equal(ten[: len(cut.points)], decorate(cut, GRID, z_offset=True))
        assert torch.isfinite(ten).all()


@pytest.mark.parametrize("training", [True, False])
def test_padded_or_cut_an_encoder_learns_the_same(training: bool) -> None:
    """Maps, gradients and running statistics, over two steps of random clouds."""
    for seed in range(40):
        sides = []
        for padded in (False, True):
            torch.manual_seed(seed)
            points, counts, limits = _clouds(seed)
            encoder = PillarEncoder(GRID, 8, (limits[0], limits[0]), limits[1]).double().train(training)
            weight = torch.randn(len(counts), 8, 10, 10, dtype=torch.float64)
            maps = [encoder(points, counts, padded=padded) for _ in range(2)]
            (maps[0] * weight).sum().backward()
            learnt = [torch.zeros_like(p) if p.grad is None else p.grad for p in encoder.parameters()]
            sides.append((maps, learnt, dict(encoder.named_buffers())))
        assert all(torch.isfinite(one).all() for one in [*sides[1][0], *sides[1][1], *sides[1][2].values()])
        torch.testing.assert_close(sides[1], sides[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("inside", [0, 1, 2])
def test_statistics_of_padded_points_are_those_of_real_ones(inside: int) -> None:
    """By hand: mean, unbiased variance and momentum; of one point or none they stay as they are."""
    encoder = PillarEncoder(GRID, 8).train()
    points = torch.full((5, 4), torch.nan)
    points[1 : 1 + inside] = torch.tensor([[0.1, 0, 0, 0.5], [0.9, 0.1, 0.2, 0.3]])[:inside]
    x = encoder.linear(decorate(pillarise(points, torch.tensor([5]), GRID, 9), GRID)).detach()
    encoder(points, torch.tensor([5]), padded=True)
    norm: Any = encoder.norm
    several = inside > 1
    assert int(norm.num_batches_tracked) == several
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean(0) if several else torch.zeros(8))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * x.var(0) if several else torch.ones(8))


def test_rows_beyond_counts_on_a_device_belong_to_no_scene() -> None:
    """On the host they are a mistake; beside the points nobody reads them back."""
    points, counts = _points(np.random.default_rng(8), 30, 0, 20)
    more = torch.cat([points, points])
    with pytest.raises(UserError, match=r"100 points do not make scenes of \[30, 0, 20\] points"):
        pillarise(more, counts, GRID, 100)
    with pytest.raises(UserError, match=r"50 points do not make scenes of \[60, -10\] points"):
        pillarise(points, torch.tensor([60, -10]), GRID, 100)

    class Beside:
        """Counts that say they lie on a GPU."""

        device = torch.device("cuda")

        def __len__(self) -> int:
            return len(counts)

        def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            return counts

    beside: Any = Beside()
    for one, wanted in zip(pillarise(more, beside, GRID, 100), pillarise(points, counts, GRID, 100), strict=True):
        assert torch.equal(one, wanted)


@pytest.mark.parametrize("training", [True, False])
def test_a_gpu_is_not_waited_for(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors without content, as if on a GPU: whatever asks for a number fails."""
    monkeypatch.setattr(pillars, "_limits", pillars._limits.__wrapped__)  # what is made here has no content either
    counts = torch.tensor([200, 100])
    with FakeTensorMode(allow_non_fake_inputs=True):
        points = torch.empty(300, 4, device="cuda")
        with torch.device("cuda"):
            encoder = PillarEncoder(GRID, 8, max_pillars=(20, 30)).train(training)
        for given in (counts, counts.to("cuda")):
            view = encoder(points, given)
            assert (view.shape, view.device.type) == ((2, 8, 10, 10), "cuda")
        with pytest.raises(DataDependentOutputException):
            encoder(points, counts, padded=False)
        here = PillarEncoder(GRID, 8, max_pillars=(20, 30)).train(training)
        here(torch.empty(300, 4), counts, padded=True).sum().backward()


def test_a_norm_that_devices_share_is_asked_itself() -> None:
    """Its statistics are those of all devices, so it must see real points alone."""

    seen = []

    class Shared(torch.nn.BatchNorm1d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(len(x))
            return super().forward(x)

    points, counts, _ = _clouds(1)
    encoder = PillarEncoder(GRID, 8).train()
    encoder.norm = Shared(8)
    encoder(points, counts, padded=True)
    assert seen == [len(pillarise(points, counts, GRID, 12_000).points)]


@pytest.mark.parametrize("number", [0, 1])
def test_a_norm_that_devices_share_is_asked_of_hardly_any_points_too(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Other devices wait for what this one adds, forward and backward."""
    seen: list[Any] = []

    class Shared(torch.nn.BatchNorm1d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(len(x))
            x.register_hook(lambda slope: seen.append("back"))
            return x * self.weight + self.bias

    encoder = PillarEncoder(GRID, 8).train()
    encoder.norm = Shared(8)
    monkeypatch.setattr(pillars.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(pillars.distributed, "get_world_size", lambda: 2)
    out = encoder(torch.full((number, 4), 0.5), torch.tensor([number]))
    out.sum().backward()
    assert seen == [number, "back"]
    assert number or not out.any()


def test_pillars_are_recorded_and_made_again_from_other_points() -> None:
    """On the tape that stands for CUDA graphs; points that are no more are NaN."""
    encoder = PillarEncoder(GRID, 8, max_pillars=(20, 30), max_points=3).eval()
    given = torch.full((300, 4), torch.nan)
    clouds = [_points(np.random.default_rng(seed), number)[0] for seed, number in ((0, 300), (1, 20), (2, 0))]
    with torch.inference_mode():
        work = partial(encoder, given, torch.tensor([300]), padded=True)
        work()  # makes what is made once
        run, out = TapedGraphs().record(work)
        for cloud in clouds:
            given[:] = torch.nan
            given[: len(cloud)] = cloud
            run()
            torch.testing.assert_close(out, encoder(cloud, torch.tensor([len(cloud)])))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_equals_cpu() -> None:
    points, counts = _points(np.random.default_rng(6), 5000, 3000)
    encoder = PillarEncoder(GRID, 64).train()
    torch.manual_seed(0)
    on_cpu = encoder(points, counts)
    torch.manual_seed(0)
    on_gpu = encoder.cuda()(points.cuda(), counts.cuda())
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-4, atol=1e-4)
