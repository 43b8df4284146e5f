"""Counting rules as monomials: the same numbers as the rule itself, and the derivatives of its finite differences."""

import numpy as np
import pytest
import torch

from ncp.spaces.polynomial import Evaluator, Polynomial


def rule(x, y, z):
    return 3 * (x + 2) * (y - x) * z - (5 - y) * y + 7


def test_it_evaluates_what_the_rule_gives():
    codes = np.random.default_rng(0).integers(-9, 9, (50, 3))
    evaluate = Evaluator([rule(*Polynomial.variables(3)), 4, Polynomial.variables(3)[2]], 3)
    expected = np.stack([rule(*codes.T), np.full(50, 4), codes[:, 2]], 1)
    np.testing.assert_array_equal(evaluate(codes), expected)
    np.testing.assert_array_equal(evaluate(torch.from_numpy(codes)).numpy(), expected)
    np.testing.assert_array_equal(evaluate(codes[0]), expected[0])


def test_its_gradient_is_that_of_the_rule():
    evaluate = Evaluator([rule(*Polynomial.variables(3))], 3)
    code = torch.tensor([1.5, -2.0, 0.25], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(evaluate(code)[0], code)
    at, step = code.detach().numpy(), 1e-6
    differences = [(rule(*(at + step * one)) - rule(*(at - step * one))) / (2 * step) for one in np.eye(3)]
    np.testing.assert_allclose(gradient.numpy(), differences, rtol=1e-6)


def test_terms_that_cancel_are_gone():
    x, y = Polynomial.variables(2)
    assert ((x + y) * (x - y) - x * x).terms == {(1, 1): -1}
    assert (x - x).terms == {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tensor_keeps_its_precision(dtype):
    x, y = Polynomial.variables(2)
    assert Evaluator([x * y], 2)(torch.ones(4, 2, dtype=dtype)).dtype == dtype
