"""The pickle reader: equal to the standard one on plain data, and deaf to everything else."""

import builtins
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncp.benchmark import pickles
from ncp.errors import UserError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner) | st.tuples(inner),
    max_leaves=20,
)


@given(PLAIN, st.integers(3, 5))  # protocol 2 writes bytes as a call, which is refused: see below
@settings(max_examples=150)
def test_equal_to_the_standard_reader(value, protocol):
    data = pickle.dumps(value, protocol=protocol)
    found = pickles.parse(data)
    assert found == pickle.loads(data)
    assert repr(found) == repr(pickle.loads(data))  # bool and int apart, -0.0 too


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f8", "i1", "<i8", ">i2", "u1", "<u4", "?"])
@pytest.mark.parametrize("shape", [(0,), (7,), (2, 3), (1, 2, 2)])
@pytest.mark.parametrize("protocol", [3, 4])
def test_numeric_arrays(dtype, shape, protocol):
    array = (np.arange(np.prod(shape)) % 2 if dtype == "?" else np.arange(np.prod(shape))).astype(dtype).reshape(shape)
    for given_array in (array, np.asfortranarray(array)):
        (found, other) = pickles.parse(pickle.dumps([given_array, given_array], protocol=protocol))
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)
        assert np.array_equal(other, array)
        assert not found.flags.writeable


class Call:
    """Pickles as a call of ``function``."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def hostile(path):
    """Programs that would touch ``path`` if they ran, or otherwise do more than make data."""
    touch = f"open({str(path)!r}, 'w')"
    text = str(path).encode()
    return {
        "os.system": pickle.dumps(Call(os.system, f"touch {path}")),
        "eval": pickle.dumps(Call(builtins.eval, touch)),
        "exec": pickle.dumps([1, 2, Call(exec, touch)], protocol=2),
        "open": pickle.dumps({"a": Call(open, str(path), "w")}, protocol=4),
        "global, protocol 2": b"\x80\x02cposix\nsystem\nX\x05\x00\x00\x00touch\x85R.",
        "inst": b"\x80\x02(X" + struct.pack("<I", len(text)) + text + b"ios\nmkdir\n.",
        "obj": b"\x80\x02(cos\nmkdir\nX" + struct.pack("<I", len(text)) + text + b"o.",
        "newobj": b"\x80\x02cnumpy\nndarray\nK\x05\x85\x81.",
        "newobj_ex": b"\x80\x04cnumpy\nndarray\nK\x05\x85}\x92.",
        "extension registry": b"\x80\x02\x82\x01.",
        "persistent id": b"\x80\x02X\x01\x00\x00\x00aQ.",
        "text persistent id": b"\x80\x02Pabc\n.",
        "out-of-band buffer": b"\x80\x05\x97.",
        "attribute walk": b"\x80\x04\x8c\x05numpy\x8c\x12ndarray.__class__.x\x93.",
        "another numpy name": b"\x80\x02cnumpy\nload\nX\x01\x00\x00\x00x\x85R.",
        "numpy's array called directly": b"\x80\x02cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R.",
        "reconstruct another class": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85C\x01b\x87R.",
        "a huge reconstruct": b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nJ\xff\xff\xff\x7f\x85C\x01b\x87R.",
        "object array": pickle.dumps(np.array([{"a": 1}], dtype=object)),
        "structured array": pickle.dumps(np.zeros(2, dtype=[("a", "f4")])),
        "dates": pickle.dumps(np.zeros(2, dtype="M8[s]")),
        "state of a list": b"\x80\x02]}b.",
        "state of a name": b"\x80\x02cnumpy\nndarray\n}b.",
        "a set": pickle.dumps({1, 2}, protocol=4),
        "a class of the standard library": pickle.dumps(__import__("datetime").date(2020, 1, 1)),
        "bytes of protocol 2": pickle.dumps(b"abc", protocol=2),
        "an endless integer": b"\x80\x02\x8a\xff" + b"\x01" * 255 + b".",
        "protocol 0": pickle.dumps([1], protocol=0),
        "protocol 9": b"\x80\x09N.",
        "text": b"PK\x03\x04 not a pickle",
        "empty": b"",
    }


@pytest.mark.parametrize("name", hostile("x"))
def test_refused_before_anything_runs(name, tmp_path):
    path = tmp_path / "touched"
    with pytest.raises(UserError, match=r"refused|corrupt") as error:
        pickles.parse(hostile(path)[name], "file.pkl")
    assert not path.exists()
    assert "file.pkl" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_hostile_files_would_have_run(tmp_path):
    """The standard reader does run them: the test above tests something."""
    path = tmp_path / "touched"
    pickle.loads(hostile(path)["os.system"])
    assert path.exists()


def test_the_message_names_what_the_file_asked_for():
    with pytest.raises(UserError, match=r"(posix|nt)\.system.*not on the list.*nothing in it was run"):
        pickles.parse(pickle.dumps(Call(os.system, "true")))


SAMPLE = pickle.dumps(
    [{"mIoU": 70.5, "embedding": [8, 16], "blocks": [[1, [2], [3]]], "a": np.arange(4.0), "b": b"xyz", "n": None}],
    protocol=4,
)


def test_every_truncation_is_a_users_error():
    for length in range(len(SAMPLE)):
        with pytest.raises(UserError, match=r"corrupt or truncated|refused"):
            pickles.parse(SAMPLE[:length])


def test_damaged_bytes_never_do_harm():
    """Any change of any byte gives data or a user's error, nothing else."""
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(4000):
        data = bytearray(SAMPLE)
        for position in rng.integers(0, len(data), size=rng.integers(1, 4)):
            data[position] = rng.integers(0, 256)
        try:
            pickles.parse(bytes(data))
        except UserError:
            refused += 1
    assert 500 < refused < 4000


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x03B\xff\xff\xff\x7fabc.",  # bytes of 2 GiB
        b"\x80\x03X\xff\xff\xff\xffabc.",  # text of 4 GiB
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"a.",  # bytes of 4 EiB
        b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"Nr\xff\xff\xff\x7f0.",  # a memo with a place for 2^31 values
        b"\x80\x02Nr\xff\xff\xff\xff" + b"j\xff\xff\xff\xff\x86.",
    ],
)
def test_absurd_sizes_take_no_memory(data):
    tracemalloc.start()
    try:
        pickles.parse(data)
    except UserError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2**20


