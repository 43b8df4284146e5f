"""Arrays of any number of channels."""

import numpy as np
import pytest

from ncp.data import rasters
from ncp.errors import UserError

RNG = np.random.default_rng(0)


def test_an_array_with_the_channels_first_or_last(tmp_path):
    path, array = tmp_path / "a.npy", RNG.random((5, 20, 30))
    np.save(path, array)
    assert np.array_equal(rasters.read_array(path), array)
    np.save(path, array.transpose(1, 2, 0))
    assert np.array_equal(rasters.read_array(path), array)
    np.save(path, np.asfortranarray(array[0]))
    assert np.array_equal(rasters.read_array(path), array[:1])


def test_an_array_is_never_unpickled_and_its_head_is_checked(tmp_path):
    path = tmp_path / "a.npy"

    class Bomb:
        def __reduce__(self):
            return (print, ("unpickled",))

    np.save(path, np.array([[Bomb()]], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="arrays of whole or real numbers"):
        rasters.read_array(path)
    np.save(path, np.zeros((4, 4), np.float32))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"(4, 4)", b"(9999999, 9999999)"))
    with pytest.raises(UserError, match=r"shape|cut off|no array"):
        rasters.read_array(path)
    path.write_bytes(whole[:-1])
    with pytest.raises(UserError, match="cut off"):
        rasters.read_array(path)
    path.write_bytes(b"PK\x03\x04" + whole)
    with pytest.raises(UserError, match="no array of numpy"):
        rasters.read_array(path)
    for shape in ((4, 20, 4), (40, 20, 40)):
        np.save(path, np.zeros(shape, np.uint8))
        with pytest.raises(UserError, match="its channels, at most 16, must be the first or the last"):
            rasters.read_array(path)


@pytest.mark.parametrize("head", [b"{'descr': ( ", b"(" * 3000, b"{'descr': 'f4', 'shape': (2, 2", b"\x00", b""])
def test_heads_that_are_no_heads(tmp_path, head):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    with pytest.raises(UserError, match=r"a\.npy' is no array of numpy"):
        rasters.array_head(tmp_path / "a.npy")
