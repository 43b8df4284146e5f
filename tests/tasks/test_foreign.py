"""Checkpoints of other frameworks: their weights come back, nothing else is made, and altered files are refused in one line."""

import io
import pickle
import struct
import zipfile

import altered
import numpy as np
import pytest
import torch

from ncp.benchmark import frameworks
from ncp.benchmark.inert import Storage, View
from ncp.errors import UserError
from ncp.tasks import foreign

END = b"\x89ccollections\nOrderedDict\n)RtR"  # of a tensor: no gradient, no hooks
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"


class Curve:
    """Like mmengine's HistoryBuffer: an object with arrays, numbers of numpy and its own methods."""

    def __init__(self):
        self._log_history = np.arange(3.0)
        self._count_history = np.arange(3)
        self._methods = {"max": Curve.highest}
        self.last = np.float64(2.5)

    def highest(self):
        raise AssertionError


Curve.__module__ = "mmengine.logging.history_buffer"


@pytest.fixture
def curve(monkeypatch):
    """One that pickle writes under the name of mmengine's."""
    import sys
    import types

    parts = Curve.__module__.split(".")
    for number in range(len(parts)):  # whether the real package is installed or not
        name = ".".join(parts[: number + 1])
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules[Curve.__module__].Curve = Curve  # type: ignore[attr-defined]
    monkeypatch.setattr(Curve.highest, "__module__", Curve.__module__)
    return Curve()


def content(**more):
    weights = torch.arange(12.0).reshape(3, 4)
    state = {
        "whole": weights, "turned": weights.T, "row": weights[1], "one": torch.tensor(7),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "none": torch.zeros(0, 3), "parameter": torch.nn.Parameter(torch.ones(2, 2)),
    }  # fmt: skip
    return {"meta": {"epoch": 3, "classes": ("a", "b"), "time": "now"}, "state_dict": state, **more}


def test_weights_come_back_as_torch_reads_them(tmp_path, curve):
    wanted = content()["state_dict"]
    torch.save(
        content(message_hub={"log_scalars": {"loss": curve}}, optimizer={"state": {0: torch.ones(3)}}),
        tmp_path / "a.pth",
    )
    found = foreign.weights_of(tmp_path / "a.pth")
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name
    torch.save(wanted, tmp_path / "bare.pth")
    assert list(foreign.weights_of(tmp_path / "bare.pth")) == list(wanted)


def archive(path, program, numbers=24, compress=zipfile.ZIP_STORED):
    """A checkpoint whose ``data.pkl`` is a program, with a storage of some bytes."""
    with zipfile.ZipFile(path, "w", compress) as file:
        file.writestr("a/data.pkl", b"\x80\x02" + program + b".")
        file.writestr("a/version", b"3\n")
        file.writestr("a/data/0", bytes(numbers))
    return path


def tensor(sizes, steps, offset=b"K\x00"):
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + offset + sizes + steps + END


def state(value):
    return b"}X\x01\x00\x00\x00a" + value + b"s"


def number(n):
    return b"\x8a\x08" + struct.pack("<q", n)


GOOD = state(tensor(b"K\x02K\x03\x86", b"K\x03K\x01\x86"))


def test_the_smallest_file(tmp_path):
    found = foreign.weights_of(archive(tmp_path / "a.pth", GOOD))
    assert torch.equal(found["a"], torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        # one number that is shown as a million millions
        (state(tensor(number(10**12) + b"\x85", b"K\x00\x85")), "with 6 numbers behind it"),
        (state(tensor(b"K\x02\x85", number(10**9) + b"\x85")), "with 6 numbers behind it"),
        (state(tensor(b"K\x02\x85", b"K\x01\x85", number(10**9))), "with 6 numbers behind it"),
        (state(tensor(b"J\xff\xff\xff\xff\x85", b"K\x01\x85")), "are no numbers"),
        (state(b"cposix\nsystem\nX\x04\x00\x00\x00exit\x85R"), "asks for 'posix.system', which is not on the list"),
        (state(b"c__builtin__\neval\nX\x01\x00\x00\x001\x85R"), "asks for '__builtin__.eval'"),
        # what an object's own methods give is not called either
        (
            state(b"c__builtin__\ngetattr\nctorch\nload\nX\x01\x00\x00\x00x\x86RX\x01\x00\x00\x00y\x85R"),
            "it calls something",
        ),
        (state(b"cnumpy\nzeros\n" + number(10**12) + b"\x85R"), "a state_dict of tensors alone"),
        (state(b"cmmengine.config\nConfig\n"), "a state_dict of tensors alone"),
        (b"K\x01", "holds no weights"),
        (b"}", "holds no weights"),
        (b"}X\x0a\x00\x00\x00state_dict]s", "holds no weights"),
        (b"}K\x01" + tensor(b"K\x02\x85", b"K\x01\x85") + b"s", "a state_dict of tensors alone"),
        (b"(" * 100_000, "corrupt"),
        (state(b"K\x01" + b"\x85" * 20_000), "a state_dict of tensors alone"),
    ],
)
def test_hostile_programs(program, message, tmp_path):
    path = archive(tmp_path / "a.pth", program)
    with altered.bounded(200), pytest.raises(UserError, match=message) as error:
        foreign.weights_of(path)
    assert "\n" not in str(error.value)
    assert "a.pth" in str(error.value)


def test_values_that_share_parts_are_never_unfolded(tmp_path):
    """A thousand bytes that are a tuple of 2 to the 300th values, beside the weights and among them."""
    shared = b"K\x01q\x00" + b"".join(b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(200))
    beside = b"}X\x04\x00\x00\x00meta" + shared + b"sX\x0a\x00\x00\x00state_dict" + GOOD + b"s"
    assert list(foreign.weights_of(archive(tmp_path / "a.pth", beside))) == ["a"]
    with pytest.raises(UserError, match="tensors alone"):
        foreign.weights_of(archive(tmp_path / "b.pth", state(shared)))


def test_archives_that_torch_does_not_write(tmp_path):
    with pytest.raises(UserError, match="its parts are packed"):
        foreign.weights_of(archive(tmp_path / "a.pth", GOOD, compress=zipfile.ZIP_DEFLATED))
    with pytest.raises(UserError, match="missing or cut off"):
        foreign.weights_of(archive(tmp_path / "b.pth", GOOD, numbers=8))
    (tmp_path / "c.pth").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        foreign.weights_of(tmp_path / "c.pth")
    with pytest.raises(UserError, match="there is no file"):
        foreign.weights_of(tmp_path / "none.pth")


def test_altered_content_and_bytes(tmp_path, curve):
    path = tmp_path / "a.pth"
    whole = content(message_hub={"log_scalars": {"loss": curve}, "runtime": {"iter": 2}})
    whole["state_dict"] = {
        name: value for name, value in whole["state_dict"].items() if name in ("whole", "one", "none")
    }

    def read(changed):
        torch.save(changed, path)
        assert all(isinstance(value, torch.Tensor) for value in foreign.weights_of(path).values())

    with altered.bounded(200):
        altered.survives(read, altered.variants(whole, altered.SOME), one_line=True)
        file = io.BytesIO()
        torch.save(whole, file)

        def read_bytes(data):
            path.write_bytes(data)
            foreign.weights_of(path)

        altered.survives(read_bytes, altered.damaged(file.getvalue(), 2 * altered.SOME), one_line=True)


def test_where_weights_lie():
    views, storages = frameworks.parse(b"\x80\x02" + GOOD + b".", "a")
    assert storages == {"0": Storage("0", "FloatStorage", 6)}
    assert views == {"a": View(storages["0"], 0, (2, 3), (3, 1))}
