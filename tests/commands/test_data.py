"""``src.data`` and what stands on it: a folder of each task is looked over, its setting trained, built, reported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from layouts import make_own_frames, make_own_images, make_own_masks, make_own_videos

from ncp import configs, jobs
from ncp.benchmark import settings
from ncp.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
MAKE = {"cls": make_own_images, "seg": make_own_masks, "video": make_own_videos, "det3d": make_own_frames}
QUIET = ("callbacks.progress=false", "callbacks.pictures=false", "trainer=cpu")
TINY = ("debug=tiny", *QUIET)
# of a task's own options, what makes its step cheap
SMALL = {"det3d": ("data.limits=[0,-20.48,-3,40.96,20.48,1]",)}


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NCP_CONFIG", raising=False)


def files_of(root):
    return {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}


@pytest.mark.slow
@pytest.mark.parametrize("task", MAKE)
def test_a_folder_of_each_task(task, tmp_path, monkeypatch, capsys):
    if task == "video":
        pytest.importorskip("av")
    root = MAKE[task](tmp_path / "mine")
    before = files_of(root)
    options = jobs.options(
        "data", f"task={task}", f"root={root}", f"out={tmp_path / 'conf'}", "name=my-set", *SMALL.get(task, ())
    )
    outcome = jobs.data.run(options, tmp_path / "look")
    jobs.data.show(outcome)
    told = capsys.readouterr().out
    assert "training:" in told
    assert "setting=my-set" in told
    assert {"classes.png", "samples.png", "result.json"} <= {path.name for path in (tmp_path / "look").iterdir()}
    result = json.loads((tmp_path / "look" / "result.json").read_text())
    assert result["task"] == task
    assert result["setting"] == "my-set"
    assert sum(result["files"].values()) == outcome.look.total > 5
    assert not result["problems"]

    monkeypatch.setenv("NCP_CONFIG", str(tmp_path / "conf"))
    assert settings.get("my-set").task == task
    known = jobs.data.run(jobs.options("data", "setting=my-set", "samples=0", "look=2"), tmp_path / "second")
    assert known.setting_file is None  # it is there already
    assert known.look.files == outcome.look.files
    # without data.root: the setting says where its data is
    trained = jobs.train.run(jobs.options("train", "setting=my-set", *TINY), tmp_path / "train")
    assert trained.result["data"]["classes"] == len(outcome.look.classes)
    assert trained.result["data"]["name"] == f"own data in {root.name}"
    assert set(settings.get("my-set").metrics) == set(trained.metrics)
    assert (tmp_path / "train" / "train_files.txt").read_text().strip()
    # and by hand, without a setting
    by_hand = jobs.options("train", f"task={task}", "data=folder", f"data.root={root}")
    assert by_hand.data["_target_"].startswith(f"ncp.data.folder.{task}.")
    assert by_hand.recipe["least_steps"] >= 1000
    assert files_of(root) == before  # nothing is ever written there

    checkpoint = tmp_path / "train" / "checkpoints" / "last.ckpt"
    again = jobs.evaluate.run(jobs.options("evaluate", f"ckpt_path={checkpoint}"), tmp_path / "evaluate")
    assert again.metrics == pytest.approx(trained.metrics, nan_ok=True)


@pytest.mark.slow
def test_every_command_takes_the_name_of_an_own_setting(tmp_path, monkeypatch):
    root = make_own_masks(tmp_path / "fields")
    looked = jobs.data.run(
        jobs.options("data", "task=seg", f"root={root}", "name=fields", "samples=0"), tmp_path / "look"
    )
    monkeypatch.setenv("NCP_CONFIG", str(looked.setting_file.parents[1]))
    words = (
        "recipe.unit=steps",
        "recipe.length=1",
        "recipe.eval_every=1",
        "recipe.batch=2",
        "data.crop=[32,32]",
        *QUIET,
    )
    build = jobs.options(
        "build",
        "setting=fields",
        "sample=small",
        "count=2",
        f"build.dir={tmp_path / 'build'}",
        *words[:-3],
        "trainer=cpu",
    )
    (tmp_path / "run").mkdir()
    built = jobs.build.run(build, tmp_path / "run")
    assert built.files[0].name == "fields.parquet"
    with pytest.raises(UserError, match=r"row"):
        jobs.fit.run(jobs.options("fit", "setting=fields", f"source={built.files[0]}"), tmp_path / "fit")
    asked = jobs.options("benchmark", "action=best", "setting=fields", f"store={built.files[0].parent}")
    assert len(jobs.benchmark.run(asked, tmp_path / "best").result["records"]) == 2
    jobs.train.run(jobs.options("train", "setting=fields", *TINY), tmp_path / "train")
    report = jobs.report.run(jobs.options("report", f"runs=['{tmp_path / 'train'}',default]"), tmp_path / "report")
    assert report.files


def test_a_table_of_own_data_cannot_take_a_shipped_name(tmp_path):
    root = make_own_images(tmp_path / "trees")
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="give it a setting of its own"):
        jobs.build.run(
            jobs.options("build", "task=cls", "data=folder", f"data.root={root}", "count=2"), tmp_path / "run"
        )
    with pytest.raises(UserError, match="name=seg is a shipped setting"):
        jobs.data.run(jobs.options("data", "task=cls", f"root={root}", "name=seg"), tmp_path / "look")


def test_a_setting_says_why(tmp_path):
    root = make_own_masks(tmp_path / "fields")
    outcome = jobs.data.run(
        jobs.options("data", "task=seg", f"root={root}", "samples=0", "data.val_share=0.25"), tmp_path / "look"
    )
    text = outcome.setting_file.read_text()
    assert "# - data.crop=[32, 64]: images of 48x64 pixels" in text
    content = yaml.safe_load(text)
    assert content["name"] == outcome.setting == "fields-seg"
    change = content["real"]["change"]
    assert change["data"]["root"] == str(root)
    assert change["data"]["val_share"] == 0.25  # what was given stays
    assert Path(change["data"]["classes_file"]).is_file()
    assert change["recipe"]["batch"] == 4


def test_data_that_cannot_be_trained_on_ends_with_the_reasons(tmp_path):
    root = make_own_masks(tmp_path / "fields")
    (root / "masks" / "003.png").write_bytes(b"")
    (root / "masks" / "004.png").unlink()
    outcome = jobs.data.run(jobs.options("data", "task=seg", f"root={root}"), tmp_path / "look")
    assert outcome.setting_file is None
    with pytest.raises(UserError, match=r"cannot be trained on: it has 2 problems.*004.png.*003.png"):
        jobs.data.show(outcome)
    result = json.loads((tmp_path / "look" / "result.json").read_text())
    assert len(result["problems"]) == 2


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("", "names an object, so there is nothing to learn"),
        ("Car 0 0 x\n", "line 1"),
        ("Car 0 0 0 0 0 50 50 nan 1.6 3.9 2 1.6 10 0\n", "line 1"),
        ("Odd name 0 0 0 0 0 50 50 1.5 1.6 3.9 2 1.6 10 0\n", "line 1"),
        ("Car 0 0 0 0 0 50 50 1.5 1.6 3.9 2 1.6 100000 0\n", "line 1"),
    ],
)
def test_labels_of_frames_that_cannot_be_learnt_end_with_the_reasons(tmp_path, label, reason):
    root = make_own_frames(tmp_path / "yard")
    for path in (root / "label_2").iterdir():
        path.write_text(label)
    outcome = jobs.data.run(jobs.options("data", "task=det3d", f"root={root}"), tmp_path / "look")
    assert outcome.setting_file is None
    with pytest.raises(UserError, match=reason):
        jobs.data.show(outcome)


def run(name, *words, cwd):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", f"src.{name}", *words, f"paths.outputs={cwd / 'out'}"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)


@pytest.mark.slow
def test_the_command_ends_with_2_and_one_line(tmp_path):
    root = make_own_images(tmp_path / "trees")
    (root / "ash" / "00.jpg").write_bytes(b"x")
    done = run("data", "task=cls", f"root={root}", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "00.jpg' is corrupt or no image" in done.stderr
    assert "training:" in done.stdout  # the rest is shown all the same


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("data=folder",), "data=folder needs a task: task=cls, det3d, seg, video; none was given"),
        (("task=cls", "data=folder"), r"data=folder needs data.root=<your folder>"),
        (("task=cls", "data=folder", "data.root=/nowhere"), "'/nowhere' is not a folder"),
        (("task=cls", "data=folder", "data.root=/", "data.val_share=2"), r"data.val_share must be between 0 and 1"),
    ],
)
def test_a_training_without_what_it_needs(words, line, tmp_path):
    from ncp.tasks import run as tasks

    with pytest.raises(UserError, match=line):
        tasks.assemble(jobs.options("train", *words), tmp_path)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "which data"),
        (("task=seg", "data=cityscapes"), "src.data looks at your own folders"),
        (("root=/x",), "which kind of data"),
    ],
)
def test_a_look_at_nothing(words, line, tmp_path):
    with pytest.raises(UserError, match=line):
        jobs.data.run(jobs.options("data", *words), tmp_path)


def test_the_folder_group_and_the_command_share_a_name():
    """``conf/data.yaml`` is the command's, ``conf/data/`` the group of data sets."""
    assert (configs.shipped() / "data.yaml").is_file()
    assert jobs.options("data", "task=seg", "root=/data/x").data["root"] == "/data/x"
    assert jobs.options("train", "task=seg", "data=builtin").data["_target_"].endswith(".Streets")
