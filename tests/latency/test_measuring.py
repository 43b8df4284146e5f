"""Measuring: with a made-up machine and clock, resumed where it stopped, and one real network a runtime."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ncp import jobs, latency, spaces
from ncp.errors import UserError
from ncp.latency import measuring
from ncp.latency.card import MachineCard
from ncp.latency.exchange import read_measured
from ncp.latency.here import is_here
from ncp.latency.log import MEASURED, Log
from ncp.latency.machine import Machine, of_card

SPACE = spaces.get("multires")
CARD = MachineCard("multires", "cpu", "torch", "seg", [128, 128])
DEFAULT = SPACE.default().text


def quiet(architecture):
    return 1 + 4e-9 * float(SPACE.cost([architecture.code]).macs[0])


class Clock:
    def __init__(self, *steps):
        self.at, self.steps = 0.0, list(steps)

    def __call__(self):
        self.at += self.steps.pop(0) if self.steps else 0.01
        return self.at


def test_the_median_leaves_slow_runs_out():
    calls = []
    clock = Clock()

    def run():
        calls.append(0)
        clock.at += 5.0 if len(calls) in (1, 6) else 0.1  # the first one sets things up; another was disturbed

    assert measuring.median_time(run, 3.0, clock) == pytest.approx(110, abs=1)
    assert len(calls) >= 6


def test_a_clock_that_goes_back_is_told():
    clock = Clock()

    def run():
        clock.at -= 1

    with pytest.raises(UserError, match="clock"):
        measuring.median_time(run, 0.0, clock)


def test_what_is_measured_is_spread_over_the_costs():
    picked = measuring.stratified(SPACE, 40, np.random.default_rng(0))
    macs = np.sort(np.log10(SPACE.cost([a.code for a in picked]).macs))
    assert len(set(picked)) == 40
    assert macs[-1] - macs[0] > 1.5  # a factor of 30
    assert np.diff(macs).max() < 0.25


def test_a_stopped_measurement_goes_on_without_measuring_twice(tmp_path):
    asked = []

    def stops(architecture):
        asked.append(architecture.text)
        if len(asked) == 15:
            raise KeyboardInterrupt
        return quiet(architecture)

    with pytest.raises(KeyboardInterrupt):
        measuring.measure(SPACE, stops, CARD, tmp_path, count=20, checks=4)
    with open(tmp_path / MEASURED, "a") as file:
        file.write(f"fit,{SPACE.sample(1, np.random.default_rng(9))[0].text},1")  # cut in the middle of a number
    told = []
    found = measuring.measure(
        SPACE, lambda a: told.append(a.text) or quiet(a), CARD, tmp_path, count=20, checks=4,
        progress=lambda done, text: None,
    )  # fmt: skip
    default = SPACE.default().text
    assert not set(asked[:14]) & (set(told) - {default})
    assert [sum(r.kind == kind for r in found.rows) for kind in ("fit", "check")] == [20, 4]
    assert found.model.card.rows == 20
    assert found.model.card.held == 4
    assert found.model.card.median_error < 0.05
    assert found.drift == 0
    assert not found.notes
    again = Log(tmp_path / MEASURED, SPACE)
    assert again.rows == found.rows
    assert all(row.milliseconds == quiet(SPACE.parse(row.text)) for row in again.rows)


def test_lines_of_a_log_that_are_no_measurements_are_measured_again(tmp_path):
    whole = measuring.measure(SPACE, quiet, CARD, tmp_path, count=10, checks=2)
    path = tmp_path / MEASURED
    lines = [line for line in path.read_text().splitlines() if line.startswith(("fit", "check"))]
    first, second, third = (line.split(",") for line in lines[:3])
    elsewhere = tmp_path / "x.yaml"
    elsewhere.write_text(SPACE.default().text)  # a text that names a file opens none
    odd = [
        f"{first[0]},{first[1]},nan",
        f"{second[0]},{second[1]},-1",
        f"{third[0]},{elsewhere},1",
        "\x1b[31m",
        "fit,,",
    ]
    path.write_text("".join(f"{line}\n" for line in [*odd, *lines[3:], *lines[3:]]))
    told = []
    found = measuring.measure(SPACE, lambda a: told.append(a.text) or quiet(a), CARD, tmp_path, count=10, checks=2)
    assert sorted(set(told) - {SPACE.default().text}) == sorted(line[1] for line in (first, second, third))
    every = {(row.kind, row.text, row.milliseconds) for row in whole.rows}
    assert {(row.kind, row.text, row.milliseconds) for row in found.rows if row.kind != "noisy"} == every
    assert sum(row.kind in ("fit", "check") for row in found.rows) == 12


def test_times_of_something_else_are_not_gone_on_from(tmp_path):
    measuring.measure(SPACE, quiet, CARD, tmp_path, count=10, checks=2)
    before = (tmp_path / MEASURED).read_text()
    for other in ({"size": [64, 64]}, {"task": "cls"}, {"device": "cuda"}, {"batch": 2}, {"classes": 3}):
        with pytest.raises(UserError, match=r"holds times of .*, and .* is to be measured; give another folder"):
            measuring.measure(SPACE, quiet, replace(CARD, **other), tmp_path, count=12, checks=2)
    assert (tmp_path / MEASURED).read_text() == before
    # a log of before there was such a line is taken as it is
    (tmp_path / MEASURED).write_text(before.partition("\n")[2])
    assert measuring.measure(SPACE, quiet, replace(CARD, batch=2), tmp_path, count=10, checks=2).model.card.rows == 10


def test_a_noisy_machine_is_said_to_be_one(tmp_path):
    rng = np.random.default_rng(0)
    noisy = measuring.measure(SPACE, lambda a: quiet(a) * rng.uniform(0.7, 1.4), CARD, tmp_path / "a", 12, 4)
    assert any("too noisy" in note for note in noisy.notes)
    calls = []

    def throttled(architecture):
        calls.append(0)
        return quiet(architecture) * (1 if len(calls) < 20 else 1.5)

    later = measuring.measure(SPACE, throttled, CARD, tmp_path / "b", 28, 4)
    assert any("clock seems to have changed" in note for note in later.notes)


def test_what_was_measured_in_a_noisy_moment_is_measured_again(tmp_path):
    """A burst that slows a dozen networks by a third, as a neighbour on the processor does, leaves no trace in the model."""
    calls = []

    def disturbed(architecture):
        calls.append(architecture.text)
        return quiet(architecture) * (1.35 if 20 <= len(calls) < 34 else 1)

    found = measuring.measure(SPACE, disturbed, CARD, tmp_path, 40, 10)
    counted = [row for row in found.rows if row.kind in ("fit", "check")]
    assert len(counted) == 50
    assert all(row.milliseconds == quiet(SPACE.parse(row.text)) for row in counted)
    again = [row.text for row in found.rows if row.kind == "noisy"]
    slow = {text for text in calls[19:33] if text != DEFAULT}
    assert slow <= set(again)
    assert len(again) < 20
    assert found.drift == 0
    assert not found.notes
    told = []
    measuring.measure(SPACE, lambda a: told.append(a) or 1.0, CARD, tmp_path, 40, 10)
    assert not told  # a finished one is read, not measured again


@pytest.fixture(autouse=True)
def folders(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir(exist_ok=True)


def test_the_time_that_is_given_is_kept(tmp_path):
    clock = Clock()

    def slow(architecture):
        clock.at += 20
        return quiet(architecture)

    found = measuring.measure(SPACE, slow, CARD, tmp_path, count=100, checks=20, minutes=10, now=clock)
    assert clock.at < 11 * 60
    assert any("the time was over" in note for note in found.notes)


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_one_network_runs(runtime):
    if runtime == "onnxruntime":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    smallest = SPACE.decode(SPACE.lower[None])[0]
    machine = Machine(runtime=runtime, size=(32, 32), threads=1)
    assert 0 < measuring.median_time(machine.runner(smallest), 0.01) < 10_000
    card = machine.card("multires")
    assert card.processor
    assert card.versions["torch"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"device": "cuda:77"}, "is not there"),
        ({"device": "cpu:"}, "cpu, cuda or cuda:N"),
        ({"device": "cuda:²"}, "cpu, cuda or cuda:N"),
        ({"device": "tpu"}, "cpu, cuda or cuda:N"),
        ({"runtime": "tvm"}, "torch or onnxruntime"),
        ({"dtype": "fp8"}, "fp32 or bf16"),
        ({"task": "sing"}, "cls, seg, det3d, video"),
        ({"runtime": "onnxruntime", "dtype": "bf16"}, "fp32|extra"),
        ({"runtime": "onnxruntime", "compiled": True}, "compile=true is for runtime=torch"),
    ],
)
def test_machines_that_are_not_there(given, message):
    with pytest.raises(UserError, match=message):
        Machine(**given)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_card_knows_how_its_networks_ran(compiled, tmp_path):
    """What a search measures again at its end runs as what the model was fitted on."""
    machine = Machine("cpu", "torch", "cls", (64, 96), 2, 1, "fp32", compiled, 7)
    rng = np.random.default_rng(0)
    codes = SPACE.sample_codes(12, rng)
    path = latency.save(
        latency.fit(SPACE, codes, rng.uniform(1, 2, 12), machine.card("multires")), tmp_path / "x.safetensors"
    )
    card = latency.load(path).card
    assert of_card(card) == machine
    assert ("compiled" in card.described()) == compiled


def test_a_file_cannot_name_a_device_that_stops_the_search(monkeypatch):
    here = Machine(threads=1).card("multires")
    assert is_here(here)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert not any(is_here(replace(here, device=device)) for device in ("cuda:7", "cuda:x", "cpu:", "phone"))


def test_too_many_networks_are_refused_before_one_is_measured(tmp_path):
    with pytest.raises(UserError, match="at most 4,000"):
        measuring.measure(SPACE, quiet, CARD, tmp_path, count=4001)
    assert not list(tmp_path.glob("*.csv"))


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_an_export_comes_back_with_times(tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    small = SPACE.decode(SPACE.lower + np.eye(27)[[2, 0]] * SPACE.step)  # the second has a wider stem
    monkeypatch.setattr(measuring, "stratified", lambda space, n, rng: small[:n])
    folder = tmp_path / "out"
    options = jobs.options("latency", "action=export", "codes=12", "size=[32,32]")
    options.codes = 2
    outcome = jobs.module("latency").run(options, folder)
    assert {p.name for p in folder.glob("*.onnx")} == {"001.onnx", "002.onnx"}
    header, *rows = list(csv.reader(outcome.files["codes"].open()))
    assert header == ["file", "code", "ms"]
    assert [row[2] for row in rows] == ["", ""]
    for name, code, _ in rows:  # each row names the file of its own network
        channels = {
            weight.dims[0]
            for weight in onnx.load(folder / name).graph.initializer
            if len(weight.dims) == 4 and weight.dims[1] == 3
        }
        assert channels == {SPACE.parse(code).code[0]}
    codes = SPACE.sample(12, np.random.default_rng(0))
    table = written(
        tmp_path / "m.csv", "\ufeffcode,ms", *(f"{a.text},{quiet(a)}" for a in codes)
    )  # as spreadsheets write
    words = ("action=import", f"measured={table}", "device=phone", "runtime=tflite")
    back = jobs.module("latency").run(jobs.options("latency", *words), tmp_path / "back")
    model = latency.load(back.files["latency"])
    assert (model.card.device, model.card.runtime, model.card.rows) == ("phone", "tflite", 12)
    assert model.predict(codes) == pytest.approx([quiet(a) for a in codes], rel=0.1)
    assert back.files["picture"].stat().st_size > 1000


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["code,ms", f"{DEFAULT},fast"], "line 2: 'fast' is no number"),
        (["code,ms", f"{DEFAULT},nan"], "line 2: a time must be a finite"),
        (["code,ms", f"{DEFAULT},0"], "line 2: a time must be"),
        (["code,ms", f"{DEFAULT},inf"], "line 2: a time must be"),
        (["code,ms", "64_64,3"], "line 2: a code has 27 numbers"),
        (["code,ms", "/etc/passwd.yaml,3"], "line 2: .*is not a whole number"),
        (["code,ms", "|none~0|,3"], "line 2"),
        (["code,ms", DEFAULT], "line 2 has 1 columns"),
        (["code,ms", "", f"{DEFAULT},12,5"], "line 3 has 3 columns of 2; .* a point for decimals"),
        (["code,ms", '"' + "x" * 200_000], "line 2 has a stray quote or cannot be split"),
        (["code,ms,note", f'{DEFAULT},3,"x', *[f"{DEFAULT},4,x"] * 20], "line 2 has a stray quote"),
        (["code,seconds,x", f"{DEFAULT},3,1"], "needs the columns code and ms"),
        ([""], "holds no measurements"),
    ],
)
def test_tables_that_are_none(tmp_path, lines, message):
    with pytest.raises(UserError, match=message) as error:
        read_measured(written(tmp_path / "m.csv", *lines), SPACE)
    assert "\n" not in str(error.value)
