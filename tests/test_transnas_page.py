"""docs/transnas.md: its commands compose, its Python runs; settings have the benchmark's recipes; mistakes are one line."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from composed import compose

from ncp import jobs, spaces
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.tasks import parts
from ncp.tasks.scenes.base import SceneTask

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "transnas.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.strip()]
SPACES = ("transnas-micro", "transnas-macro", "multires")
# task -> epochs; the benchmark's supplement, section 2
EPOCHS = {
    "class_object": 25, "class_scene": 25, "room_layout": 25, "jigsaw": 10, "segmentsemantic": 30, "normal": 30,
    "autoencoder": 30,
}  # fmt: skip
RATES = {"normal": 1e-4, "autoencoder": 5e-4}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_composes(command):
    given = shlex.split(command, comments=True)
    assert given[:2] == ["python", "-m"]
    assert jobs.options(given[2].removeprefix("src."), *given[3:])


def test_the_python_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text in (text for kind, text in BLOCKS if kind == "python"):
        exec(text, {})
    space = spaces.get("transnas-micro")
    counted = int(space.cost([space.parse("64-41414-3_31_332").code]).params[0])
    assert capsys.readouterr().out.splitlines() == [f"torch.Size([1, 3, 64, 64]) {counted}"]
    cells = (tmp_path / "cells.txt").read_text().split()
    assert len(set(cells)) == 20
    assert list(space.texts([space.parse(cell).code for cell in cells])) == cells


@pytest.mark.parametrize("task", list(EPOCHS))
def test_real_trainings_have_the_benchmarks_recipe(task):
    for space in SPACES:
        options = compose(f"setting={space}/{task}", "data.root=/data/taskonomy")
        recipe = options.chosen_recipe
        assert (recipe.batch, recipe.unit, recipe.length, recipe.eval_every) == (128, "epochs", EPOCHS[task], 1)
        assert recipe.keep == (EPOCHS[task],)
        if task in RATES:
            wanted = {"name": "adam", "lr": RATES[task], "betas": [0.5, 0.999], "weight_decay": 1e-4}
            assert {recipe.rate()(share) for share in (0, 0.5, 1)} == {RATES[task]}
            assert (options.task["l1"], options.task["gan"], options.task["discriminator_width"]) == (0.99, 0.01, 1)
        else:
            wanted = {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
            assert [recipe.rate()(share) for share in (0, 0.5, 1)] == pytest.approx([0.1, 0.05, 0])
        assert recipe.optimizer == wanted
        assert options.model == {}
        if task == "jigsaw":
            assert options.data["permutations"] == 1000


@pytest.mark.parametrize("task", list(EPOCHS))
def test_a_setting_is_of_its_space_and_measures_what_its_task_does(task):
    for space in SPACES:
        setting = settings.get(f"{space}/{task}")
        options = compose(f"setting={space}/{task}", "arch=default")
        parts.check(options)
        kind = parts.task_class(options)
        assert issubclass(kind, SceneTask)
        assert kind.name == setting.task == task
        assert setting.space == space
        assert setting.space in kind.spaces
        assert kind.main_metric == setting.main
        assert options.recipe["length"] <= 1200


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("setting=transnas-micro/normal", "arch=code", "arch.code=64-41414-3_31_339"), "digit 6 of a cell must be one of"),
        (("setting=transnas-micro/normal", "arch=code", "arch.code=64-2131-basic"), "of transnas-macro; here it must be"),
        (("setting=transnas-macro/jigsaw", "arch=code", "arch.code=64-2222-basic"), "not among the 3,256 networks"),
        (("setting=transnas-macro/jigsaw", "arch.space=multires"), "given was arch.space=multires"),
        (("task=cls", "arch=code", "arch.code=64-41414-3_31_332"), "of transnas-micro; here it must be"),
        (("setting=transnas-micro/depth",), "unknown setting 'transnas-micro/depth'"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_one_line(words, line):
    with pytest.raises(UserError, match=line) as error:
        parts.check(compose(*words))
    assert "\n" not in str(error.value)


def test_an_impossible_string_ends_the_command_with_2(tmp_path):
    words = ["setting=transnas-micro/normal", "arch=code", "arch.code=64-41414-3_31_339", f"paths.outputs={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "src.train", *words], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "digit 6 of a cell" in done.stderr
