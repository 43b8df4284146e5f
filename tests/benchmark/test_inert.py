"""What torch's own pickle says, read without torch: the same tree with shapes in the place of tensors, and no end of nesting."""

import os
import pickle
from collections import OrderedDict

import pytest
import torch

from ncp.benchmark import archives, inert
from ncp.benchmark.inert import DEEPEST, LARGEST, Shape, measure
from ncp.benchmark.pickles import Refused
from ncp.errors import UserError


def written(tmp_path, content):
    torch.save(content, tmp_path / "x.ckpt")
    return archives.read(tmp_path / "x.ckpt", "a checkpoint", 2**24, 2**20)[0]


def test_values_come_back_and_tensors_as_their_shapes(tmp_path):
    weights = torch.zeros(3, 4)
    content = {
        "a": [1, 2.5, "x", None, True, (1, 2)],
        "state": OrderedDict(w=weights, part=weights[:, 1], half=torch.zeros(2, dtype=torch.float16)),
        "parameter": torch.nn.Parameter(torch.zeros(5)),
        "count": torch.tensor(7),
    }
    found, storages = inert.parse(written(tmp_path, content), "x")
    assert found["a"] == content["a"]
    assert found["state"] == {"w": Shape("FloatStorage", (3, 4)), "part": Shape("FloatStorage", (3,)),
                              "half": Shape("HalfStorage", (2,))}  # fmt: skip
    assert found["parameter"].sizes == (5,)
    assert found["count"] == Shape("LongStorage", ())
    assert sorted(s.number for s in storages.values()) == [1, 2, 5, 12]  # the part shares its storage


class Evil:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-pickle",)


@pytest.mark.parametrize("content", [Evil(), {"x": Evil()}, {1, 2}, object, 3j])
def test_nothing_is_called(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="x"):
        inert.parse(pickle.dumps(content, protocol=2), "x")
    assert not (tmp_path / "made-by-a-pickle").exists()


def test_a_tree_counts_as_it_unfolds():
    shared = [1, 2, 3]
    assert measure({"a": shared, "b": shared}) == measure({"a": [1, 2, 3], "b": [4, 5, 6]})
    doubled = [1]
    for _ in range(40):
        doubled = [doubled, doubled]
    with pytest.raises(Refused):  # 2 ** 40 values, or 40 levels
        measure(doubled)
    wide = [0] * 2000
    with pytest.raises(Refused):
        measure([wide] * (LARGEST // 2000 + 1))
    deep: list = []
    for _ in range(DEEPEST + 1):
        deep = [deep]
    with pytest.raises(Refused):
        measure(deep)
    circle: list = []
    circle.append(circle)
    with pytest.raises(Refused):
        measure(circle)
