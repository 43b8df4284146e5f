"""The command's real configuration: every setting on its built-in set, and on real data."""

import dataclasses

import pytest
from composed import compose, config_of
from omegaconf import OmegaConf

from ncp import registry
from ncp.benchmark import settings
from ncp.campaign import plan as plans
from ncp.campaign.scheduler import sweep
from ncp.spaces.multires import SPACE
from ncp.tasks.base import Task

TRAINED = sorted(name for name, setting in settings.SETTINGS.items() if setting.real)


def plan(*overrides):
    return plans.make(compose("count=3", *overrides, name="build"))


@pytest.mark.parametrize("name", [*settings.PAPER, *settings.SHORT])
def test_every_setting_has_a_built_in_meaning(name):
    made = plan(f"setting={name}")
    assert made.setting == settings.get(name).name
    assert registry.resolve(made.training["task"]["_target_"], "task", Task).name == settings.get(name).task
    assert made.training["recipe"]["length"] > 0


def test_settings_of_one_task_differ_as_their_recipes_do():
    assert plan("setting=cls-10c").training["recipe"]["length"] < plan("setting=cls").training["recipe"]["length"]
    assert plan("setting=seg-4x").training["data"]["crop"] == [32, 32]
    assert plan("setting=seg-4x").macs < plan("setting=seg").macs


@pytest.mark.parametrize("name", TRAINED)
def test_training_and_building_mean_the_same_on_real_data(name):
    made = plan(f"setting={name}", "data.root=/data/somewhere")
    alone = compose(f"setting={name}", "data.root=/data/somewhere", name="train")
    assert made.training["recipe"] == alone.recipe
    assert made.training["data"]["_target_"] == alone.data["_target_"]
    assert "root" not in made.training["data"]
    assert plan(f"setting={name}", "data.root=/elsewhere").hash == made.hash


def test_a_sample_of_small_architectures():
    options = compose("setting=cls", "sample=small", name="build")
    assert options.count == 24
    assert len(plans.make(options)) == 24
    assert max(max(SPACE.parse(text).code) for text in plans.make(options).architectures) <= 32


@pytest.mark.parametrize("command", ["train", "build", "search"])
@pytest.mark.parametrize("launcher", ["submitit_slurm", "slurm"])
def test_every_command_has_both_launchers_of_a_cluster(command, launcher):
    """Ours extends the plugin's: its keys, no others."""
    from hydra_plugins.hydra_submitit_launcher import config as store

    given = {"train": ["task=seg"], "build": ["setting=seg", "count=2500"], "search": ["objectives=[seg]"]}[command]
    hydra = config_of(*given, f"hydra/launcher={launcher}", name=command, with_hydra=True).hydra
    assert set(hydra.launcher) == {field.name for field in dataclasses.fields(store.SlurmQueueConf)}
    assert hydra.launcher._target_.endswith("SlurmLauncher")


@pytest.mark.parametrize(("given", "number"), [([], 500), (["hydra.launcher.max_num_timeout=0"], 0)])
def test_a_job_of_a_build_outlives_its_time_limit(monkeypatch, given, number):
    """The plugin's default is to end it at the first one."""
    monkeypatch.setattr(sweep._Jobs, "install", lambda check: None)
    overrides = ["shard=range(0,250)", "hydra/launcher=submitit_slurm", *given]
    config = config_of("count=2500", *overrides[1:], name="build", with_hydra=True)
    config.hydra.overrides.hydra = overrides[1:]
    OmegaConf.update(config, "hydra.overrides.task", overrides[:1])
    OmegaConf.update(config, "hydra.job.num", 0, force_add=True)
    sweep.Shards(5).on_multirun_start(config)
    assert config.hydra.launcher.max_num_timeout == number
    assert list(config.hydra.overrides.task) == ["shard=range(0,250)", "shards=250"]