def test_limits(monkeypatch, tmp_path):
    path = tmp_path / "many.pkl"
    path.write_bytes(pickle.dumps([[] for _ in range(100)], protocol=2))
    monkeypatch.setattr(pickles, "MAX_MEMORY", 5000)
    with pytest.raises(UserError, match="more than 5,000 bytes of memory"):
        pickles.read(path)
    with pytest.raises(UserError, match="there is no file"):
        pickles.read(tmp_path / "absent.pkl")
    with pytest.raises(UserError, match="is a folder"):
        pickles.read(tmp_path)
    monkeypatch.setattr(pickles, "MAX_BYTES", 10)
    with pytest.raises(UserError, match="at most 10 are read"):
        pickles.read(path)


def nested(leaf=b"N", levels=60):
    """A tuple of two references to a tuple of two references to ... : a few hundred bytes, 2**levels leaves."""
    return leaf + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(levels))


@pytest.mark.parametrize(
    "program",
    [
        b"}" + nested() + b"K\x01s",  # its hash has no end
        b"cnumpy\ndtype\n" + nested() + b"K\x00K\x01\x87R",  # its text
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + nested() + nested() + b"\x87R",  # its equality
        b"cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R(K\x03" + nested() + b"NNNtb",
        nested() + nested() + b"\x93",
    ],
)
def test_shared_tuples_take_no_time(program):
    with pytest.raises(UserError, match=r"refused|corrupt"):
        pickles.parse(b"\x80\x04" + program + b".")


@pytest.mark.parametrize(
    ("opcodes", "before"),
    [
        (b"N", b"("),
        (b"]", b"("),
        (b"\x94", b"N"),
        (b"h\x00", b"Nq\x00("),
        (b"(", b""),
        (b"K\x01a", b"]"),
        (b"M\x00\x01", b"("),
    ],
    ids=["nones", "lists", "memo", "shared", "marks", "appended", "numbers"],
)
def test_a_few_bytes_never_become_many_more(opcodes, before, monkeypatch):
    """The real memory stays near what is counted, whatever the opcode is that is repeated."""
    monkeypatch.setattr(pickles, "MAX_MEMORY", 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"bytes of memory"):
            pickles.parse(b"\x80\x04" + before + opcodes * 200_000 + b".")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * 2**20  # the program itself has up to 0.6


def test_the_release_reads_as_with_the_standard_reader(shared):
    """The standard reader may be used here: these files were looked at."""
    for name in ("3ddet", "nas-bench-201"):
        path = shared / "nas-bench-mr" / "data" / name / "trainval.pkl"
        ours, theirs = pickles.read(path), pickle.loads(path.read_bytes())
        assert len(ours) == len(theirs) > 2000
        for a, b in zip(ours, theirs, strict=True):
            assert np.array_equal(a.pop("embedding"), b.pop("embedding"))
            assert a == b
