"""Augmentations against arithmetic done by hand and properties that they must have."""

import numpy as np
import torch

from ncp.data import transforms as T


def random_image(height, width, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8))


def test_resized_crop_windows_have_the_stated_area_and_aspect():
    # a picture of its own coordinates tells which window was cut
    y, x = torch.meshgrid(torch.arange(200), torch.arange(240), indexing="ij")
    image = torch.stack([y, x, torch.zeros_like(y)]).to(torch.uint8)
    areas, aspects = [], []
    for i in range(300):
        crop = T.random_resized_crop(image, np.random.default_rng(i), (16, 16), scale=(0.2, 0.6)).float()
        height = (crop[0].max() - crop[0].min()) * 16 / 15
        width = (crop[1].max() - crop[1].min()) * 16 / 15
        areas.append(float(height * width) / (200 * 240))
        aspects.append(float(width / height))
    assert 0.15 < min(areas) < 0.25
    assert 0.5 < max(areas) < 0.68
    assert 0.65 < min(aspects) < 0.9
    assert 1.15 < max(aspects) < 1.5


def test_centre_crop_of_a_square_is_224_of_256():
    image = torch.zeros(3, 256, 256, dtype=torch.uint8)
    image[:, 16:240, 16:240] = 200
    crop = T.centre_crop(image, (224, 224))
    assert crop.shape == (3, 224, 224)
    assert int(crop.min()) == 200


def test_image_and_label_are_cut_alike():
    # label = a function of the image's value, so after the same crop and flip it still is one
    value = torch.arange(12).repeat_interleave(10)
    plane = value[:, None].expand(120, 160) * 20 + (torch.arange(160) >= 80) * 5
    image = plane.to(torch.uint8).expand(3, -1, -1)
    label = (plane // 20).to(torch.uint8)
    for i in range(20):
        rng = np.random.default_rng(i)
        crop, mask = T.random_flip(rng, *T.random_scale_crop(image, label, rng, (40, 48)))
        assert crop.shape == (3, 40, 48)
        assert mask.shape == (40, 48)
        inside = mask != 255
        error = (crop[0].float() - mask.float() * 20 - 2.5).abs()[inside]
        assert float(error.median()) <= 3
        assert set(mask.unique().tolist()) <= {*range(12), 255}


def test_what_lies_outside_a_small_image_is_not_counted():
    image, label = random_image(40, 40), torch.ones(40, 40, dtype=torch.uint8)
    crop, mask = T.random_scale_crop(image, label, np.random.default_rng(0), (64, 64), scale=(0.5, 0.5), max_share=1.0)
    assert crop.shape == (3, 64, 64)
    assert int((mask == 1).sum()) == 20 * 20
    assert int((mask == 255).sum()) == 64 * 64 - 400
    assert set(crop[:, mask == 255].unique().tolist()) == {124}


def test_windows_of_one_class_are_drawn_again():
    label = torch.zeros(100, 400, dtype=torch.uint8)
    label[:, 380:] = 1  # only windows at the right end hold both
    image = random_image(100, 400)
    shares = []
    for most in (0.75, 1.0):
        hits = 0
        for i in range(60):
            _, mask = T.random_scale_crop(image, label, np.random.default_rng(i), (40, 40), (1.0, 1.0), max_share=most)
            hits += int(mask.max() == 1)
        shares.append(hits / 60)
    assert shares[0] > 2 * shares[1]


def test_normalised_images_have_zero_mean_and_unit_deviation():
    x = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    mean = [float(x[:, c].double().mean() / 255) for c in range(3)]
    std = [float((x[:, c].double() / 255).std(correction=0)) for c in range(3)]
    y = T.normalise(x, mean, std, torch.float64)
    assert torch.allclose(y.mean((0, 2, 3)), torch.zeros(3, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(y.std((0, 2, 3), correction=0), torch.ones(3, dtype=torch.float64), atol=1e-9)
