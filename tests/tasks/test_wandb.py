"""Weights & Biases is offline unless there is a key."""

import sys

import pytest

from ncp.errors import UserError
from ncp.tasks import wandb


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    return tmp_path


def test_a_key_in_the_environment_or_in_netrc(home, monkeypatch):
    assert not wandb.has_key()
    (home / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password made-up\n")
    (home / ".netrc").chmod(0o600)
    assert wandb.has_key()
    (home / ".netrc").write_text("machine example.org\n  login user\n  password made-up\n")
    assert not wandb.has_key()
    (home / ".netrc").write_text("machine machine")
    assert not wandb.has_key()
    monkeypatch.setenv("WANDB_API_KEY", "made-up")
    assert wandb.has_key()


def test_the_logger_gets_the_options_and_is_offline(home, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr("pytorch_lightning.loggers.WandbLogger", lambda **options: given.update(options))
    wandb.make_wandb(tmp_path, {"project": "mine", "offline": None})
    assert given == {"save_dir": tmp_path, "offline": True, "project": "mine"}
    wandb.make_wandb(tmp_path, {"offline": False})
    assert given["offline"] is False


def test_without_the_package_its_extra_is_named(home, tmp_path, monkeypatch):
    def missing(**options):
        raise ModuleNotFoundError("wandb")

    monkeypatch.setattr("pytorch_lightning.loggers.WandbLogger", missing)
    with pytest.raises(UserError, match=r"'wandb' is not installed.*ncp-nas\[wandb\]"):
        wandb.make_wandb(tmp_path, {})
    assert "pytorch_lightning" in sys.modules


def test_a_second_training_of_this_process_has_a_run_of_its_own(home, tmp_path, monkeypatch):
    wandb_itself = pytest.importorskip("wandb", reason="needs W&B: pip install 'ncp-nas[wandb]'")
    monkeypatch.setattr(wandb, "_earlier", [])
    runs = []
    for number in (1, 2):
        logger = wandb.make_wandb(tmp_path / str(number), {"project": "mine", "mode": "disabled"})
        logger.log_hyperparams({"recipe": {"batch": number}})
        runs.append(logger.experiment)
    assert runs[0].id != runs[1].id
    assert runs[1].config["recipe"] == {"batch": 2}
    unused = wandb.make_wandb(tmp_path / "3", {"mode": "disabled"})
    assert wandb_itself.run is None  # a logger that nobody has used begins none when it is put away
    wandb.make_wandb(tmp_path / "4", {"mode": "disabled"})
    assert unused._experiment is None
    theirs = wandb_itself.init(mode="disabled", dir=tmp_path)
    try:
        assert wandb.make_wandb(tmp_path / "5", {}).experiment is theirs
    finally:
        theirs.finish()
