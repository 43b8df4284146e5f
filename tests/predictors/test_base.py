"""Files of predictors: what is written comes back, and nothing else is accepted."""

import copy
import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import fit_rows
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ncp.errors import UserError
from ncp.predictors import load, mlp, training
from ncp.predictors.closed import mlp as closed
from ncp.predictors.mlp import MLP
from ncp.predictors.module import empty


@pytest.fixture(scope="module")
def fitted() -> MLP:
    mlp = training.fit(fit_rows.make(100), epochs=3, shared=32, separate=16, heads="group")
    mlp.card.errors = {"mIoU": {"mae": 0.5}}
    mlp.card.protocol = "a test"
    return mlp


def test_weights_and_card_come_back(fitted: MLP, tmp_path: Path) -> None:
    path = fitted.save(tmp_path / "new" / "seg.safetensors")
    again = load(path)
    codes = fit_rows.make(9, seed=4).codes
    assert again.card == fitted.card
    assert type(again) is type(fitted.closed())
    for name, expected in fitted.predict(codes).items():
        np.testing.assert_array_equal(again.predict(codes)[name], expected)
        np.testing.assert_array_equal(again.predict_std(codes)[name], fitted.predict_std(codes)[name])
    assert [p.name for p in path.parent.iterdir()] == ["seg.safetensors"]


def test_half_precision_halves_the_file_and_keeps_the_predictions(fitted: MLP, tmp_path: Path) -> None:
    whole, half = fitted.save(tmp_path / "a.safetensors"), fitted.save(tmp_path / "b.safetensors", torch.float16)
    stored = load_file(half)
    assert stored["net.separate.weight"].dtype == torch.float16
    assert stored["output_mean"].dtype == torch.float32
    assert half.stat().st_size < 0.7 * whole.stat().st_size
    codes = fit_rows.make(50, seed=4).codes
    difference = load(half).predict(codes)["mIoU"] - fitted.predict(codes)["mIoU"]
    assert np.abs(difference).max() < 0.01 * float(fitted.output_std[0])
    assert load(half).arrays["output_mean"].dtype == np.float32


def rewritten(fitted: MLP, path: Path, change: str = "", **card: object) -> Path:
    """The predictor's file with one thing changed."""
    from dataclasses import asdict

    state = {k: v.clone() for k, v in fitted.state_dict().items()}
    metadata = {"format": "ncp-predictor-1", "card": json.dumps({**asdict(fitted.card), **card})}
    if change == "nan":
        state["net.shared.weight"][3, 2] = float("nan")
    elif change == "missing":
        del state["net.out_bias"]
    elif change == "format":
        metadata["format"] = "something else"
    elif change == "card":
        metadata["card"] = "{"
    save_file(state, str(path), metadata=metadata)
    return path


@pytest.mark.parametrize(
    ("change", "card", "message"),
    [
        ("nan", {}, "not finite: net.shared.weight"),
        ("missing", {}, "do not fit its card"),
        ("format", {}, "not a predictor"),
        ("card", {}, "is no JSON"),
        ("", {"kind": "forest"}, "of kind 'forest'; kinds: mlp, gp"),
        ("", {"surprise": 1}, "a key 'surprise'"),
        ("", {"config": {}}, "describes no network"),
        ("", {"space": "nowhere"}, "unknown space 'nowhere'"),
    ],
)
def test_files_that_are_no_good_predictor_are_refused(
    fitted: MLP, tmp_path: Path, change: str, card: dict[str, object], message: str
) -> None:
    assert load(rewritten(fitted, tmp_path / "good.safetensors")).metrics == fitted.metrics
    with pytest.raises(UserError, match=message):
        load(rewritten(fitted, tmp_path / "bad.safetensors", change, **card))


def test_foreign_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\x80\x04 this is no safetensors file")
    save_file({"w": torch.zeros(2)}, str(tmp_path / "b.safetensors"))
    for name, message in {"a": "not a complete safetensors", "b": "not a predictor", "c": "there is no file"}.items():
        with pytest.raises(UserError, match=message):
            load(tmp_path / f"{name}.safetensors")
    with pytest.raises(UserError, match="unknown predictor family 'best'"):
        load("seg", family="best")
    with pytest.raises(UserError, match="unknown setting 'segmentation'"):
        load("segmentation")


