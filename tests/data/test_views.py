"""Samples of the seven tasks: labels' shapes and ranges, augmentation, statistics, several labels at once."""

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate
from torchvision.transforms.v2 import functional as F

from ncp.data import views
from ncp.data.base import Key
from ncp.errors import UserError

SIDE = 48


class Plain:
    """Random images with labels that show what was done to them: their left half differs from the right."""

    def __init__(self, labels, count=4):
        rng = np.random.default_rng(0)
        self.images = torch.from_numpy(rng.integers(40, 200, (count, 3, SIDE, SIDE)).astype(np.uint8))
        self.semantic = torch.zeros((SIDE, SIDE), dtype=torch.uint8)
        self.semantic[:, SIDE // 2 :] = 3
        self.semantic[0] = 255
        self.normal = torch.zeros((3, SIDE, SIDE), dtype=torch.uint8)
        self.normal[0, :, : SIDE // 2] = 255
        self.truth = {
            "class_object": torch.tensor([0.25, 0.75]), "class_scene": torch.tensor([0.5, 0.5]),
            "room_layout": torch.arange(9.0), "segmentsemantic": self.semantic, "normal": self.normal,
        }  # fmt: skip
        self.labels = labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], {name: self.truth[name] for name in views.stored(self.labels)}


class Data(views.ViewData):
    def names(self, label):
        return {"class_object": ("a", "b"), "class_scene": ("c", "d"), "segmentsemantic": tuple("abcd")}.get(
            label
        ) or super().names(label)

    def prepare(self):
        self.train_set = self.val_set = self.views(Plain(self.labels))


def _data(labels, **changes):
    data = Data(labels=labels, **{"size": SIDE, "permutations": 12, **changes})
    data.setup()
    return data


@pytest.mark.parametrize("labels", views.LABELS)
def test_a_label_has_the_shape_and_range_of_its_task(labels):
    data = _data(labels)
    batch = default_collate([data.train_set[Key(0, i)] for i in range(4)])
    image, label = batch["image"], batch["label"]
    assert image.dtype == torch.uint8
    assert image.shape == ((4, 9, 3, 12, 12) if labels == "jigsaw" else (4, 3, SIDE, SIDE))
    assert data.size == tuple(image.shape[-2:])
    shape, dtype, low, high = {
        "class_object": ((4, 2), torch.float32, 0.25, 0.75), "class_scene": ((4, 2), torch.float32, 0.5, 0.5),
        "room_layout": ((4, 9), torch.float32, 0, 8), "jigsaw": ((4,), torch.int64, 0, 11),
        "segmentsemantic": ((4, SIDE, SIDE), torch.int64, 0, 255), "normal": ((4, 3, SIDE, SIDE), torch.float32, -1, 1),
        "autoencoder": ((4, 3, SIDE, SIDE), torch.float32, -1, 1),
    }[labels]  # fmt: skip
    assert (label.shape, label.dtype) == (shape, dtype)
    assert low <= label.min()
    assert label.max() <= high
    assert len(data.classes) == {
        "jigsaw": 12,
        "room_layout": 9,
        "normal": 3,
        "autoencoder": 3,
        "segmentsemantic": 4,
    }.get(labels, 2)
    assert set(data.tasks) == set(views.LABELS)


def test_statistics_are_the_released_ones():
    assert _data("room_layout").mean == _data("class_scene").mean == (0.5224, 0.5222, 0.5221)
    assert _data("class_object").std == (0.2234, 0.2235, 0.2236)
    for dense in ("normal", "segmentsemantic", "autoencoder", ["class_scene", "normal"]):
        assert (_data(dense).mean, _data(dense).std) == ((0.5,) * 3, (0.5,) * 3)
    assert (_data("jigsaw").mean, _data("jigsaw").std) == ((0.0,) * 3, (1.0,) * 3)


def _mirrored(data, item=0, epochs=24):
    """In which epochs an image was mirrored: told by its coarse grey, which jitter keeps in order."""
    original = data.train_set.source[item][0].float().mean(0)
    out = []
    for epoch in range(epochs):
        grey = data.train_set[Key(epoch, item)]["image"].float().mean(0)
        one, other = (
            torch.corrcoef(torch.stack([grey.flatten(), a.flatten()]))[0, 1] for a in (original, original.flip(-1))
        )
        assert max(one, other) > 0.7
        out.append(bool(other > one))
    return out


def test_flips_turn_images_and_their_maps_together_and_not_what_has_no_mirror_image():
    data = _data("segmentsemantic")
    flips = _mirrored(data)
    assert 4 < sum(flips) < 20
    for epoch, flip in enumerate(flips):
        label = data.train_set[Key(epoch, 0)]["label"]
        expected = data.train_set.source.semantic.long()
        assert torch.equal(label, expected.flip(-1) if flip else expected)
    for labels in ("room_layout", "normal", ["class_scene", "normal"], ["room_layout", "jigsaw"]):
        assert not any(_mirrored(_data(labels)))
    assert any(_mirrored(_data("class_scene")))
    assert not any(_mirrored(_data("class_scene", flip=False)))
    with pytest.raises(UserError, match=r"data.flip=true cannot be used with the label normal"):
        Data(labels=["class_scene", "normal"], size=SIDE, flip=True)


def test_the_autoencoders_target_is_the_augmented_image_and_normals_stay_with_theirs():
    data = _data("autoencoder")
    for epoch in (-1, 0, 1):
        sample = data.train_set[Key(epoch, 1)]
        assert torch.allclose(sample["label"], sample["image"].float() / 127.5 - 1)
    assert not torch.equal(data.train_set[Key(0, 1)]["image"], data.train_set.source[1][0])
    data = _data("normal")
    sample = data.train_set[Key(3, 1)]
    assert torch.equal(sample["image"], data.train_set.source[1][0])  # neither mirrored nor jittered
    assert sample["label"][0, 0, 0] == 1
    assert sample["label"][0, 0, -1] == -1
    assert _data("normal", normal_range=[0, 1]).train_set[Key(0, 0)]["label"].unique().tolist() == [0, 1]


def test_evaluation_changes_nothing_but_puzzles_which_it_repeats():
    data = _data("class_scene")
    assert torch.equal(data.val_set[Key(-1, 2)]["image"], data.val_set.source[2][0])
    data = _data("jigsaw")
    first, again = data.val_set[Key(-1, 2)], data.val_set[Key(-1, 2)]
    assert torch.equal(first["image"], again["image"])
    assert first["label"] == again["label"]
    training = [data.train_set[Key(epoch, 2)] for epoch in range(40)]
    assert len({sample["label"] for sample in training}) > 8
    grey = [bool((sample["image"][:, 0] == sample["image"][:, 1]).all()) for sample in training]
    assert 4 <= sum(grey) <= 22  # three of ten


def test_jitter_keeps_to_its_ranges():
    image = Plain(()).images[0]
    rng = np.random.default_rng(0)
    nothing = dict.fromkeys(views.JITTER, 0.0)
    assert torch.equal(views.jitter(image, rng, nothing), image)
    for name, adjust in (("brightness", F.adjust_brightness), ("contrast", F.adjust_contrast)):
        means, ends = [], [adjust(image, factor).float().std() for factor in (0.8, 1.2)]
        for _ in range(40):
            means.append(views.jitter(image, rng, {**nothing, name: 0.2}).float().std())
        assert ends[0] - 0.2 <= min(means) < ends[0] * 1.05
        assert ends[1] * 0.95 < max(means) <= ends[1] + 0.2
    assert views.JITTER == {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1}


def test_one_sample_gives_several_labels():
    data = _data(list(views.LABELS))
    batch = default_collate([data.train_set[Key(0, i)] for i in range(3)])
    assert set(batch["label"]) == set(views.LABELS)
    assert batch["tiles"].shape == (3, 9, 3, 12, 12)
    assert batch["image"].shape == (3, 3, SIDE, SIDE)
    assert torch.allclose(batch["label"]["autoencoder"], batch["image"].float() / 127.5 - 1)
    assert isinstance(_data(["normal"]).train_set[Key(0, 0)]["label"], dict)
    assert data.size == (SIDE, SIDE)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": "depth"}, "must be one or several of class_scene, class_object"),
        ({"labels": []}, "must be one or several of"),
        ({"labels": ["normal", "normal"]}, "must be one or several of"),
        ({"split": "train"}, "data.split is what is evaluated: val or test"),
        ({"normal_range": [1, 0]}, "data.normal_range is a lowest and a highest number"),
        ({"size": 16}, "data.size must be at least 32"),
        ({"labels": "jigsaw", "size": 40}, "data.size must be at least 48 for jigsaw"),
        ({"labels": "jigsaw", "permutations": 1}, "from 2 to 1,512"),
        ({"labels": "jigsaw", "permutations": "nowhere.npy"}, "there is no file"),
    ],
)
def test_mistakes_are_told_in_a_line(changes, says):
    with pytest.raises(UserError, match=says) as caught:
        Data(**{"labels": "class_scene", "size": SIDE, **changes})
    assert "\n" not in str(caught.value)
