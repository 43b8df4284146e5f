"""Fitting the paper's network: it learns, a seed decides everything, and the training is the one described."""

from typing import Any

import fit_rows
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ncp.errors import UserError
from ncp.predictors import evaluation, training
from ncp.predictors.mlp import MLP
from ncp.predictors.rows import Rows


def quick(rows: Rows, **options: Any) -> MLP:
    return training.fit(rows, **{"epochs": 4, "shared": 32, "separate": 16, **options})


def weights(mlp: MLP) -> list[torch.Tensor]:
    return list(mlp.state_dict().values())


@pytest.mark.parametrize("heads", ["metric", "group"])
def test_a_known_function_is_recovered(heads: str) -> None:
    rows, others = fit_rows.make(600), fit_rows.make(200, seed=1)
    mlp = training.fit(rows, heads=heads, epochs=60, dropout=0.1, shared=64, separate=64)
    for i, (name, predicted) in enumerate(mlp.predict(others.codes).items()):
        error = evaluation.rmse(others.targets[:, i], predicted)
        assert error < 0.5 * others.targets[:, i].std(), name
        assert evaluation.kendall(others.targets[:, i], predicted) > 0.6
    assert not mlp.training
    assert not any(p.requires_grad for p in mlp.parameters())


def test_the_seed_decides_everything_and_nothing_else_is_touched() -> None:
    rows = fit_rows.make(200)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    threads = torch.get_num_threads()
    first = quick(rows, seed=3)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    torch.manual_seed(99)
    again, other = quick(rows, seed=3), quick(rows, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(again), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights(first), weights(other), strict=True))


def test_the_same_training_as_a_loop_in_plain_torch() -> None:
    rows = fit_rows.make(100)
    ours = quick(rows, seed=5, batch_size=32, dropout=0.0, weight_decay=1e-3)
    torch.manual_seed(5)
    plain = MLP(ours.card)
    plain.standardise(rows.codes, rows.targets)
    x = (torch.tensor(rows.codes).float() - plain.input_mean) / plain.input_std
    y = (torch.tensor(rows.targets).float() - plain.output_mean) / plain.output_std
    adam = torch.optim.Adam(plain.net.parameters(), lr=0.01, weight_decay=1e-3)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, 0.01, total_steps=16, pct_start=0.3, div_factor=10)
    plain.train()
    for _ in range(4):
        for part in torch.randperm(100).split(32):
            adam.zero_grad()
            F.smooth_l1_loss(plain.net(x[part]), y[part]).backward()
            adam.step()
            cycle.step()
    plain.eval()
    codes = torch.as_tensor(fit_rows.make(20, seed=2).codes)
    assert torch.allclose(ours(codes), plain(codes), atol=1e-3)
    assert (ours(codes) - ours.output_mean).abs().max() > 0.5


def test_validation_keeps_the_best_epoch_and_gives_the_noise() -> None:
    rows, held = fit_rows.make(200, noise=0.5), fit_rows.make(80, seed=1, noise=0.5)
    # a rate so high that the last epoch is not the best
    options = {"lr": 0.3, "epochs": 12, "dropout": 0.0}
    last = quick(rows, **options)
    best = quick(rows, validation=held, **options)

    def error(mlp: MLP) -> float:
        return evaluation.mae(held.targets[:, 0], mlp.predict(held.codes)["mIoU"])

    assert error(best) < error(last)
    expected = [evaluation.rmse(held.targets[:, i], p) for i, p in enumerate(best.predict(held.codes).values())]
    np.testing.assert_allclose(best.noise_std.numpy(), expected, rtol=1e-5)


def test_progress_is_told_once_an_epoch() -> None:
    told: list[float] = []
    quick(fit_rows.make(40), progress=lambda part, text: told.append(part))
    assert told == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(("n", "sizes"), [(256, [128, 128]), (257, [128, 129]), (300, [128, 128, 44]), (5, [5])])
def test_batches_hold_every_row_once_and_never_one_alone(n: int, sizes: list[int]) -> None:
    torch.manual_seed(0)
    rows = torch.arange(n)[:, None]
    batches = training.Batches(rows, rows, 128)
    parts = [z for z, t in batches if torch.equal(z, t)]
    assert [len(p) for p in parts] == sizes
    assert len(batches) == len(sizes)
    assert sorted(torch.cat(parts).flatten().tolist()) == list(range(n))
    assert n == 5 or not torch.equal(torch.cat(parts), rows)


@pytest.mark.parametrize("options", [{"epochs": 0}, {"batch_size": 1}, {"lr": 0.0}, {"threads": 0}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="must be positive"):
        quick(fit_rows.make(30), **options)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(UserError, match="needs two rows or more"):
        quick(fit_rows.make(1))
