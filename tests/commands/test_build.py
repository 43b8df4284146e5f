"""The command that builds: told to end it ends in order, with all that it started; what is damaged is made again; what blocks
is named and freed."""

import json
import os
import signal
import subprocess
import sys

import pytest
from composed import CONF
from small_builds import SMALL
from watching import lives, wait

ROOT = CONF.parent
LIMIT = 240  # seconds for each wait: the machine may be busy with other tests


def command(folder, *overrides):
    """Of a small build in ``folder/build``."""
    overrides = (f"build.dir={folder / 'build'}", f"paths.outputs={folder / 'outputs'}", *overrides)
    return [sys.executable, "-m", "src.build", *SMALL, *overrides]


def run(folder, *overrides):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command(folder, *overrides), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT
    )


def result(folder):
    newest = max(folder.glob("outputs/build/*/*/result.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(newest.read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "at_a_time"), [(signal.SIGTERM, 143, 2), (signal.SIGTERM, 143, 1), (signal.SIGINT, 130, 1)]
)
def test_a_build_that_is_told_to_end_leaves_nothing_running(tmp_path, number, code, at_a_time):
    said = tmp_path / "said.txt"

    def tail():
        return said.read_text()[-3000:]

    line = command(tmp_path, f"build.per_device={at_a_time}", "recipe.length=4000", "recipe.eval_every=2000")
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # what a shell starts in the background ignores it
    with open(said, "w") as out:
        process = subprocess.Popen(line, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=out, stderr=out)
    try:
        # in the middle of the trainings
        wait(lambda: len(list(tmp_path.glob("build/units/*/0/checkpoints/last.ckpt"))) == at_a_time, LIMIT, tail)
        leases = [json.loads(path.read_text()) for path in tmp_path.glob("build/units/*/0.lease")]
        process.send_signal(number)
        assert process.wait(LIMIT) == code, tail()
    finally:
        process.kill()
        signal.signal(signal.SIGINT, before)
    assert len(leases) == at_a_time
    wait(lambda: not any(lives(lease["pid"]) for lease in leases), LIMIT, tail)
    assert len(list(tmp_path.glob("build/units/*/0.released.json"))) == at_a_time
    assert not list(tmp_path.glob("build/units/*/*.failed.*"))
    [state] = [json.loads(path.read_text())["state"] for path in tmp_path.glob("outputs/build/*/*/run.json")]
    assert state == "interrupted"


@pytest.mark.slow
def test_what_blocks_is_named_and_freed_and_reading_changes_nothing(tmp_path):
    assert run(tmp_path, "action=plan").returncode == 0
    unit = tmp_path / "build/units/000001"
    unit.mkdir(parents=True)
    (unit / "0.lease").write_text('{"host": "node7\\u001b[31m", "pid": ' + "9" * 100 + "}")
    os.utime(unit / "0.lease", (4e9, 4e9))  # a heartbeat from the future
    (tmp_path / "build/units/000002").mkdir()
    (tmp_path / "build/units/000002/record.json").touch()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "build").rglob("*")}
    answer = run(tmp_path, "action=status")
    assert answer.returncode == 0, answer.stderr
    assert "unit 000001: an unknown worker; its heartbeat says nothing" in answer.stdout
    assert "units/000002/record.json' cannot be used: it is empty; it will be trained again" in answer.stdout
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "build").rglob("*")} == before
    assert result(tmp_path)["status"]["units"]["damaged"] == 1
    answer = run(tmp_path, "action=release")
    assert "freed: 000001" in answer.stdout
    assert (unit / "0.released.json").is_file()
    answer = run(tmp_path, "action=release", "units=7")
    assert answer.returncode == 2
    assert "within 0..2" in answer.stderr


GROWING = ("sampler=adaptive", "count=10", "rounds=2", "known=none", "budget.macs=1e8")


@pytest.mark.slow
def test_a_build_in_rounds_whose_processes_are_killed_between_them_goes_on(tmp_path):
    """kill -9 of the command and of both its trainings' processes as soon as the second round is published."""
    said = tmp_path / "said.txt"
    with open(said, "w") as out:
        line = command(tmp_path, *GROWING, "build.per_device=2")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(line, cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        wait((tmp_path / "build/rounds/1.json").is_file, LIMIT, lambda: said.read_text()[-3000:])
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    published = (tmp_path / "build/rounds/1.json").read_bytes()
    records = {path: path.read_bytes() for path in tmp_path.glob("build/units/*/record.json")}
    assert len(records) in (8, 9)
    answer = run(tmp_path, *GROWING)
    assert answer.returncode == 0, answer.stderr
    assert "2 of 2 rounds chosen" in answer.stdout
    found = result(tmp_path)
    assert (found["status"]["units"]["done"], found["status"]["finished"]) == (10, True)
    assert [one["done"] for one in found["rounds"]] == [8, 2]
    assert (tmp_path / "build/rounds/1.json").read_bytes() == published
    assert all(path.read_bytes() == content for path, content in records.items())


@pytest.mark.slow
def test_a_build_in_rounds_that_cannot_be_is_one_line(tmp_path):
    answer = run(tmp_path, *GROWING, "count=5")
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert (
        "sampler=adaptive needs count=8 or more, the trainings that a predictor can use; given was count=5"
        in answer.stderr
    )
    assert not (tmp_path / "build").exists()
