"""docs/elsewhere.md: its commands do what it says, and its table of tasks and formats is what the formats take."""

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_runs import COMMON, OPTIONS

from ncp import configs, jobs
from ncp.errors import UserError
from ncp.inference.networks import open_network
from ncp.tasks import export
from ncp.tasks import run as tasks

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "elsewhere.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.strip()]
PROGRAM = next(text for kind, text in BLOCKS if kind == "python" and "onnxruntime" in text)
SWEEP = next(text for kind, text in BLOCKS if kind == "yaml")
TABLE = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and line.count(" | ") == 5
]
FAST = ("safetensors", "python", "timm", "mmseg", "mmdet", "mmdet3d")  # the others: tests/models/test_every_format.py
TRAIN = "outputs/train/DATE/RUN/checkpoints/last.ckpt"


@pytest.fixture(scope="module", params=["cls", "seg", "video", "det3d"])
def trained(request, tmp_path_factory):
    """A task, and the checkpoint of a training of two steps."""
    if request.param == "video":
        pytest.importorskip("av")
    return request.param, train(request.param, tmp_path_factory.mktemp(request.param))


def train(task, folder):
    words = (f"task={task}", *COMMON, *OPTIONS[task], "callbacks.pictures=false")
    tasks.fit(tasks.assemble(jobs.options("train", *words), folder))
    return folder / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def seg(tmp_path_factory):
    return train("seg", tmp_path_factory.mktemp("page-seg"))


@pytest.fixture(scope="module")
def cls(tmp_path_factory):
    return train("cls", tmp_path_factory.mktemp("page-cls"))


def test_the_table_is_what_the_formats_take(trained, tmp_path):
    task, path = trained
    head, rows = TABLE[0], {row[0].strip("`"): row for row in TABLE[1:]}
    assert head == ["`format=`", "what is written", "cls", "seg", "video", "det3d"]
    assert set(export.FORMATS) < set(rows)
    found = export.from_checkpoint(path)
    for kind in FAST:
        if rows[kind][head.index(task)] == "-":
            with pytest.raises(UserError, match=f"format={kind}"):
                export.write(found, kind, tmp_path / kind, None)
        else:
            (written,) = export.write(found, kind, tmp_path / kind, None).values()
            assert Path(written).exists()
    for kind in ("onnx", "torchexport"):
        assert "-" not in rows[kind][2:]


def told(line, checkpoint, out):
    """The words of a command with this test's own places in them."""
    words = shlex.split(line, comments=True)
    words = [word.replace(TRAIN, str(checkpoint)) for word in words]
    return [f"out={out / word[4:]}" if word.startswith("out=") else word for word in words]


EXPORTS = [line for line in COMMANDS if "src.export" in line]


@pytest.mark.slow
@pytest.mark.parametrize("line", EXPORTS)
def test_an_export_is_written(line, seg, cls, tmp_path):
    """And what the page does next with the folder works: plain torch alone, or timm."""
    words = told(line, cls if "timm" in line else seg, tmp_path)
    assert words[:3] == ["python", "-m", "src.export"]
    options = jobs.options("export", *words[3:])
    (written,) = jobs.export.run(options, tmp_path / "run").values()
    assert Path(written).exists()
    follow = {"python": "from model import load", "timm": "local-dir:mine"}.get(str(options.format))
    if follow is None:
        return
    (after,) = [one for one in COMMANDS if follow in one]
    code = shlex.split(after)[-1].replace("local-dir:mine", f"local-dir:{written}")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=written, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert ("Conv2d" if options.format == "python" else "(3, ") in done.stdout


@pytest.mark.parametrize("line", [one for one in COMMANDS if "src.train" in one or "src.adopt" in one])
def test_other_commands_compose(line, tmp_path):
    words = [word.replace("=/data/", f"={tmp_path}/") for word in shlex.split(line, comments=True)]
    command = words[2].removeprefix("src.")
    options = jobs.options(command, *words[3:])
    assert getattr(options, "weights", "work_dirs/").startswith("work_dirs/")
    if "model.head" in line:
        assert options.model["head"] == {"type": "UPerHead", "channels": 256}


