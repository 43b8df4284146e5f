"""SSIM against its definition, written out in numpy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from ncp.metrics import similarity


def defined(image: np.ndarray, other: np.ndarray, span: float) -> float:
    """Wang et al. 2004, equation 13, of one sample ``(C, H, W)``: where the 11 pixels of the window lie within the image."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(x: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(x, window, axis=1), window, axis=2)[:, 5:-5, 5:-5]

    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    a, b = mean(image), mean(other)
    va, vb, ab = mean(image**2) - a**2, mean(other**2) - b**2, mean(image * other) - a * b
    return float(((2 * a * b + c1) * (2 * ab + c2) / ((a**2 + b**2 + c1) * (va + vb + c2))).mean())


@pytest.fixture
def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    smooth = np.tanh(np.cumsum(np.cumsum(rng.normal(0, 0.2, (3, 3, 24, 31)), 2), 3))
    return torch.tensor(smooth), torch.tensor(np.clip(smooth + rng.normal(0, 0.2, smooth.shape), -1, 1))


@pytest.mark.parametrize(("function", "span"), [(similarity.released, 1.0), (similarity.usual, 2.0)])
def test_similarities_are_as_defined(pairs, function, span):
    image, other = pairs
    wanted = [defined(a, b, span) for a, b in zip(image.numpy(), other.numpy(), strict=True)]
    np.testing.assert_allclose(function(image, other), wanted, atol=2e-5)
    np.testing.assert_allclose(function(image, image), 1, atol=1e-5)


def test_the_usual_one_does_not_depend_on_how_numbers_are_written(pairs):
    image, other = pairs
    from_zero = [defined((a + 1) / 2, (b + 1) / 2, 1.0) for a, b in zip(image.numpy(), other.numpy(), strict=True)]
    np.testing.assert_allclose(similarity.usual((image + 1) * 0.5, (other + 1) * 0.5, 1.0), from_zero, atol=2e-5)
    assert float(similarity.usual(image, other).mean()) > float(similarity.released(image, other).mean())
