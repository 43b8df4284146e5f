"""Latency files: what was written is read again, and everything else is refused in a line."""

import json
import os
from dataclasses import asdict

import numpy as np
import pytest
from safetensors.numpy import save_file

from ncp import latency, spaces
from ncp.errors import UserError
from ncp.latency.storage import FORMAT
from ncp.spaces.work import LABELS

SPACE = spaces.get("multires")
PRICES = 1 + len(LABELS)


@pytest.fixture(scope="module")
def model():
    codes = SPACE.sample_codes(12, np.random.default_rng(0))
    return latency.fit(SPACE, codes, 1 + SPACE.cost(codes).macs / 1e9)


def test_there_and_back(model, tmp_path):
    path = latency.save(model, tmp_path / "a.safetensors")
    again, codes = latency.load(path), SPACE.sample_codes(50, np.random.default_rng(1))
    np.testing.assert_array_equal(again.predict(codes), model.predict(codes))
    np.testing.assert_array_equal(again.predict_std(codes), model.predict_std(codes))
    assert again.card == model.card
    assert path.stat().st_size < 10_000


def altered(model, path, card=None, tensors=None, form=FORMAT):
    content = {**model.tensors._asdict(), **(tensors or {})}
    told = json.dumps({**asdict(model.card), **(card or {})})
    save_file(
        {k: np.ascontiguousarray(v) for k, v in content.items() if v is not None}, path, {"format": form, "card": told}
    )
    return path


@pytest.mark.parametrize(
    ("card", "tensors", "message"),
    [
        ({"space": "flat"}, {}, "space 'flat'"),
        ({"rows": 10**9}, {}, "rows"),
        ({"rows": 13}, {}, "do not fit its card"),
        ({"task": "sing"}, {}, "unknown task 'sing'"),
        ({"size": [1, 2, 3]}, {}, "size"),
        ({"size": [0, 128]}, {}, "size"),
        ({"median_error": -1}, {}, "median_error"),
        ({"secret": 1}, {}, "'secret' that this version does not know"),
        ({"space": "nasbench201"}, {}, "do not fit its card"),
        ({}, {"prices": None}, "missing: prices"),
        ({}, {"prices": np.zeros(PRICES)}, "not positive"),
        ({}, {"prices": -np.ones(PRICES)}, "not positive"),
        ({}, {"prices": np.full(PRICES, np.nan)}, "not finite"),
        ({}, {"prices": np.ones(PRICES, dtype=np.float32)}, "another type"),
        ({}, {"milliseconds": np.zeros(12)}, "not positive"),
        ({}, {"milliseconds": np.full(12, 1e12)}, "no measured time leads to"),
        ({}, {"scales": np.full(5, 600.0)}, "no measured time leads to"),
        ({}, {"codes": np.ones((12, 27), dtype=np.int64)}, "no architectures of space"),
        ({}, {"more": np.ones(3)}, "unknown: more"),
    ],
)
def test_altered_files(model, tmp_path, card, tensors, message):
    path = altered(model, tmp_path / "a.safetensors", card, tensors)
    with pytest.raises(UserError, match=message) as error:
        latency.load(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_what_is_no_latency_file(model, tmp_path):
    with pytest.raises(UserError, match="no latency model"):
        latency.load(altered(model, tmp_path / "b.safetensors", form="ncp-predictor-1"))
    with pytest.raises(UserError, match="no file"):
        latency.load(tmp_path / "nowhere.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(latency.save(model, tmp_path / "whole.safetensors").read_bytes()[:-8])
    with pytest.raises(UserError, match="not a complete safetensors file"):
        latency.load(cut)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(UserError, match="no regular file"):
        latency.load(tmp_path / "pipe.safetensors")


def test_a_file_of_an_earlier_version_says_how_to_make_it_anew(model, tmp_path):
    with pytest.raises(UserError, match=r"earlier version.*hydra.run.dir=.*action=import"):
        latency.load(altered(model, tmp_path / "old.safetensors", form="ncp-latency-1"))
