"""The words of a multirun: each job's own setting, and bad jobs left out by name."""

import subprocess
import sys

import pytest
import yaml

from ncp import configs
from ncp.cli.job import OK, OUR_MISTAKE, USERS_MISTAKE, Ended
from ncp.cli.sweep import Words, jobs_checked
from ncp.errors import UserError


def words(*given, command="train"):
    return Words(command, configs.shipped() / f"{command}.yaml", given, multirun=True)


def test_each_job_gets_its_own_settings_words():
    made = words("setting=seg,cls-50-100", "seed=1,2")
    assert made.for_hydra[-2:] == ["setting={name:seg},{name:cls-50-100}", "seed=1,2"]
    first = made.of_job([*made.written, "setting={name:seg}", "seed=1"])
    assert "data=builtin/seg" in first
    other = made.of_job([*made.written, "setting={name:cls-50-100}", "seed=2"])
    assert {"data=builtin/cls", "++data.size=32", "++recipe.length=30", "seed=2"} <= set(other)
    assert "data=builtin/seg" not in other


def test_tasks_and_roots_may_differ_too():
    made = words("task=seg,video")
    assert "data=builtin/video" in made.of_job([*made.written, "setting={name:video}"])
    made = words("setting=seg", "data.root=null,/data/cityscapes")
    assert "data=builtin/seg" in made.of_job([*made.written, "setting={name:seg}", "data.root=null"])
    real = made.of_job([*made.written, "setting={name:seg}", "data.root=/data/cityscapes"])
    assert "data=cityscapes" in real


def test_bad_jobs_are_named_and_the_others_go_on(monkeypatch, capsys):
    from hydra.plugins.sweeper import Sweeper

    checked = []
    monkeypatch.setattr(Sweeper, "validate_batch_is_legal", lambda self, batch: checked.append(list(batch)))
    made, ended = words("setting=seg,video", "data.root=/x"), Ended()
    good = [*made.written, "setting={name:seg}", "data.root=/x"]
    bad = [*made.written, "setting={name:seg}", "data=builtin/seg", "data.root=/x"]
    with jobs_checked(made, ended):
        batch = [good, bad]
        Sweeper.validate_batch_is_legal(None, batch)
        assert len(batch) == 1
        assert "data=cityscapes" in batch[0]
        with pytest.raises(UserError, match="no job of this multirun can start"):
            Sweeper.validate_batch_is_legal(None, [bad])
    assert ended.worst == USERS_MISTAKE
    assert (
        "error: job (setting=seg data=builtin/seg data.root=/x): data=builtin/seg is a built-in set"
        in capsys.readouterr().err
    )


def test_the_worst_outcome_counts():
    ended = Ended()
    for code, wanted in (
        (OK, OK),
        (USERS_MISTAKE, USERS_MISTAKE),
        (OUR_MISTAKE, OUR_MISTAKE),
        (USERS_MISTAKE, OUR_MISTAKE),
    ):
        ended.note(code)
        assert ended.code() == wanted


def test_no_configuration_of_ours_asks_for_a_multirun():
    """So a command without such a word is none, and Hydra need not compose it once more to see that."""
    for path in configs.shipped().rglob("*.yaml"):
        hydra = (yaml.safe_load(path.read_text()) or {}).get("hydra") or {}
        assert "mode" not in hydra, path


@pytest.mark.parametrize(("words", "composed"), [([], 1), (["hydra.mode=RUN"], 2)])
def test_a_command_is_composed_once_unless_a_word_may_make_it_a_multirun(words, composed, tmp_path):
    program = f"""
import sys
from hydra._internal.hydra import Hydra
from ncp import cli
composed, original = [], Hydra.compose_config
def counting(self, *a, **k):
    composed.append(1)
    return original(self, *a, **k)
Hydra.compose_config = counting
sys.argv = ["ncp", "settings=[]", "hydra.run.dir={tmp_path}", *{words!r}]
try: cli.command("explore")()
except SystemExit: pass
print(len(composed))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == str(composed), done.stderr
