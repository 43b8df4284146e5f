"""Losses and figures of the seven tasks against other implementations."""

import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score
from torch.nn import functional as F

from ncp.tasks.scenes import adversary, classification, layout, segmentation


def test_soft_cross_entropy_is_as_in_the_benchmark():
    rng = np.random.default_rng(0)
    logits, shares = rng.normal(0, 4, (5, 7)), rng.dirichlet(np.ones(7), 5)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wanted = -(shares * np.log(probabilities + 1e-5)).sum(1)
    found = classification.soft_cross_entropy(torch.tensor(logits), torch.tensor(shares))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    near = F.cross_entropy(torch.tensor(logits), torch.tensor(shares), reduction="none")
    assert bool((found < near).all())  # what is added keeps it from growing without bound
    np.testing.assert_allclose(found, near, rtol=0.2)


def test_hits_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    logits, shares = rng.normal(size=(60, 8)), rng.dirichlet(np.ones(8), 60)
    right = torch.tensor(shares).argmax(1)
    found = classification.figures(torch.tensor(logits), right, torch.zeros(60))
    for name, k in (("top1", 1), ("top5", 5)):
        wanted = 100 * top_k_accuracy_score(right.numpy(), logits, k=k, labels=range(8))
        assert float(found[name].mean()) == pytest.approx(wanted)


def test_the_layouts_error_is_the_mean_squared_one():
    a, b = torch.randn(4, 9), torch.randn(4, 9)
    torch.testing.assert_close(layout.squared_error(a, b).mean(), F.mse_loss(a, b))


def test_pixels_without_a_label_count_nowhere():
    torch.manual_seed(0)
    logits, label = torch.randn(2, 4, 5, 6), torch.randint(4, (2, 5, 6))
    label[0, :2] = 255
    torch.testing.assert_close(
        segmentation.pixel_cross_entropy(logits, label), F.cross_entropy(logits, label, ignore_index=255)
    )
    assert float(segmentation.pixel_cross_entropy(logits, torch.full_like(label, 255))) == 0


def test_a_pixel_of_a_class_of_weight_three_is_three_pixels():
    torch.manual_seed(0)
    logits, label = torch.randn(2, 4, 5, 6), torch.randint(4, (2, 5, 6))
    label[0, :2] = 255
    each = F.cross_entropy(logits, label, ignore_index=255, reduction="none")
    wanted = (each[label < 255].sum() + 2 * each[label == 1].sum() - each[label == 3].sum()) / (label < 255).sum()
    given = torch.tensor([1.0, 3.0, 1.0, 0.0])
    torch.testing.assert_close(segmentation.pixel_cross_entropy(logits, label, given), wanted)


def test_intersections_are_summed_over_the_set_and_absent_classes_left_out():
    rng = np.random.default_rng(2)
    scores, matrix, losses = segmentation.SceneScores(5), np.zeros((5, 5)), []
    for count in (3, 1):
        logits = rng.normal(size=(count, 5, 6, 7))
        logits[:, 3] = -9  # never predicted, never there
        label = rng.choice([0, 1, 2, 4, 255], (count, 6, 7))
        scores.update(torch.tensor(logits), torch.tensor(label))
        np.add.at(matrix, (label[label < 255], logits.argmax(1)[label < 255]), 1)
        losses += [
            float(F.cross_entropy(torch.tensor(x)[None], torch.tensor(y)[None], ignore_index=255))
            for x, y in zip(logits, label, strict=True)
        ]
    union = matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
    found = {name: float(value) for name, value in scores.compute().items()}
    assert found["mIoU"] == pytest.approx(100 * np.mean([matrix[k, k] / union[k] for k in (0, 1, 2, 4)]))
    assert found["acc"] == pytest.approx(100 * matrix.trace() / matrix.sum())
    assert found["loss"] == pytest.approx(np.mean(losses))
    scores.reset()
    scores.update(torch.eye(5)[None, :, :, None], torch.arange(5)[None, :, None])
    assert float(scores.compute()["mIoU"]) == 100


def test_the_discriminators_loss_is_the_vanilla_one():
    class Sum(torch.nn.Module):
        def forward(self, image, target):
            return target.sum((1, 2, 3)) + image[:, 0, 0, 0]

    image, real, made = torch.randn(3, 4, 3, 2, 2), torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    a, b = Sum()(image[0], real).sigmoid(), Sum()(image[0], made).sigmoid()
    wanted = -0.5 * (a.log().mean() + (1 - b).log().mean())
    torch.testing.assert_close(adversary.discriminator_loss(Sum(), image[0], real, made), wanted)
