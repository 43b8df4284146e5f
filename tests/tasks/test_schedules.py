"""Rates against torch's own schedulers and the formulas of the paper's references."""

import math

import pytest
import torch

from ncp.errors import UserError
from ncp.tasks.schedules import one_cycle, schedule


def torch_rates(make, base, steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_is_torchs():
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 40, eta_min=0.001), 0.1, 40)
    rate = schedule(0.1, {"shape": "cosine", "minimum": 0.001})
    assert [rate(i / 40) for i in range(40)] == pytest.approx(expected, abs=1e-12)


def test_poly_is_torchs_and_has_a_floor():
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 25, power=0.9), 0.1, 25)
    rate = schedule(0.1, {"shape": "poly", "power": 0.9})
    assert [rate(i / 25) for i in range(25)] == pytest.approx(expected, abs=1e-12)
    floored = schedule(0.1, {"shape": "poly", "power": 0.9, "minimum": 1e-4})
    assert floored(1.0) == pytest.approx(1e-4)
    assert floored(0.5) == pytest.approx(0.0999 * 0.5**0.9 + 1e-4)
    assert min(floored(i / 1000) for i in range(1001)) >= 1e-4


def test_one_cycle_is_torchs():
    def make(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=2e-3, total_steps=1001, pct_start=0.4, div_factor=10, final_div_factor=1
        )

    expected = torch_rates(make, 2e-4, 1000)
    rate = one_cycle(2e-3, start=2e-4, minimum=2e-4, peak=0.4)
    # torch puts the peak at a whole step, so the two differ by a step at most
    assert [rate(i / 1000) for i in range(1000)] == pytest.approx(expected, abs=1e-5)


def test_warmup_rises_to_the_rate_and_then_leaves_it_alone():
    plain, warm = (schedule(0.1, {"shape": "cosine", "warmup": share}) for share in (0.0, 0.1))
    assert 0 < warm(0.0) < 0.02
    rising = [warm(i / 1000) for i in range(95)]
    assert rising == sorted(rising)
    assert warm(0.1) == pytest.approx(plain(0.1))
    assert warm(0.7) == plain(0.7)
    assert math.isclose(schedule(0.3, {})(0.9), 0.3)


def test_unknown_shapes_and_settings_are_refused():
    with pytest.raises(UserError, match=r"unknown schedule 'step'; schedules: constant, poly, cosine, one_cycle"):
        schedule(0.1, {"shape": "step"})
    with pytest.raises(UserError, match=r"unknown key 'recipe.schedule.power' for cosine; its keys: minimum"):
        schedule(0.1, {"shape": "cosine", "power": 0.9})