def test_every_command_is_of_a_kind_that_is_tested():
    kinds = (
        "src.export",
        "src.train",
        "src.adopt",
        "ncp.openmmlab.train",
        "ncp.models.timm_script",
        "pip install",
        "make ",
    )
    left = [line for line in COMMANDS if not any(kind in line for kind in kinds)]
    assert len(left) == 2  # what test_an_export_is_written does after exports
    assert all("python -c" in line for line in left)


def test_extras_targets_and_configs_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {name for text in re.findall(r"ncp-nas\[(\w+)\]", PAGE) for name in text.split(",")}
    assert named
    assert named <= set(extras)
    assert subprocess.run(["make", "-n", "openmmlab"], cwd=ROOT, capture_output=True, check=False).returncode == 0
    shipped = {path.stem for path in (configs.shipped() / "openmmlab").glob("*.py")}
    assert shipped == {"ade20k", "cityscapes", "coco", "kitti"}
    for line in COMMANDS:
        if "ncp.openmmlab.train" in line:
            assert line.partition("ncp.openmmlab.train ")[2].split()[0] in shipped


def test_the_scripts_of_timm_are_named_right():
    lines = [line for line in COMMANDS if "timm_script" in line]
    assert [shlex.split(line)[3] for line in lines] == ["train.py", "validate.py"]
    import timm

    from ncp.models import registry  # noqa: F401  registers

    models = [words[words.index("--model") + 1] for words in map(shlex.split, lines)]
    assert all(timm.is_model(name) for name in models)


def sweep_words(values):
    """The command that W&B's agent starts for one choice, by its own rules where it is installed."""
    sweep = yaml.safe_load(SWEEP)
    if importlib.util.find_spec("wandb"):
        from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

        given = create_sweep_command_args({"args": {key: {"value": value} for key, value in values.items()}})
        command = create_sweep_command(list(sweep["command"]))
        plain = given["args_no_hyphens"]
    else:
        command, plain = sweep["command"], [f"{key}={value}" for key, value in values.items()]
    return [word for one in command for word in (plain if one == "${args_no_hyphens}" else [one])]


def test_a_choice_of_the_sweep_is_a_command_of_this_project(tmp_path):
    sweep = yaml.safe_load(SWEEP)
    assert sweep["metric"] == {"name": "val/mIoU", "goal": "maximize"}
    rate = sweep["parameters"]["recipe.optimizer.lr"]
    for arch in sweep["parameters"]["arch"]["values"]:
        words = sweep_words({"recipe.optimizer.lr": rate["max"], "arch": arch})
        assert words[:3] == ["python", "-m", "src.train"]
        options = jobs.options("train", *[word.replace("/data/cityscapes", str(tmp_path)) for word in words[3:]])
        assert options.recipe["optimizer"]["lr"] == rate["max"]
        assert options.logger["kind"] == "wandb"


@pytest.mark.slow
def test_a_program_of_ones_own_reads_the_file_by_its_metadata_alone(seg, tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    monkeypatch.chdir(tmp_path)
    words = (f"ckpt_path={seg}", "format=onnx", "out=seg.onnx", "measure=false")
    jobs.export.run(jobs.options("export", *words), tmp_path / "run")
    found = {}
    exec(PROGRAM, found)
    height, width = found["picture"].shape[1:]
    network = open_network(seg, "cpu")
    assert found["logits"].shape == (1, len(network.card.classes), height // 4, width // 4)
    black = network.logits(np.broadcast_to(-found["mean"] / found["std"], (1, 3, height, width)).astype(np.float32))
    np.testing.assert_allclose(found["logits"], black, atol=1e-4 * np.abs(black).max())
    assert capsys.readouterr().out.split()[-1] in network.card.classes


def test_a_sweep_over_searches_is_a_command_too():
    """The one that the page tells in a sentence."""
    (command,) = re.findall(r'command: (\["python", "-m", "src\.search".*?\])`', PAGE)
    ((key, values),) = re.findall(r"`(\w+): \{values: (\[.*?\])\}`", PAGE)
    for value in yaml.safe_load(values):
        words = [word for word in yaml.safe_load(command) if not word.startswith("${")]
        options = jobs.options("search", *words[3:], f"{key}={value}")
        assert options.objectives == ["seg"]
        assert getattr(options, key) == value