@pytest.mark.parametrize("family", ["default", "paper"])
def test_shapes_are_told_as_they_are_made(family: str) -> None:
    predictor = load("seg", family)
    module = import_module(type(predictor).__module__)
    made = {name: tuple(value.shape) for name, value in empty(predictor.card).state_dict().items()}
    assert module.shapes(predictor.card) == made


@pytest.mark.parametrize("units", [10**8, 65_536])
def test_a_card_that_says_too_much_takes_no_memory(fitted: MLP, tmp_path: Path, units: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(closed, "made", lambda *_: pytest.fail("was made before the shapes were compared"))
    config = {**fitted.card.config, "shared": units, "separate": units}
    with pytest.raises(UserError, match=r"widths must be positive and at most|do not fit its card"):
        load(rewritten(fitted, tmp_path / "big.safetensors", config=config))


def test_a_predictor_that_is_not_finite_is_not_written(fitted: MLP, tmp_path: Path) -> None:
    other = mlp.build(fitted.card)
    with torch.no_grad():
        other.net.out_bias[0] = torch.inf
    with pytest.raises(UserError, match=r"not finite: net\.out_bias"):
        other.save(tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_names_and_texts_of_a_card(fitted: MLP, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for name in ("../x", "/tmp/x", "\x1b[31m", ""):
        with pytest.raises(UserError, match=r"setting"):
            load(rewritten(fitted, path, setting=name))
    assert load(rewritten(fitted, path, source="a\x1b[31mb")).card.source == "a\\x1b[31mb"


@pytest.mark.parametrize(
    ("name", "value"), [("kendall", 1e30), ("spearman", -1.5), ("mae", -5.0), ("calibration", -1e-3)]
)
def test_figures_of_a_card_are_in_their_range(fitted: MLP, tmp_path: Path, name: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"gives {name} .* for mIoU; it must be"):
        load(rewritten(fitted, tmp_path / "x.safetensors", errors={"mIoU": {"mae": 1.0, name: value}}))


@pytest.mark.parametrize("name", ["noise_std", "input_std", "output_std"])
def test_deviations_are_positive(fitted: MLP, tmp_path: Path, name: str) -> None:
    altered = copy.deepcopy(fitted)
    getattr(altered, name).fill_(-1.0)
    with pytest.raises(UserError, match=f"holds a deviation of -1 \\({name}\\)"):
        load(altered.save(tmp_path / "x.safetensors"))


def test_a_pipe_is_no_predictor(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="no regular file"):
        load(tmp_path / "x.safetensors")
    with (tmp_path / "y.safetensors").open("wb") as file:
        file.write((10**12).to_bytes(8, "little") + b"{}")
    with pytest.raises(UserError, match="not a complete safetensors"):
        load(tmp_path / "y.safetensors")


def test_codes_are_checked(fitted: MLP) -> None:
    one = fitted.space.default()
    np.testing.assert_array_equal(fitted.predict(one)["mIoU"], fitted.predict([one.code])["mIoU"])
    assert fitted.predict([one, one])["mIoU"].shape == (2,)
    with pytest.raises(UserError, match=r"shape \(N, 27\)"):
        fitted.predict(np.zeros((2, 26)))
    with pytest.raises(UserError, match="finite"):
        fitted.predict(np.full((1, 27), np.nan))


def test_an_unwritable_folder_is_named(fitted: MLP, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        fitted.save(tmp_path / "file" / "x.safetensors")


def test_a_table_or_a_folder_is_no_predictor(tmp_path: Path) -> None:
    (tmp_path / "seg.csv").write_text("text,mIoU\n")
    for given in (tmp_path, tmp_path / "seg.csv"):
        with pytest.raises(UserError, match=r"is no predictor's file: these end in \.safetensors"):
            load(given)
