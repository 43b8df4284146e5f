"""Many minimisations at once, against scipy's one after the other."""

import numpy as np
import torch
from scipy.optimize import minimize

from ncp.predictors import descent


def valleys(x_BP: torch.Tensor) -> torch.Tensor:
    """Rosenbrock's function with another valley and place for each problem; none where the first parameter exceeds 3."""
    bend = torch.tensor([1.0, 5.0, 20.0], dtype=x_BP.dtype)
    place = torch.tensor([1.0, -0.5, 0.3], dtype=x_BP.dtype)
    value = (place - x_BP[..., 0]).square() + bend * (x_BP[..., 1] - x_BP[..., 0].square()).square()
    return torch.where(x_BP[..., 0] > 3, torch.nan, value)


def test_all_end_where_scipy_ends() -> None:
    start = torch.tensor([[2.5, -2.0], [0.0, 0.0], [-1.0, 2.0]], dtype=torch.float64)
    found = descent.minimise(valleys, start, iterations=200, enough=1e-14).numpy()
    for b in range(3):
        alone = minimize(
            lambda x, b=b: float(valleys(torch.tensor(x).expand(3, 2))[b]), start[b].numpy(), method="BFGS"
        )
        np.testing.assert_allclose(found[b], alone.x, atol=1e-3)


def test_what_has_no_value_stays_and_the_others_go_on() -> None:
    start = torch.tensor([[4.0, 0.0], [0.0, 0.0], [-1.0, 2.0]], dtype=torch.float64)
    found = descent.minimise(valleys, start, iterations=200, enough=1e-14)
    assert torch.equal(found[0], start[0])
    torch.testing.assert_close(found[1:, 0], torch.tensor([-0.5, 0.3], dtype=torch.float64), atol=1e-3, rtol=0)


def test_the_curvature_is_that_of_each() -> None:
    at = torch.tensor([[0.3, 0.1], [1.0, -1.0], [0.0, 2.0]], dtype=torch.float64)
    found = descent.curvature(valleys, at)
    for b, bend in enumerate((1.0, 5.0, 20.0)):
        x, y = at[b].tolist()
        expected = [[2 - 4 * bend * (y - 3 * x * x), -4 * bend * x], [-4 * bend * x, 2 * bend]]
        np.testing.assert_allclose(found[b].numpy(), expected, atol=1e-12)
