"""The paper's network against an independent one head by head, the recorded weights, and hand arithmetic."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import fit_rows
import numpy as np
import pytest
import torch
from head_by_head import HeadByHead
from torch import nn

from ncp.errors import UserError
from ncp.predictors import release
from ncp.predictors.base import Card
from ncp.predictors.mlp import ACTIVATIONS, MLP, Layout, layout

SEG = ("mIoU", "mAcc", "aAcc", "flops", "params")


def random_mlp(metrics: tuple[str, ...] = SEG, seed: int = 0, **options: Any) -> MLP:
    """An MLP with random weights and random running statistics."""
    torch.manual_seed(seed)
    mlp = MLP(Card("mlp", "seg", metrics, config=layout(metrics, **options).to_dict()))
    for norm in (m for m in mlp.modules() if isinstance(m, nn.BatchNorm1d)):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        nn.init.normal_(norm.weight, 1, 0.3)
        nn.init.normal_(norm.bias, 0, 0.3)
    rows = fit_rows.make(50, metrics=metrics)
    mlp.standardise(rows.codes, rows.targets)
    return mlp.eval().requires_grad_(False)


def test_groups_and_dropout_of_the_paper_and_of_the_release() -> None:
    paper, group = layout(SEG, "metric"), layout(SEG, "group")
    assert paper.groups == ((0,), (1,), (2,), (3,), (4,))
    assert paper.head_dropout == (0.5,) * 5
    assert not paper.norm
    assert group.groups == ((0,), (1, 2), (3, 4))
    assert group.head_dropout == (0.5, 0.5, 0.0)
    assert group.norm
    assert layout(("top1",), "group").groups == ((0,),)


@pytest.mark.parametrize("heads", ["metric", "group"])
def test_size_of_the_network(heads: str) -> None:
    mlp = random_mlp(heads=heads)
    g = {"metric": 5, "group": 3}[heads]
    expected = 27 * 256 + 256 + g * (256 * 128 + 128) + 5 * (128 + 1)
    expected += 2 * (27 + 256 + g * 128) if heads == "group" else 0
    assert sum(p.numel() for p in mlp.parameters()) == expected


@pytest.mark.parametrize(("heads", "sizes"), [("metric", [1] * 5), ("group", [1, 2, 2])])
def test_heads_as_one_layer_equal_separate_networks(heads: str, sizes: list[int]) -> None:
    mlp = random_mlp(heads=heads)
    norm = heads == "group"
    plain = HeadByHead(27, sizes, norm).eval()
    if norm:
        plain.fc[0].load_state_dict(mlp.net.norm_in.state_dict())
        plain.fc[2].load_state_dict(mlp.net.norm_shared.state_dict())
    plain.fc[1].load_state_dict(mlp.net.shared.state_dict())
    ends = np.cumsum([0, *sizes])
    for g, (net, (a, b)) in enumerate(zip(plain.nets, pairwise(ends.tolist()), strict=True)):
        part = slice(128 * g, 128 * (g + 1))
        net[0].load_state_dict({k: v[part] for k, v in mlp.net.separate.state_dict().items()})
        if norm:
            state = {k: v[part] if v.ndim else v for k, v in mlp.net.norm_separate.state_dict().items()}
            net[1].load_state_dict(state)
        net[4].load_state_dict({"weight": mlp.net.out_weight[a:b], "bias": mlp.net.out_bias[a:b]})
    z = torch.randn(40, 27)
    assert torch.allclose(mlp.net(z), plain(z), atol=1e-5)


@pytest.mark.parametrize("setting", ["seg", "cls-50-1000", "video"])
def test_recorded_weights_give_the_recorded_predictions(shared: Path, setting: str) -> None:
    run = np.load(shared / "reference_run" / f"{setting}.npz")
    weights = {k.removeprefix("weights/"): run[k] for k in run.files if k.startswith("weights/")}
    mlp = release.from_state(weights, [str(m) for m in run["metrics"]], setting)
    mlp.load_state_dict(
        mlp.state_dict() | {k: torch.tensor(run[k]) for k in ("input_mean", "input_std", "output_mean", "output_std")}
    )
    predicted = np.stack(list(mlp.predict(run["continuous"]).values()), axis=1)
    assert predicted.shape == (70, len(run["metrics"]))
    assert np.ptp(predicted[:, 0]) > 0.5
    assert np.abs(predicted - run["predicted"]).max() < 1e-4
    at_rounded = mlp.predict(run["rounded"])[mlp.metrics[0]]
    assert np.abs(at_rounded - run["main_metric_of_rounded"]).max() < 1e-4
    folded = np.stack(list(mlp.closed().fold().predict(run["continuous"]).values()), axis=1)
    assert np.abs(folded - predicted).max() < 1e-4


def test_folding_the_norms_changes_nothing() -> None:
    mlp = random_mlp(heads="group").double()
    folded = mlp.closed().fold()
    assert not any("norm" in name for name in folded.arrays)
    codes = fit_rows.make(64, seed=3).codes
    mean, std = mlp.posterior(torch.as_tensor(codes))
    assert mean.std() > 0.01
    answer = folded.answer(codes)
    np.testing.assert_allclose(answer.mean, mean, rtol=1e-12)
    np.testing.assert_array_equal(answer.std, std)
    plain = random_mlp(heads="metric").closed()
    assert plain.fold() is plain


@pytest.mark.parametrize("heads", ["metric", "group"])
def test_layers_are_the_whole_function(heads: str) -> None:
    mlp = random_mlp(heads=heads).double()
    layers = mlp.closed().layers
    (w1, b1), (w2, b2), (w3, b3) = [[torch.as_tensor(part) for part in layer] for layer in layers]
    act = ACTIVATIONS[mlp.layout.activation]
    codes = torch.as_tensor(fit_rows.make(32, seed=5).codes)
    z = (codes - mlp.input_mean) / mlp.input_std
    out = act(act(z @ w1.T + b1) @ w2.T + b2) @ w3.T + b3
    assert torch.allclose(out * mlp.output_std + mlp.output_mean, mlp(codes), rtol=1e-10)


@pytest.mark.parametrize("heads", ["metric", "group"])
@pytest.mark.parametrize("metrics", [("mIoU", "flops"), ("params",), ("aAcc", "mIoU", "mAcc")])
def test_select_keeps_the_answers_in_the_order_asked_for(heads: str, metrics: tuple[str, ...]) -> None:
    mlp = random_mlp(heads=heads)
    mlp.noise_std.copy_(torch.arange(1, 6))
    part, codes = mlp.select(metrics), fit_rows.make(16, seed=2).codes
    assert part.metrics == metrics
    assert part.net.separate.weight.shape[0] < mlp.net.separate.weight.shape[0] + 1
    for name in metrics:
        np.testing.assert_allclose(part.predict(codes)[name], mlp.predict(codes)[name], rtol=1e-6)
        assert part.predict_std(codes)[name][0] == SEG.index(name) + 1
    with pytest.raises(UserError, match="does not predict"):
        mlp.select(["mIoU", "top1"])


def test_gradient_is_that_of_the_function() -> None:
    mlp = random_mlp(heads="group").double()
    code = torch.as_tensor(fit_rows.make(1, seed=9).codes).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: mlp(x), (code,), eps=1e-4, atol=1e-6)


def test_one_network_claims_no_doubt_of_its_own() -> None:
    mlp = random_mlp()
    mlp.noise_std.fill_(0.7)
    codes = fit_rows.make(5).codes
    assert all((v == 0).all() for v in mlp.predict_std(codes, noise=False).values())
    np.testing.assert_allclose(mlp.predict_std(codes)["mIoU"], 0.7, rtol=1e-6)


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    mlp = random_mlp(heads="group")
    mask = mlp.net._mask(2000)
    hidden, main, costs = mask[:, :256], mask[:, 256:384], mask[:, 512:]
    for part in (hidden, main):
        assert set(part.unique().tolist()) == {0.0, 2.0}
        assert abs(float((part == 0).float().mean()) - 0.5) < 0.005
    assert (costs == 1).all()
    # neighbours in a row and in a column are independent
    assert abs(np.corrcoef(hidden[:, 0], hidden[:, 1])[0, 1]) < 0.1
    assert abs(np.corrcoef(hidden[:-1].flatten(), hidden[1:].flatten())[0, 1]) < 0.01
    some = random_mlp(dropout=0.2).net._mask(2000)
    assert abs(float((some == 0).float().mean()) - 0.2) < 0.005
    assert abs(float(some.mean()) - 1) < 0.01


def test_nothing_is_dropped_when_evaluated() -> None:
    mlp = random_mlp(heads="group")
    codes = torch.as_tensor(fit_rows.make(8).codes)
    assert torch.equal(mlp(codes), mlp(codes))
    mlp.train()
    assert not torch.equal(mlp(codes), mlp(codes))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": "both"}, "unknown heads 'both'; heads: metric, group"),
        ({"activation": "tanh"}, "unknown activation 'tanh'"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"shared": 0}, "widths must be positive"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        layout(SEG, **options)


def test_a_card_that_describes_no_network_is_refused() -> None:
    with pytest.raises(UserError, match="describes no network"):
        MLP(Card("mlp", "seg", SEG, config={"width": 3}))
    with pytest.raises(UserError, match="do not hold the 5 metrics"):
        MLP(Card("mlp", "seg", SEG, config=layout(SEG[:2]).to_dict()))
    with pytest.raises(UserError, match="each of the metrics"):
        Layout(groups=((0,), (0,)), head_dropout=(0.5, 0.5))
