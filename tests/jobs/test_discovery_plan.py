"""What the steps of a discovery share: their names, seeds and words."""

import os
from types import SimpleNamespace

import pytest

from ncp import spaces
from ncp.errors import UserError
from ncp.jobs import discovery_plan
from ncp.jobs.discovery_plan import DiscoveryPlan, Trainer, number, records

SPACE = spaces.get("multires")


class Bare(Trainer):
    def work(self):
        return {"build": 1.0}


@pytest.fixture
def trainer(tmp_path):
    def trainer(**more):
        given = {
            "names": ("seg",), "words": {"seg": ["data.scenes=4"]}, "trainings": 8, "budget": {"macs": 1.5e9, "params": 2.5},
            "reference": SPACE.default(), "place": tmp_path, "seed": 3, **more,
        }  # fmt: skip
        return Bare(DiscoveryPlan(**given), tmp_path)

    return trainer


def test_seeds_of_comparisons_are_none_of_the_sample(trainer):
    seeds = [trainer(seed=seed).seed_of(repeat) for seed in (1, 2) for repeat in range(3)]
    assert len(set(seeds)) == 6
    assert min(seeds) >= 1000


def test_a_step_that_is_repeated_says_which(trainer):
    assert trainer().comparison("seg", 0) == "compare seg"
    assert trainer(repeats=2).comparison("seg", 1) == "compare seg, seed 3001"


def test_a_training_names_its_setting_once(trainer):
    assert trainer().training("seg") == ["setting=seg", "data.scenes=4"]
    for word in ("setting=seg", "task=seg"):
        assert trainer(words={"seg": [word, "data.scenes=4"]}).training("seg") == [word, "data.scenes=4"]


def test_words_read_back_as_the_numbers(trainer):
    assert trainer().limits() == ["budget.macs=1500000000", "budget.params=2.5"]
    for value in (1.0, 0.1 + 0.2, 1e22, 123456789.0):
        assert float(number(value)) == value


def test_few_trainings_share_the_cores(trainer, monkeypatch):
    monkeypatch.setattr(discovery_plan, "own_cores", lambda: [0, 1, 2])
    assert trainer().packing(2) == ["build.per_device=2"]
    assert trainer().packing(4) == ["build.per_device=3"]
    assert trainer().packing(40) == ["build.per_device=auto"]
    assert trainer(per_device=7).packing(2) == ["build.per_device=7"]


def test_records_are_counted_as_they_come(tmp_path):
    count = records(tmp_path)
    assert count() == 0
    for name in ("000000", "000001"):
        os.makedirs(tmp_path / "units" / name)
        (tmp_path / "units" / name / discovery_plan.RECORD).write_text("{}")
    (tmp_path / "units" / "000001" / "run.json").write_text("{}")
    assert count() == 2


def test_a_build_without_any_row_names_its_command(trainer, monkeypatch):
    one = trainer()
    one.commands.commands["build"] = "python -m src.build setting=seg"
    built = SimpleNamespace(summary=SimpleNamespace(hours=0.5), merged=None)
    monkeypatch.setattr(one.commands, "run", lambda *given, **more: built)
    with pytest.raises(
        UserError, match=r"the step 'build' trained nothing; its command: python -m src\.build setting=seg"
    ):
        one.build("build", "seg")
    assert one.out.training_hours == {"build": 0.5}
