"""The built-in scenes as a data set: drawn once, sealed, split, with all labels."""

import numpy as np
import pytest

from ncp.data.base import Key
from ncp.data.indoor import Indoor
from ncp.data.indoor.names import OBJECTS, SCENES, SEMANTIC
from ncp.data.indoor.scenes import draw_scene
from ncp.data.views import LABELS
from ncp.errors import UserError


def _data(cache, labels, **changes):
    data = Indoor(
        labels=labels, cache=str(cache), **{"scenes": 3, "val_scenes": 2, "test_scenes": 2, "size": 48, **changes}
    )
    data.setup()
    return data


def test_samples_are_the_drawn_scenes(tmp_path):
    data = _data(tmp_path, [name for name in LABELS if name != "jigsaw"], scene_seed=7)
    sample = data.train_set[Key(-1, 2)]
    scene = draw_scene(np.random.default_rng((7, 0, 2)), (48, 48))
    label = sample["label"]
    assert np.array_equal(sample["image"].numpy(), scene.image)
    assert np.array_equal(label["segmentsemantic"].numpy(), scene.semantic)
    np.testing.assert_allclose(label["normal"].numpy(), scene.normal / 127.5 - 1, atol=1e-6)
    assert np.array_equal(label["class_object"].numpy(), scene.objects)
    assert np.array_equal(label["room_layout"].numpy(), scene.layout)
    assert SCENES[int(label["class_scene"].argmax())] == SCENES[scene.scene]
    names = {name: len(data.names(name)) for name in data.labels}
    assert names == {
        "class_scene": len(SCENES), "class_object": len(OBJECTS), "room_layout": 9, "segmentsemantic": len(SEMANTIC),
        "normal": 3, "autoencoder": 3,
    }  # fmt: skip
    metres = data.layout_numbers(label["room_layout"].numpy())
    assert 2.2 < metres[8] < 3.3  # the room's height


def test_splits_have_scenes_of_their_own_and_are_drawn_once(tmp_path):
    first = _data(tmp_path, "normal")
    folders = {path.name: (path / "image.npy").stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(folders) == 2
    again, tested = _data(tmp_path, "class_scene"), _data(tmp_path, "class_scene", split="test")
    assert {p.name: (p / "image.npy").stat().st_mtime_ns for p in tmp_path.iterdir() if p.name in folders} == folders
    assert len(list(tmp_path.iterdir())) == 3
    images = [data.val_set[Key(-1, 0)]["image"].numpy() for data in (first, tested)] + [
        again.train_set[Key(-1, 0)]["image"].numpy()
    ]
    assert len({image.tobytes() for image in images}) == 3
    assert np.array_equal(again.val_set[Key(-1, 1)]["image"].numpy(), first.val_set[Key(-1, 1)]["image"].numpy())


def test_altered_scenes_are_drawn_anew(tmp_path, caplog):
    wanted = _data(tmp_path, "class_object").val_set[Key(-1, 0)]["label"]
    for folder in tmp_path.iterdir():
        path = folder / "objects.npy"
        path.write_bytes(path.read_bytes()[:-4] + b"\1\2\3\4")
    assert np.array_equal(_data(tmp_path, "class_object").val_set[Key(-1, 0)]["label"], wanted)
    assert "objects.npy is cut off or altered" in caplog.text


def test_the_smallest_set_and_mistakes(tmp_path):
    data = _data(tmp_path, "jigsaw", tiny=True)
    assert (len(data.train_set), len(data.val_set)) == (4, 2)
    assert data.train_set[Key(0, 0)]["image"].shape[-2:] == data.size
    with pytest.raises(UserError, match=r"data.scenes, data.val_scenes and data.test_scenes must be at least 1"):
        _data(tmp_path, "normal", test_scenes=0)
