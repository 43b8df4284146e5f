"""mIoU, mAcc, aAcc against a pixel-by-pixel count after Cityscapes' own definition, and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, jaccard_score

from ncp.data.cityscapes import CLASSES
from ncp.metrics.segmentation import SegmentationScores


def official_miou(predicted, label, classes):
    """Cityscapes' tool in words: of each class true positives over true positives, false positives and false negatives;
    pixels whose label is ignored are no false positives; classes that occur nowhere are left out."""
    scores = []
    for k in range(classes):
        tp = fp = fn = 0
        for p, t in zip(predicted.ravel().tolist(), label.ravel().tolist(), strict=True):
            if t == 255:
                continue
            tp += p == k and t == k
            fp += p == k and t != k
            fn += p != k and t == k
        if tp + fp + fn:
            scores.append(tp / (tp + fp + fn))
    return 100 * float(np.mean(scores))


@pytest.mark.parametrize("seed", range(6))
def test_equal_to_the_official_definition_and_to_sklearn(seed):
    rng = np.random.default_rng(seed)
    classes = 19
    present = rng.choice(classes, size=rng.integers(3, classes), replace=False)
    label = rng.choice(present, size=(3, 20, 30))
    predicted = np.where(rng.random(label.shape) < 0.6, label, rng.choice(present[1:], size=label.shape))
    label = np.where(rng.random(label.shape) < 0.1, 255, label)
    scores = SegmentationScores(classes)
    for p, t in zip(predicted, label, strict=True):  # image by image: the count is over the whole set
        scores.update(torch.from_numpy(p)[None], torch.from_numpy(t.astype(np.uint8))[None])
    got = {key: float(value) for key, value in scores.compute().items()}
    assert got["mIoU"] == pytest.approx(official_miou(predicted, label, classes), abs=1e-9)
    seen = label != 255
    y, p = label[seen], predicted[seen]
    assert got["mAcc"] == pytest.approx(100 * balanced_accuracy_score(y, p), abs=1e-9)
    assert got["aAcc"] == pytest.approx(100 * accuracy_score(y, p), abs=1e-9)
    labels = sorted(set(y) | set(p))
    per_class = scores.per_class()[torch.tensor(labels)].numpy()
    assert per_class == pytest.approx(100 * jaccard_score(y, p, labels=labels, average=None), abs=1e-9)


def test_it_is_not_the_mean_over_images():
    scores = SegmentationScores(2)
    scores.update(torch.zeros(1, 1, 4, dtype=torch.long), torch.zeros(1, 1, 4, dtype=torch.long))
    scores.update(torch.zeros(1, 1, 4, dtype=torch.long), torch.ones(1, 1, 4, dtype=torch.long))
    assert float(scores.compute()["mIoU"]) == pytest.approx(25.0)  # (4/8 + 0/4) / 2; by image it would be 50


def scenes(seed):
    """Three pairs of a Cityscapes label (labelIds) and a prediction (classes 0..18), from numpy's own generator."""
    rng = np.random.default_rng(seed)
    ids = [number for _, number, _ in CLASSES]
    to_class = np.full(256, 255, dtype=np.uint8)
    to_class[ids] = np.arange(19)
    for _ in range(3):
        label = rng.integers(0, 34, (8, 16), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        if seed >= 1:  # trucks, trains and bicycles are nowhere in the labels
            label[np.isin(label, (27, 31, 33))] = 7
        noise, draw = rng.integers(0, 19, label.shape), rng.random(label.shape)
        if seed == 2:  # nor in the predictions
            noise = np.where(np.isin(noise, (14, 16, 18)), 0, noise)
        label = to_class[label]
        yield label, np.where((draw < 0.7) & (label != 255), label, noise)


# averageScoreClasses of cityscapesscripts 2.3.0 (evalPixelLevelSemanticLabeling.evaluateImgLists) on these very scenes as files
@pytest.mark.parametrize(
    ("seed", "official"), [(0, 0.547161872522789), (1, 0.47635307986239733), (2, 0.5570724675382162)]
)
def test_equal_to_what_cityscapesscripts_gave(seed, official):
    scores = SegmentationScores(19)
    for label, predicted in scenes(seed):
        scores.update(torch.from_numpy(predicted)[None], torch.from_numpy(label)[None])
    assert float(scores.compute()["mIoU"]) == pytest.approx(100 * official, abs=1e-10)
