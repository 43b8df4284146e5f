"""Loggers' options: what Lightning's constructors take is taken, anything else is told before a training begins."""

import inspect

import pytest
from torch.utils.tensorboard import SummaryWriter

from ncp.errors import UserError
from ncp.tasks import loggers
from ncp.tasks.loggers import make_loggers


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "neptune"}, "unknown logger 'neptune'; loggers: csv, tensorboard, wandb, mlflow"),
        ({}, "unknown logger 'None'"),
        ({"kind": "csv", "flush": 1}, "unknown key 'logger.flush' for csv; its keys: none"),
        ({"kind": "tensorboard", "nonsense": 1}, "unknown key 'logger.nonsense' for tensorboard; its keys: comment, "),
        ({"kind": "tensorboard", "prefixx": "a"}, r"did you mean 'prefix'\?"),
        ({"kind": "tensorboard", "version": 3}, "unknown key 'logger.version'"),
        ({"kind": "tensorboard", "max_queue": "many"}, r"logger\.max_queue"),
        ({"kind": "tensorboard", "prefix": 3}, r"logger\.prefix"),
        ({"kind": "wandb", "nonsense": 1}, "unknown key 'logger.nonsense' for wandb"),
        ({"kind": "mlflow", "nonsense": 1}, "unknown key 'logger.nonsense' for mlflow"),
        ({"kind": "mlflow", "run_name": 5}, r"logger\.run_name"),
    ],
)
def test_mistakes_are_named_in_one_line(given, message, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        make_loggers(given, tmp_path)
    assert "\n" not in str(error.value)


def test_options_reach_the_logger_and_the_writer(tmp_path):
    (made,) = make_loggers({"kind": "tensorboard", "prefix": "mine", "filename_suffix": ".mine"}, tmp_path)
    made.log_metrics({"loss": 0.5}, 1)
    made.finalize("success")
    assert [path.suffix for path in (tmp_path / "tensorboard").glob("events*")] == [".mine"]
    assert make_loggers({"kind": "csv"}, tmp_path) == []


def test_what_the_writer_takes_is_what_torchs_takes():
    ours, torchs = (inspect.signature(f).parameters for f in (loggers._writer, SummaryWriter.__init__))
    assert {n: p.default for n, p in ours.items()} == {
        n: p.default for n, p in torchs.items() if n not in ("self", "log_dir")
    }


def test_mlflow_keeps_what_a_training_logs(tmp_path):
    """Read back by MLflow's own client: options, figures with their steps, and that the run has ended."""
    pytest.importorskip("mlflow", reason="needs MLflow: pip install 'ncp-nas[mlflow]'")
    from composed import SMALL_SEG, compose
    from mlflow.tracking import MlflowClient

    from ncp.tasks import run as tasks

    given = compose(*SMALL_SEG, "recipe.length=2", "recipe.eval_every=2", "logger=mlflow", "logger.run_name=small")
    run = tasks.assemble(given, tmp_path)
    tasks.fit(run)
    client = MlflowClient(tracking_uri=f"file:{tmp_path / 'mlruns'}")
    (experiment,) = client.search_experiments(filter_string="name = 'ncp'")
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.info.status == "FINISHED"
    assert kept.data.tags["mlflow.runName"] == "small"
    assert kept.data.params["recipe/length"] == "2"
    assert kept.data.metrics["val/mIoU"] == pytest.approx(run.task.latest["mIoU"], rel=1e-6)
    assert [one.step for one in client.get_metric_history(kept.info.run_id, "val/mIoU")] == [2]
