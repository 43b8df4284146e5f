"""Which file a network is opened from."""

import pytest

from ncp.errors import UserError
from ncp.inference.networks import found_file, open_network


def test_a_run_folder_stands_for_its_last_checkpoint(tmp_path):
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.touch()
    assert found_file(tmp_path / "run") == last
    assert found_file(last) == last
    assert found_file(tmp_path / "net.onnx") == tmp_path / "net.onnx"  # told when it is opened
    with pytest.raises(
        UserError, match=r"holds no checkpoints/last\.ckpt and no found\.safetensors; give the run folder of"
    ):
        found_file(tmp_path)
    (tmp_path / "found.safetensors").touch()  # as a discovery leaves it
    assert found_file(tmp_path) == tmp_path / "found.safetensors"


def test_devices_and_files_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match="device must be one of auto, cpu, cuda, given was 'tpu'"):
        open_network(tmp_path, "tpu")
    for name in ("net.onnx", "net.safetensors", "net.ckpt"):
        with pytest.raises(UserError, match=r"net\."):
            open_network(tmp_path / name)
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(UserError, match=r"net\."):
            open_network(tmp_path / name)


@pytest.mark.parametrize("name", ["net.xml", "net.bin", "net.pt2"])
def test_files_for_other_programs_are_named(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"is for (OpenVINO|torch\.export) alone; give .* \.safetensors or \.onnx"):
        open_network(tmp_path / name)


def test_precisions(tmp_path):
    (tmp_path / "net.onnx").touch()
    with pytest.raises(UserError, match="dtype must be fp32 or bf16, given was 'int8'"):
        open_network(tmp_path / "net.onnx", dtype="int8")
    with pytest.raises(
        UserError, match=r"dtype=bf16 is for networks that torch runs; '.*net\.onnx' .* leave dtype out"
    ):
        open_network(tmp_path / "net.onnx", dtype="bf16")
