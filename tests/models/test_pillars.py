"""Pillars against a plain loop; the encoder on ragged scenes, empty ones, and where there are too many points."""

import numpy as np
import pytest
import torch
from taped import WAITS
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ncp.errors import UserError
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
    assert encoder.linear.weight.grad is not None
    assert torch.isfinite(encoder.linear.weight.grad).all()
    outside = encoder(torch.full((3, 4), 99.0), torch.tensor([3]))
    assert (outside == 0).all()


def test_float32_inside_autocast() -> None:
    points, counts = _points(np.random.default_rng(4), 300)
    encoder = PillarEncoder(GRID, 8).eval()
    expected = encoder(points, counts)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(encoder(points, counts), expected, rtol=0, atol=0)


def test_what_users_give() -> None:
    points, counts = _points(np.random.default_rng(5), 10)
    with pytest.raises(UserError, match="10 points do not make scenes"):
        pillarise(points, counts + 1, GRID, 5)
    with pytest.raises(UserError, match="at least 1"):
        pillarise(points, counts, GRID, 0)
    for limits in ((12_000,), (0, 5)):
        with pytest.raises(UserError, match="max_pillars are two numbers"):
            PillarEncoder(GRID, max_pillars=limits)


class Waits(TorchDispatchMode):
    """Notes operators after which the host would wait for a GPU: how many rows they give depends on the values."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        masks = [one for one in tree_leaves(args[1:]) if isinstance(one, torch.Tensor) and one.dtype == torch.bool]
        if (
            name in (*WAITS, "unique_consecutive")
            or (name == "index" and masks)
            or (name == "repeat_interleave" and kwargs.get("output_size") is None)
            or (name == "segment_reduce" and not kwargs.get("unsafe"))
        ):
            self.found.append(name)
        return func(*args, **kwargs)


@pytest.mark.parametrize(("counts", "most", "waits"), [((3000,), 100, 2), ((20, 0, 9), 100, 2), ((3000,), 20, 3)])
def test_a_gpu_is_waited_for_twice(counts: tuple[int, ...], most: int, waits: int) -> None:
    """Beside the counts, which must be those of the points; once more where there are too many pillars."""
    points, counts_B = _points(np.random.default_rng(5), *counts)
    encoder = PillarEncoder(GRID, 8, max_pillars=(most, most)).eval()
    encoder(points, counts_B)  # makes what is made once
    with torch.inference_mode(), Waits() as seen:
        encoder(points, counts_B)
    assert len(seen.found) == waits, seen.found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_equals_cpu() -> None:
    points, counts = _points(np.random.default_rng(6), 5000, 3000)
    encoder = PillarEncoder(GRID, 64).train()
    torch.manual_seed(0)
    on_cpu = encoder(points, counts)
    torch.manual_seed(0)
    on_gpu = encoder.cuda()(points.cuda(), counts.cuda())
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-4, atol=1e-4)
