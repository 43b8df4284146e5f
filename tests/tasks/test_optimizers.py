"""Relative steps against torch's Adafactor, which does not factor vectors."""

import copy

import pytest
import torch

from ncp.tasks.optimizers import Relative


def walk(make, steps=12):
    """Vectors of very different sizes along gradients that do not depend on where they are."""
    random = torch.Generator().manual_seed(0)
    start = (torch.randn(7, generator=random), 1e-3 * torch.randn(40, generator=random), torch.zeros(3))
    weights = [torch.nn.Parameter(w.double()) for w in start]
    optimizer = make(weights)
    for step in range(steps):
        for w in weights:
            w.grad = torch.randn(w.shape, generator=random).double() * 10.0 ** (step % 4 - 2)
        optimizer.step()
    return weights


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_vectors_move_as_under_torchs_adafactor(decay):
    ours = walk(lambda w: Relative(w, lr=0.05, weight_decay=decay))
    wanted = walk(lambda w: torch.optim.Adafactor(w, lr=0.05, weight_decay=decay))
    for a, b in zip(ours, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert ours[2].abs().max() > 1e-5  # zeros move


def test_the_first_step_is_a_share_of_the_weights_size_spread_over_the_matrices():
    weights = [torch.nn.Parameter(size * torch.randn(8, 4, 3, 3)) for size in (0.01, 1.0)]
    before = [w.detach().clone() for w in weights]
    for w in weights:
        w.grad = torch.randn_like(w) * 1e-6
    bias = torch.nn.Parameter(torch.ones(3))  # no matrix: does not count
    Relative([*weights, bias], lr=0.2).step()
    for w, old in zip(weights, before, strict=True):
        share = (w.detach() - old).square().mean().sqrt() / old.square().mean().sqrt()
        assert float(share) == pytest.approx(0.1, rel=1e-4)


def test_a_matrix_counts_as_being_of_the_size_that_keeps_the_scale():
    small, usual = torch.nn.Parameter(torch.full((3, 100), 1e-4)), torch.nn.Parameter(torch.full((3, 4, 5, 5), 0.3))
    bias = torch.nn.Parameter(torch.zeros(3))
    before = [w.detach().clone() for w in (small, usual, bias)]
    for w in (small, usual, bias):
        w.grad = torch.ones_like(w)
    Relative([small, usual, bias], lr=0.2, floor=1.0).step()
    moves = [float((old - w.detach()).mean()) for w, old in zip((small, usual, bias), before, strict=True)]
    # a hundred inputs either way: at least a tenth; vectors only by `least`
    assert moves == pytest.approx([0.1 * 0.1, 0.1 * 0.3, 0.1 * 1e-3], rel=1e-3)


def test_weights_without_gradients_stay_and_states_come_back():
    def make():
        torch.manual_seed(0)
        layers = torch.nn.ModuleList([torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)])
        return layers, Relative(layers.parameters(), lr=0.05)

    def step(layers, optimizer):
        optimizer.zero_grad()
        layers[0](torch.ones(2, 4)).square().sum().backward()
        optimizer.step()

    layers, optimizer = make()
    idle = layers[1].weight.detach().clone()
    step(layers, optimizer)
    again, other = make()
    again.load_state_dict(layers.state_dict())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for pair in ((layers, optimizer), (again, other)):
        step(*pair)
    assert torch.equal(layers[1].weight, idle)
    assert torch.equal(layers[0].weight, again[0].weight)


@pytest.mark.parametrize("wrong", [{"lr": 0.0}, {"least": 0.0}, {"clip": -1.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="must be positive"):
        Relative([torch.zeros(1, requires_grad=True)], **wrong)
    with pytest.raises(ValueError, match="floor must be at least 0"):
        Relative([torch.zeros(1, requires_grad=True)], floor=-1.0)
