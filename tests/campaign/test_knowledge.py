"""Which of several may be the best, and which training would tell: against closed forms and brute force of a linear model."""

import numpy as np
import pytest
from scipy import stats

from ncp.campaign import knowledge


class Linear:
    """Metric ``x @ w`` of an unknown normal ``w``, measured with noise."""

    metrics = ("mIoU",)

    def __init__(self, mean_D, covariance_DD, noise=0.5):
        self.mean, self.doubt, self.noise = np.asarray(mean_D), np.asarray(covariance_DD), noise

    def predict(self, codes):
        return {"mIoU": codes @ self.mean}

    def covariance(self, a, b):
        return a @ self.doubt @ b.T

    def predict_std(self, codes, noise=True):
        own = np.einsum("nd,de,ne->n", codes, self.doubt, codes)
        return {"mIoU": np.sqrt(own + noise * self.noise**2)}

    def after(self, code):
        """The covariance of ``w`` once a code was measured."""
        cross = self.doubt @ code
        return self.doubt - np.outer(cross, cross) / (code @ cross + self.noise**2)


def left(doubt, best, weight):
    """Weighted variance of the promising ones about their mean."""
    both = best @ doubt @ best.T
    apart = np.eye(len(best)) - np.outer(np.ones(len(best)), weight)
    return weight @ np.diag(apart @ both @ apart.T)


def drawn(seed, n=30, d=5):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((d, d))
    return Linear(rng.standard_normal(d), root @ root.T), rng.standard_normal((n, d)), rng


def test_how_likely_each_is_the_best():
    predictor = Linear([1.0, 0.0, -50.0], np.diag([0.0, 4.0, 1.0]))
    places, weight = knowledge.promising(predictor, np.eye(3), np.random.default_rng(0))
    exact = stats.norm.sf(0.5)  # a normal of deviation 2 above 1
    assert places.tolist() == [0, 1]  # the third has no chance
    assert weight.sum() == pytest.approx(1)
    assert weight[1] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / knowledge.SAMPLES))


def test_two_that_go_together_are_not_both_doubtful():
    """What is the same for both says nothing of which is better."""
    predictor = Linear([0.1, 0.0], np.full((2, 2), 9.0))
    places, _ = knowledge.promising(predictor, np.eye(2), np.random.default_rng(0))
    assert places.tolist() == [0]


@pytest.mark.parametrize("seed", range(5))
def test_the_training_that_tells_most_by_brute_force(seed):
    predictor, codes, rng = drawn(seed)
    best, weight = rng.standard_normal((4, 5)), rng.dirichlet(np.ones(4))
    chosen = knowledge.telling(predictor, codes, best, weight, 3)
    for number in range(3):
        after = [left(predictor.after(code), best, weight) for code in codes]
        open_ones = [i for i in range(len(codes)) if i not in chosen[:number]]
        assert chosen[number] == min(open_ones, key=after.__getitem__)
        predictor.doubt = predictor.after(codes[chosen[number]])


def test_a_predictor_that_cannot_tell_is_not_asked():
    class Silent(Linear):
        def covariance(self, a, b):
            return None

    assert knowledge.promising(Silent([1.0], [[1.0]]), np.eye(1), np.random.default_rng(0)) is None
