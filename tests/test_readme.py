"""The README's commands do what it says: each is run, or composed where it needs data that this project does not bring."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.strip()]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
# by what they show
FEW, FIRST, JOBS, NETWORKS = (
    next(text for text in PYTHON if part in text)
    for part in ("predictors.fit(", "space.cost(", "jobs.options(", "timm.create_model(")
)
YAML = [text for kind, text in BLOCKS if kind == "yaml"]
# what needs real data or imported tables is only composed
NOT_HERE = ("/data/", "hydra/launcher=", "NCP/data", "src.benchmark", "transnas-")
# the built-in trainings take a minute each otherwise
SHORTER = {
    "src.train": ["debug=tiny"],
    "src.latency": ["codes=12", "checks=3", "size=[32,32]", "minutes=0.5"],
    "src.front": ["points=3", "starts=1", "iterations=20"],
    "src.build": ["count=20", "recipe.length=1", "recipe.eval_every=1", "data.scenes=8", "data.val_scenes=1"],
}


def words(command: str) -> list[str]:
    return shlex.split(command, comments=True)


@cache
def own_settings() -> Path:
    """The folder ``mine`` of the README, with the files that it shows (each says where it lies in its first line)."""
    for text in YAML:
        file = outputs() / text.splitlines()[0].removeprefix("# ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return outputs() / "mine"


@cache
def outputs() -> Path:
    """A folder of its own for all commands of this module, in the place of ``outputs``."""
    import tempfile

    return Path(tempfile.mkdtemp(prefix="ncp-readme-"))


@pytest.fixture(scope="module", autouse=True)
def tidy_up():
    yield
    shutil.rmtree(outputs())


def run(command: list[str], limit: int = 600) -> subprocess.CompletedProcess:
    environment = {**os.environ, "NCP_OUTPUTS": str(outputs()), "COLUMNS": "160"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit)


@cache
def a_search() -> Path:
    """The folder of a finished search, for commands that continue from one."""
    done = run([sys.executable, "-m", "src.search", "objectives=[cls,seg]"])
    assert done.returncode == 0, done.stderr
    return next(iter(sorted(outputs().glob("search/*/*/result.json")))).parent


@cache
def a_training() -> Path:
    """The folder of a finished training."""
    done = run([sys.executable, "-m", "src.train", "task=seg", "debug=tiny", "callbacks.pictures=false"])
    assert done.returncode == 0, done.stderr
    return max(outputs().glob("train/*/*/result.json"), key=lambda path: path.stat().st_mtime).parent


@cache
def an_export() -> Path:
    """Its network as a weight file."""
    done = run(
        [sys.executable, "-m", "src.export", f"ckpt_path={a_training()}/checkpoints/last.ckpt", f"out={outputs()}/net"]
    )
    assert done.returncode == 0, done.stderr
    return outputs() / "net.safetensors"


@cache
def a_build() -> Path:
    """The folder of the small build, which the README's first command of that section makes."""
    if there := list(outputs().glob("build/seg-*/seg.parquet")):
        return there[0].parent
    first = next(c for c in COMMANDS if "src.build" in c)
    done = run([sys.executable, *words(first)[1:], *SHORTER["src.build"]])
    assert done.returncode == 0, done.stderr
    return next(outputs().glob("build/seg-*/seg.parquet")).parent


@cache
def a_fit() -> Path:
    """The folder of a predictor that was fitted to that build, by the README's command where that was run."""
    if there := list(outputs().glob("fit/*/*/predictor.safetensors")):
        return there[0].parent
    done = run([sys.executable, "-m", "src.fit", "setting=seg", f"source={a_build()}"])
    assert done.returncode == 0, done.stderr
    return next(outputs().glob("fit/*/*/predictor.safetensors")).parent


@cache
def a_machine() -> Path:
    """A latency file of this space: of made-up times, which are there at once."""
    import numpy as np

    from ncp import latency, spaces

    space = spaces.get("multires")
    codes = space.sample_codes(40, np.random.default_rng(0))
    model = latency.fit(space, codes, 5 + space.cost(codes).macs / 2e7)
    return latency.save(model, outputs() / "latency.safetensors")


def test_the_readme_has_the_commands_that_everything_starts_with():
    assert [words(c) for c in COMMANDS[:2]] == [["make", "demo"], ["make", "test"]]
    assert len(COMMANDS) > 15
    assert len(PYTHON) == 4


