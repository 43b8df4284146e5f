"""What a training's table says: which input and head its cost is of, its classes' scores, and commands that can be pasted."""

import csv
import json
import shlex
from types import SimpleNamespace

import pytest
import recorded_results as recorded
from hydra.core.override_parser.overrides_parser import OverridesParser

from ncp.report import training as report


def result(tmp_path, task="seg", **more):
    return json.loads((recorded.training(tmp_path / "run", 0, task, **more) / "result.json").read_text())


def rows(tmp_path, task, **cost):
    content = result(tmp_path, task)
    content["cost"] |= cost
    return dict(report.rows(content))


@pytest.mark.parametrize(
    ("task", "cost", "words"),
    [
        ("seg", {"size": [240, 320], "classes": 12}, "0.5 G at 240x320, 12 classes per pixel"),
        ("cls", {"size": [64, 64], "classes": 1}, "0.5 G at 64x64, 1 class per image"),
        ("seg", {"size": [48, 72], "sizes": 3}, "0.5 G at 48x72 (the commonest of 3 sizes), 10 classes per pixel"),
        ("cls", {"size": [224, 224], "classes": 50}, "0.5 G at 224x224, 50 classes per image"),
        ("video", {"size": [112, 112], "classes": 51}, "0.5 G at 112x112, 51 classes per clip"),
        ("det3d", {"size": [496, 432]}, "0.5 G for a grid of 496x432 pillars, with the detection head"),
    ],
)
def test_cost_is_told_for_the_input_and_the_head_it_is_of(task, cost, words, tmp_path):
    shown = rows(tmp_path, task, **cost)
    assert shown["multiply-adds"] == words
    assert "per pixel" not in shown["multiply-adds"] or task == "seg"
    assert "benchmark's unit" in shown["to compare with"]


def test_results_of_earlier_versions_are_shown_too(tmp_path):
    content = result(tmp_path)
    for key in ("sizes", "head", "classes"):
        del content["cost"][key]
    del content["per_class"]
    assert dict(report.rows(content))["multiply-adds"] == "0.5 G at 64x128"


def test_a_baseline_has_no_cost_in_the_benchmarks_unit(tmp_path):
    content = result(tmp_path)
    del content["cost"]["macs"]
    assert "to compare with" not in dict(report.rows(content))


@pytest.mark.parametrize("folder", ["plain", "a=b", "set (1)", "c#d", "数据", "it's", "[x]", "a$b`c`", "${x}", "a\nb"])
def test_the_lines_at_the_end_can_be_pasted(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = f"outputs/{folder}/checkpoints/last.ckpt"
    lines = report.next_commands(result(tmp_path, checkpoint=path))
    assert list(lines) == ["evaluate it:", "export it:", "use it:"]
    for line in lines.values():
        if "$'" in line:  # bash's own way to write what a terminal cannot show
            continue
        *_, word = shlex.split(line)
        read = OverridesParser.create().parse_override(word)
        assert read.key_or_group in ("ckpt_path", "ckpt")
        assert read.value().replace("\\${", "${") == path


def test_only_what_works_is_proposed(tmp_path):
    assert report.next_commands(result(tmp_path, checkpoint=None)) == {}
    assert list(report.next_commands(result(tmp_path, "det3d"))) == ["evaluate it:", "export it:", "use it:"]
    assert list(report.next_commands(result(tmp_path, eval_images_per_second=3.0))) == ["export it:", "use it:"]


def test_a_baseline_is_exported_in_a_format_that_can_hold_it(tmp_path):
    content = result(tmp_path, architecture={"text": "resnet50", "code": None})
    assert report.next_commands(content)["export it:"].endswith(" format=onnx")
    assert "format" not in report.next_commands(result(tmp_path))["export it:"]


def test_scores_of_the_classes_are_a_file_and_a_line(tmp_path):
    scores = {"road": 97.5, "=cmd": 12.25, "sky, clear": float("nan"), "[/x]": None}
    (path,) = report.write_per_class({"per_class": scores}, tmp_path)
    assert list(csv.reader(path.open())) == [
        ["class", "IoU"], ["road", "97.5"], ["'=cmd", "12.25"], ["sky, clear", ""], ["[/x]", ""],
    ]  # fmt: skip
    assert report.extremes(scores) == "road 97.5 (best) to =cmd 12.2 (worst)"
    assert report.write_per_class({"per_class": None}, tmp_path) == []
    assert report.write_per_class({}, tmp_path) == []


def test_names_and_paths_are_printed_as_they_are(tmp_path, capsys):
    content = result(tmp_path, architecture={"text": "[/x]", "code": None}, per_class={"[a]": 1.0, "b\x1b[2J": 3.0})
    report.show(content, tmp_path / "[a]", [tmp_path / "[a]" / "[b].png"])
    out = capsys.readouterr().out
    assert "seg: [/x]" in out
    assert "[a]/[b].png" in out
    assert "b\\x1b[2J 3.0 (best) to [a] 1.0 (worst)" in out
    assert "\x1b" not in out


@pytest.mark.parametrize("points", [1, 5])
def test_curves_have_a_panel_for_each_figure(points):
    history = [
        (step, name, 1.0) for step in range(points) for name in ("train/loss", "train/lr", "val/mIoU", "val/$x^{$")
    ]
    task = SimpleNamespace(name="seg", prefix="", in_words=str)
    fig = report.curves(SimpleNamespace(task=task, options=SimpleNamespace(setting=None), architecture="a"), history)
    fig.canvas.draw()
    shown = [ax.get_title(loc="left") for ax in fig.axes if ax.get_visible()]
    assert shown == ["loss", "$x^{$ (%)", "mIoU (%)", "learning rate"]


def test_a_panel_and_a_row_know_what_is_no_percentage():
    """By the setting: a similarity of -1..1, and losses."""
    task = SimpleNamespace(name="normal", prefix="valid_", in_words=str)
    run = SimpleNamespace(task=task, options=SimpleNamespace(setting="transnas-micro/normal"), architecture="a")
    names = ("train/loss", "train/l1_loss", "val/ssim", "val/top1")
    fig = report.curves(run, [(step, name, 1.0) for step in (0, 1) for name in names])
    shown = [ax.get_title(loc="left") for ax in fig.axes if ax.get_visible()]
    assert shown == ["loss", "l1 loss", "ssim", "top1 (%)"]
