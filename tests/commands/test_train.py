"""The commands: every setting composed and run for a step, killed runs, and what a mistake looks like."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from composed import CONF, SMALL_SEG, compose
from layouts import make_ade20k, make_cityscapes, make_hmdb51, make_imagenet, make_kitti

from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.tasks import run as tasks
from ncp.tasks.callbacks import read_history

ROOT = CONF.parent
SETTINGS = ("cls-50-1000", "cls-50-100", "cls-10-1000", "cls-10c", "seg", "seg-4x", "ade20k", "3ddet", "video")
LAYOUTS = {
    "ImageNet": make_imagenet,
    "Cityscapes": make_cityscapes,
    "ADE20K": make_ade20k,
    "Kitti": make_kitti,
    "HMDB51": make_hmdb51,
}
MORE = {"HMDB51": ("data.least_frames=1",)}  # what the small sets need beside
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    return {name: make(folder / name) for name, make in LAYOUTS.items()}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_runs_a_step_on_real_data(name, roots, tmp_path):
    full = compose(f"setting={name}", "data.root=/somewhere")
    kind = full.data["_target_"].rsplit(".", 1)[1]
    options = [f"data.cache={tmp_path / 'cache'}"] if "cache" in full.data else []
    options += [f"data.root={roots[kind]}", *MORE.get(kind, ())]
    config = compose(f"setting={name}", "debug=tiny", "callbacks.progress=false", *options)
    run = tasks.assemble(config, tmp_path)
    tasks.fit(run)
    metrics = tasks.evaluate(run)
    result = tasks.summarise(run, metrics)
    assert run.trainer.global_step == 1
    assert run.task.plan.policy.total == 2
    assert all(0 <= value <= 100 for value in metrics.values())
    assert result["main_metric"] in metrics
    assert json.dumps(result)


@pytest.mark.parametrize("path", sorted(CONF.glob("**/*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_every_file_opens_with_the_command_that_uses_it(path):
    head = [line for line in path.read_text().splitlines()[:16] if line.startswith("#")]
    assert any("python -m src." in line for line in head), path


@pytest.mark.parametrize("group", ["arch", "trainer", "logger", "callbacks", "recipe", "data", "debug"])
def test_every_choice_composes(group):
    extra = {"code": ["arch.code=1"], "file": ["arch.path=x"], "timm": ["arch.name=resnet18"]}
    for path in sorted((CONF / group).glob("**/*.yaml")):
        name = str(path.relative_to(CONF / group).with_suffix(""))
        extra_words = extra.get(name, []) if group == "arch" else ["task=cls"] if group == "data" else []
        compose(f"{group}={name}", *extra_words)


def test_the_settings_state_result_time_and_source():
    for name in SETTINGS:
        real = settings.get(name).real
        assert all((real.result, real.time, real.source)), name


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("task=cls", "data=cityscapes"), "this data set is for task=seg, given was task=cls"),
        (("task=seg", "data=cityscapes", "data.root=/nowhere"), "data.root='/nowhere' is not a folder"),
        (("task=cls", "data.size=8"), "data.size must be at least 32"),
        (("task=cls", "+data.shade=3"), "unknown key 'data.shade' for Digits; its keys: .*size"),
        (
            ("task=cls", "arch=code", "arch.code=1_2_3"),
            "is read as a single number; write the architecture's text or a list",
        ),
        (("task=cls", "arch=code", "arch.code=[1,2,3]"), "a code has 27 numbers"),
        (("task=cls", "arch=file", "arch.path=/nowhere.yaml"), "there is no file '/nowhere.yaml'"),
        (("task=cls", "arch=timm", "arch.name=resnet5"), "timm has no network called 'resnet5'"),
        (("task=cls", "compile=fast"), "compile must be true, false or one of default, reduce-overhead, max-autotune"),
        (("task=cls", "keep=all"), "keep must be one of paper, last, none"),
        (("task=cls", "trainer.devices=0"), "trainer.devices must be auto, a positive number or a list"),
        (("task=cls", "trainer.precision=7"), "trainer: "),
        (("task=cls", "+trainer.speed=9"), "unknown key 'trainer.speed' for Trainer"),
        (("task=cls", "logger.kind=neptune"), "unknown logger 'neptune'; loggers: csv, tensorboard, wandb, mlflow"),
        (("task=cls", "recipe.batch=24", "trainer.devices=5"), "a total batch of 24 cannot be shared by 5 devices"),
    ],
)
def test_mistakes_are_named(overrides, message, tmp_path):
    with pytest.raises(UserError, match=message):
        tasks.assemble(compose(*overrides), tmp_path)


def test_a_gpu_that_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"trainer.accelerator=gpu, but torch sees no GPU here; use trainer=cpu"):
        tasks.assemble(compose("task=cls", "trainer=gpu"), tmp_path)


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_loggers_get_the_architecture_and_the_figures(name, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = tasks.assemble(compose(*SMALL_SEG, "recipe.length=2", f"logger={name}"), tmp_path)
    tasks.fit(run)
    if name == "wandb":
        run.trainer.loggers[1].experiment.finish()
    pattern = "wandb/offline-run-*/run-*.wandb" if name == "wandb" else "tensorboard/events*"
    wanted, content = (str(run.architecture).encode(), b"train/loss"), b""
    deadline = time.monotonic() + 60  # a process of its own writes the file, late on a busy machine
    while time.monotonic() < deadline and not all(word in content for word in wanted):
        time.sleep(0.2)
        content = b"".join(path.read_bytes() for path in tmp_path.glob(pattern))
    assert wanted[0] in content
    assert wanted[1] in content


@pytest.mark.parametrize("task", ["cls", "seg"])
def test_pictures_are_drawn(task, tmp_path):
    from ncp.report import training as report

    options = SMALL_SEG if task == "seg" else ("task=cls", "arch=narrow", "recipe.length=2", "callbacks.progress=false")
    run = tasks.assemble(compose(*options), tmp_path)
    tasks.fit(run)
    metrics = tasks.evaluate(run)
    files = report.draw(run)
    assert {path.name for path in files} == {"curves.png", f"{task}.png"}
    assert all(path.stat().st_size > 10_000 for path in files)
    rows = dict(report.rows(tasks.summarise(run, metrics)))
    assert rows.keys() >= {run.task.main_metric, "peak memory", "multiply-adds", "parameters"}


def start(*arguments: str, cwd: Path) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    command = [sys.executable, "-m", "src.train", *arguments, f"paths.outputs={cwd}"]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def result_of(outputs: Path) -> dict:
    (path,) = outputs.glob("train/*/*/result.json")
    return json.loads(path.read_text())


@pytest.mark.slow
def test_a_killed_command_goes_on_with_the_same_command(tmp_path):
    options = (
        *SMALL_SEG, "recipe.length=40", "recipe.eval_every=10", "recipe.save_every=3", "trainer.deterministic=true",
        "ckpt_path=auto", "callbacks.pictures=false",
    )  # fmt: skip
    whole = tmp_path / "whole"
    whole.mkdir()
    run = tasks.assemble(compose(*options, "ckpt_path=null"), whole)
    tasks.fit(run)
    torch.use_deterministic_algorithms(False)

    outputs = tmp_path / "outputs"
    process = start(*options, cwd=outputs)
    deadline = time.monotonic() + 240
    while not list(outputs.glob("train/*/*/checkpoints/last.ckpt")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (checkpoint,) = outputs.glob("train/*/*/checkpoints/last.ckpt")
    assert tasks.read_checkpoint(checkpoint)["ncp"]["step"] < 40
    assert not list(outputs.glob("train/*/*/result.json"))

    second = start(*options, cwd=outputs)
    _, errors = second.communicate(timeout=300)
    assert second.returncode == 0, errors
    result = result_of(outputs)
    assert result["metrics"] == tasks.evaluate(run)
    theirs = tasks.read_checkpoint(Path(result["checkpoint"]))["state_dict"]
    for key, value in run.task.network.state_dict().items():
        assert torch.equal(theirs[f"network.{key}"], value), key


@pytest.mark.slow
def test_a_debug_group_may_be_written_with_a_plus(tmp_path):
    process = start("task=seg", "+debug=tiny", "callbacks.pictures=false", cwd=tmp_path)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    result = result_of(tmp_path)
    assert result["steps"] == 1
    assert result["data"] == {"name": "Streets", "builtin": True, "classes": 10}
    assert "for Cityscapes: setting=seg data.root=" in output + errors  # it says that this is the built-in set


@pytest.mark.slow
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path):
    process = start("task=segmentation", cwd=tmp_path)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 2
    assert len(errors.strip().splitlines()) == 1, errors
    assert "segmentation" in errors
    assert "Traceback" not in output + errors


@pytest.mark.slow
@pytest.mark.parametrize(("task", "chance"), [("cls", 10.0), ("seg", 4.0)])
def test_built_in_trainings_cut_short_learn_something(task, chance, tmp_path):
    """Twenty steps of the narrowest network; the promise of two minutes for any is `python -m bench trainings`."""
    run = tasks.assemble(compose(f"task={task}", "debug=short", "seed=2", "callbacks.progress=false"), tmp_path)
    tasks.fit(run)
    metrics = tasks.evaluate(run)
    assert run.trainer.global_step == 20
    losses = [value for _, name, value in read_history(run.history.path) if name == "train/loss"]
    assert losses[-1] < losses[0] - 0.1
    assert metrics[run.task.main_metric] > 1.5 * chance
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"last.ckpt"}
