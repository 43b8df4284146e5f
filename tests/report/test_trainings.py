"""The table at the end of a multirun of trainings: every job has its line, whatever became of it."""

import csv
import json

import recorded_results as recorded
from omegaconf import OmegaConf

from ncp.report import trainings


def sweep(folder):
    """Four jobs: two finished, one failed, one that went on in an earlier run's folder."""
    for job, (task, seed) in enumerate([("seg", 1), ("cls", 2)]):
        recorded.training(folder / str(job), seed, task)
        recorded.state(folder / str(job), overrides=[f"task={task}", "keep=last"])
    recorded.state(
        folder / "2", "failed", ["task=[/x]", "keep=last"], error="unknown setting '[/x]'\x1b[31m", mistake="user"
    )
    earlier = recorded.training(folder.parent / "earlier", 3)
    recorded.state(folder / "10", "continued", ["task=seg", "seed=3", "keep=last"], continued_in=str(earlier))
    return folder


def test_every_job_has_a_line_with_metric_cost_speed_and_state(tmp_path, capsys):
    jobs = trainings.summarise(sweep(tmp_path / "sweep"))
    assert [job.label for job in jobs] == ["task=seg", "task=cls", "task=[/x]", "task=seg seed=3"]
    assert [job.state for job in jobs] == ["finished", "finished", "failed", "finished"]
    out = capsys.readouterr().out
    assert "\x1b" not in out
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith("task=")}
    assert lines["task=cls"] == ["task=cls", "42.00", "1.000", "2.000", "12.5", "finished"]
    assert lines["task=[/x]"][1:] == ["failed:", "unknown", "setting", "'[/x]'\\x1b[31m"]
    assert "report" in out  # the command that compares them
    rows = list(csv.DictReader((tmp_path / "sweep" / trainings.TABLE_FILE).open()))
    assert [row["mIoU"] for row in rows] == ["41.0", "", "", "43.0"]
    assert [row["images_per_second"] for row in rows] == ["12.5", "12.5", "", "12.5"]
    assert rows[2]["reason"].startswith("unknown setting")


def test_own_data_has_a_column_of_its_own(tmp_path, capsys):
    for job, setting in enumerate(("seg", "fields")):
        recorded.training(tmp_path / str(job), 1, setting=setting)
        recorded.state(tmp_path / str(job), overrides=[f"setting={setting}"])
    trainings.summarise(tmp_path)
    out = capsys.readouterr().out
    assert "seg mIoU, %" in out
    assert "fields mIoU, %" in out


def test_damaged_files_shorten_their_own_line_alone(tmp_path, capsys):
    folder = sweep(tmp_path / "sweep")
    (folder / "0" / "run.json").write_text("[" * 100_000)
    (folder / "0" / "result.json").write_text("{")
    content = json.loads((folder / "1" / "result.json").read_text())
    (folder / "1" / "result.json").write_text(json.dumps(content | {"images_per_second": "fast"}))
    jobs = trainings.summarise(folder)
    assert [job.state for job in jobs] == ["unknown", "finished", "failed", "finished"]
    assert "is no JSON" in jobs[0].reason
    assert "'1/result.json'" in jobs[1].reason.replace(str(folder) + "/", "")
    assert "task=seg seed=3" in capsys.readouterr().out


def test_hydra_calls_it_and_an_empty_folder_says_nothing(tmp_path, capsys):
    trainings.TrainingsTable().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert capsys.readouterr().out == ""
    sweep(tmp_path / "sweep")
    trainings.TrainingsTable().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path / "sweep")}}}))
    assert "4 trainings" in capsys.readouterr().out


def test_a_unit_belongs_to_its_metric_and_less_of_a_loss_is_better(tmp_path, capsys):
    for job, loss in enumerate((0.9, 0.4)):
        setting = {"setting": "transnas-micro/room_layout", "main_metric": "valid_neg_loss"}
        recorded.training(tmp_path / str(job), 1, "cls", metrics={"valid_neg_loss": -loss}, **setting)
        recorded.state(tmp_path / str(job), overrides=[f"seed={job}"])
    trainings.summarise(tmp_path)
    out = capsys.readouterr().out
    assert "valid_neg_loss" in out
    assert "%" not in out
