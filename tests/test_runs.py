"""Run folders: hashes, results, states, and finding the run to go on with."""

import json
import os
import subprocess
import sys
from datetime import datetime

import numpy as np
import pytest

from ncp import runs
from ncp.errors import UserError


def make(root, name, state, digest="abc", started="2026-01-01T00:00:00", command="train"):
    folder = root / command / "2026-01-01" / name
    folder.mkdir(parents=True)
    content = {"state": state, "hash": digest, "last_started": started}
    (folder / "run.json").write_text(json.dumps(content))
    return folder


def test_the_hash_ignores_paths_hydra_the_checkpoint_and_the_order_of_keys(tmp_path):
    one = {"lr": 0.1, "model": {"a": 1, "b": [1, 2]}, "paths": {"outputs": "x"}, "ckpt_path": None, "hydra": {"a": 1}}
    two = {"ckpt_path": "auto", "model": {"b": [1, 2], "a": 1}, "lr": 0.1, "paths": {"outputs": "y"}}
    assert runs.config_hash(one) == runs.config_hash(two)
    assert runs.config_hash(one) != runs.config_hash({**one, "lr": 0.2})


def test_the_hash_does_not_depend_on_the_runs_own_folder(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    hashes = {runs.config_hash({"log": f"{folder}/log", "lr": 1}, folder) for folder in (a, b)}
    assert len(hashes) == 1
    assert runs.config_hash({"log": f"{a}/log", "lr": 1}, b) not in hashes


@pytest.mark.parametrize("state", runs.UNFINISHED)
def test_an_unfinished_run_is_found(tmp_path, state):
    folder = make(tmp_path, "one", state)
    assert runs.find_unfinished(tmp_path, "train", "abc") == folder


def test_only_the_newest_of_the_same_command_and_configuration_counts(tmp_path):
    make(tmp_path, "older", "failed", started="2026-01-01T00:00:00")
    newest = make(tmp_path, "newer", "interrupted", started="2026-01-02T00:00:00")
    make(tmp_path, "finished", "finished", started="2026-01-03T00:00:00")
    make(tmp_path, "continued", "continued", started="2026-01-03T00:00:00")
    make(tmp_path, "other", "failed", digest="xyz", started="2026-01-03T00:00:00")
    make(tmp_path, "command", "failed", started="2026-01-03T00:00:00", command="search")
    broken = make(tmp_path, "broken", "failed", started="2026-01-03T00:00:00")
    (broken / "run.json").write_text("{ half")
    assert runs.find_unfinished(tmp_path, "train", "abc") == newest
    assert runs.find_unfinished(tmp_path, "train", "abc", ignore=newest).name == "older"
    assert runs.find_unfinished(tmp_path, "train", "nothing") is None


def test_a_deep_or_strange_state_does_not_hide_the_run(tmp_path):
    wanted = make(tmp_path, "one", "failed")
    for number, content in enumerate(
        ("[" * 100_000, '{"hash": "abc", "state": ["failed"]}', '{"a":' * 500 + "1" + "}" * 500, "")
    ):
        folder = make(tmp_path, f"bad{number}", "failed", started="2027-01-01T00:00:00")
        (folder / "run.json").write_text(content)
    os.mkfifo(make(tmp_path, "pipe", "failed") / "pipe")
    (tmp_path / "train/2026-01-01/pipe/run.json").unlink()
    os.rename(tmp_path / "train/2026-01-01/pipe/pipe", tmp_path / "train/2026-01-01/pipe/run.json")
    assert runs.find_unfinished(tmp_path, "train", "abc") == wanted


def test_jobs_of_a_sweep_are_found_too(tmp_path):
    folder = make(tmp_path, "sweep/3", "running")
    assert runs.find_unfinished(tmp_path, "train", "abc") == folder


def test_a_run_in_which_a_process_works_is_left_alone_until_it_is_killed(tmp_path):
    folder = make(tmp_path, "one", "running")
    code = (
        "import sys, time, pathlib; from ncp import runs\n"
        "with runs.locked(pathlib.Path(sys.argv[1])):\n    print('in', flush=True); time.sleep(60)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout.readline() == "in\n"
        assert runs.in_use(folder)
        assert runs.find_unfinished(tmp_path, "train", "abc") is None
        with pytest.raises(UserError, match="another run works"), runs.locked(folder):
            pass
    finally:
        worker.kill()  # no chance to tidy up, like a lost node
        worker.wait()
        worker.stdout.close()
    assert runs.find_unfinished(tmp_path, "train", "abc") == folder


def test_a_continued_run_keeps_its_first_start(tmp_path):
    runs.begin(tmp_path, "train", "abc", ["x=1"])
    first = runs.state(tmp_path)
    runs.mark(tmp_path, "failed", error="no disk")
    runs.begin(tmp_path, "train", "abc", ["x=1", "ckpt_path=auto"])
    again = runs.state(tmp_path)
    assert again["started"] == first["started"]
    assert again["last_started"] >= first["last_started"]
    assert again["state"] == "running"
    assert "error" not in again


def test_results_are_strict_json_with_plain_numbers(tmp_path):
    content = {
        "a": np.float32(1.5),
        "b": np.arange(3),
        "c": float("nan"),
        "d": [np.int64(2), float("inf")],
        "e": tmp_path,
    }
    path = runs.write_result(tmp_path, content)
    assert path.name == "result.json"
    expected = {"a": 1.5, "b": [0, 1, 2], "c": None, "d": [2, None], "e": str(tmp_path)}
    assert json.loads(path.read_text()) == expected
    assert runs.read_result(tmp_path) == runs.read_result(path) == expected
    assert os.listdir(tmp_path) == ["result.json"]  # nothing temporary stays


def test_results_that_are_none_are_refused(tmp_path):
    for content in ("{ half", "[1]"):
        (tmp_path / "result.json").write_text(content)
        with pytest.raises(UserError, match=r"result\.json"):
            runs.read_result(tmp_path)
    with pytest.raises(UserError, match="no result at"):
        runs.read_result(tmp_path / "nowhere")


def test_an_architecture_is_taken_from_a_run_folder_or_its_result(tmp_path):
    runs.write_result(tmp_path, {"architecture": {"code": [1, 2], "text": "1_2"}})
    for given in (str(tmp_path), tmp_path / "result.json"):
        assert runs.found_architecture(given) == {"code": [1, 2], "text": "1_2"}
    for given in ("8_8-1", [8, 8], None, "some/architecture.yaml"):
        assert runs.found_architecture(given) == given
    runs.write_result(tmp_path, {"metrics": {}})
    with pytest.raises(UserError, match="holds no architecture"):
        runs.found_architecture(tmp_path)


class OneMoment(datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 11, 26, 21, 7, 14)


def test_runs_that_begin_in_one_second_have_folders_of_their_own(tmp_path, monkeypatch):
    drawn = iter(["5807", "5807", "5807", "a71c"])
    monkeypatch.setattr(runs, "suffix", lambda: next(drawn))
    monkeypatch.setattr(runs, "datetime", OneMoment)
    first, second = (runs.new_folder("fit", tmp_path) for _ in range(2))
    assert first.name == "21-07-14-5807"
    assert second.name == "21-07-14-a71c"