@pytest.mark.parametrize("target", ["setup", "demo", "loop", "test", "lint", "docs", "dist", "bench"])
def test_make_has_the_target(target):
    done = run(["make", "-n", target])
    assert done.returncode == 0, done.stderr
    listed = run(["make"]).stdout
    assert f"make {target} " in listed
    if target == "demo":
        assert "src.search 'objectives=[cls,seg]'" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith(("make ", "pip "))])
def test_a_command_of_the_readme(command):
    given = words(command)
    if given[0] == "ncp":
        done = run([str(Path(sys.executable).with_name("ncp")), *given[1:]])
        assert done.returncode == 0, done.stderr
        assert done.stdout
        return
    assert given[:2] == ["python", "-m"], command
    given = [w.replace("mine", str(own_settings())) if w == "mine" else w for w in given]
    if given[2].startswith("bench."):  # minutes on real tables; its options are what it says
        said = run([sys.executable, *given[1:3], "--help"])
        assert said.returncode == 0, said.stderr
        assert all(word in said.stdout for word in given[3:] if word.startswith("--")), command
        return
    if any(part in command for part in NOT_HERE):
        given = given[:3] + [w for w in given[3:] if w not in ("--multirun", "-m")]
        swept = re.search(r"shard=range\(0,(\d+)\)", command)
        given = [re.sub(r"range\(0,\d+\)", "0", w) for w in given] + ([f"shards={swept[1]}"] if swept else [])
        done = run([sys.executable, *given[1:], "--cfg", "job"])
        assert done.returncode == 0, done.stderr
        return
    if "outputs/search/DATE/RUN" in command:
        given = [w.replace("outputs/search/DATE/RUN", str(a_search())) for w in given]
    if "outputs/train/DATE/RUN" in command:
        given = [w.replace("outputs/train/DATE/RUN", str(a_training())) for w in given]
        given = [w.replace("out=", f"out={outputs()}/") if "seen" not in w else w for w in given]
    if "src.predict" in command:
        given = [w.replace("seg.safetensors", str(an_export())) if "seg.safetensors" in w else w for w in given]
        given = [w.replace("out=seen", f"out={outputs()}/seen") for w in given]
    given = [
        w.replace("outputs/latency/DATE/RUN/latency.safetensors", str(a_machine())) if "latency/DATE" in w else w
        for w in given
    ]
    given = [w.replace("outputs/build/seg-HASH", str(a_build())) if "HASH" in w else w for w in given]
    given = [w.replace("outputs/fit/DATE/RUN", str(a_fit())) if "outputs/fit/DATE" in w else w for w in given]
    done = run([sys.executable, *given[1:], *SHORTER.get(given[2], [])])
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_python_of_the_readme_runs():
    done = run([sys.executable, "-c", FIRST])
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "[1969946624]"
    assert len(lines) == 4
    assert int(lines[3].split()[-1]) <= 1.5e9


def test_commands_are_functions():
    done = run([sys.executable, "-c", JOBS])
    assert done.returncode == 0, done.stderr
    assert "multiply-adds" in done.stdout


@pytest.mark.slow
def test_the_networks_in_python_are_what_the_readme_says(tmp_path):
    done = subprocess.run([sys.executable, "-c", NETWORKS], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["torch.Size([1, 19, 128, 256])", "[8, 64, 128, 128]", "10"]


def test_few_trainings_in_python(tmp_path):
    done = subprocess.run([sys.executable, "-c", FEW], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    choice, sentence = done.stdout.splitlines()
    assert "known are cls-50-1000, seg" in choice
    assert sentence.startswith("20 more trainings would likely gain ")
    assert (tmp_path / "mine.safetensors").exists()


def test_pictures_and_pages_of_the_readme_are_here_and_small():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert "docs/search.png" in links
    for link in links:
        assert (ROOT / link.partition("#")[0]).exists(), link
    assert (ROOT / "docs" / "search.png").stat().st_size < 200_000


def test_the_documented_keys_of_a_search_are_in_its_result():
    from ncp.runs import read_result

    text = (ROOT / "docs" / "result.md").read_text().partition("## `python -m src.search`")[2].partition("Beside it")[0]
    keys = [
        key
        for row in re.findall(r"^\| (`.*?) \| (?!detection alone)", text, flags=re.MULTILINE)
        for key in re.findall(r"`([^`]+)`", row)
    ]
    assert len(keys) > 15
    result = read_result(a_search())
    for key in keys:
        node = result
        for part in key.replace("SETTING", "seg").replace("METRIC", "mIoU").split("."):
            assert part in node, key
            node = node[part]
