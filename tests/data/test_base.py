"""The stream of samples, loaders and the batch policy."""

import importlib
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from ncp.data import base
from ncp.data.base import BatchPolicy, Key, Loader, ShardSampler, StreamSampler, find_root, sample_rng, worker_count
from ncp.errors import UserError
from ncp.process import SIDE_BY_SIDE


def keys(sampler):
    return [key for batch in sampler for key in batch]


def test_every_epoch_of_the_stream_holds_every_sample_once():
    sampler = StreamSampler(10, 6, BatchPolicy.fit(5), rank=0, seed=3)
    stream = keys(sampler)
    assert len(sampler) == 6
    for epoch in range(3):
        items = [key.item for key in stream if key.epoch == epoch]
        assert sorted(items) == list(range(10))
    orders = [[k.item for k in stream[10 * e : 10 * e + 10]] for e in range(3)]
    assert orders[0] != orders[1] != orders[2]
    other = keys(StreamSampler(10, 6, BatchPolicy.fit(5), rank=0, seed=4))
    assert other != stream


def test_batches_run_on_across_epochs_when_sizes_do_not_divide():
    stream = keys(StreamSampler(7, 4, BatchPolicy.fit(5), rank=0, seed=0))
    assert [key.epoch for key in stream] == [0] * 7 + [1] * 7 + [2] * 6
    counts = Counter(key.item for key in stream)
    assert set(counts.values()) <= {2, 3}


@pytest.mark.parametrize(("devices", "per_device"), [(1, None), (2, None), (1, 3), (2, 2), (3, 4), (4, 1)])
def test_devices_and_accumulation_share_the_same_batches(devices, per_device):
    whole = [sorted(batch) for batch in StreamSampler(20, 5, BatchPolicy.fit(12), rank=0, seed=1)]
    policy = BatchPolicy.fit(12, devices, per_device)
    assert policy.devices * policy.per_device * policy.accumulate == 12
    assert per_device is None or policy.per_device <= per_device
    parts = [list(StreamSampler(20, 5 * policy.accumulate, policy, rank, seed=1)) for rank in range(devices)]
    for step in range(5):
        mine = slice(step * policy.accumulate, (step + 1) * policy.accumulate)
        got = [key for part in parts for batch in part[mine] for key in batch]
        assert sorted(got) == whole[step]


def test_the_stream_goes_on_where_it_was():
    policy = BatchPolicy.fit(4)
    whole = list(StreamSampler(6, 9, policy, 0, seed=2))
    rest = StreamSampler(6, 9, policy, 0, seed=2, start=5)
    assert list(rest) == whole[5:]
    assert len(rest) == 9  # Lightning counts from the beginning


def test_a_batch_that_devices_do_not_divide_is_refused():
    with pytest.raises(UserError, match=r"total batch of 64 cannot be shared by 3 devices; .*recipe.batch=63"):
        BatchPolicy.fit(64, 3)
    with pytest.raises(UserError, match=r"must be positive"):
        BatchPolicy.fit(0)


@pytest.mark.parametrize("devices", [1, 2, 3])
def test_evaluation_sees_every_sample_once(devices):
    shards = [ShardSampler(10, 4, rank, devices) for rank in range(devices)]
    seen = [key for shard in shards for key in keys(shard)]
    assert sorted(key.item for key in seen) == list(range(10))
    assert {key.epoch for key in seen} == {-1}
    assert all(len(shard) == len(list(shard)) for shard in shards)


def test_random_numbers_depend_on_seed_epoch_and_sample_alone():
    first = sample_rng(1, Key(0, 5)).random(3)
    assert np.array_equal(first, sample_rng(1, Key(0, 5)).random(3))
    others = [(2, Key(0, 5)), (1, Key(1, 5)), (1, Key(0, 6)), (1, Key(5, 0))]
    assert all(not np.array_equal(first, sample_rng(seed, key).random(3)) for seed, key in others)


class Broken(Dataset):
    def __getitem__(self, key):
        if key.item == 3:
            raise UserError("the image 'x.png' is corrupt")
        return {"image": torch.tensor(key.item)}

    def __len__(self):
        return 6


@pytest.mark.parametrize("workers", [0, 2])
def test_a_workers_error_arrives_as_one_line(workers):
    loader = Loader(Broken(), batch_sampler=ShardSampler(6, 2), num_workers=workers)
    with pytest.raises(UserError) as error:
        list(loader)
    assert str(error.value) == "the image 'x.png' is corrupt"


class Numbers(base.DataModule):
    """Four samples."""

    task = "cls"

    def prepare(self):
        self.train_set = self.val_set = list(range(4))


def test_workers_are_no_more_than_batches_and_bounded():
    data = Numbers(workers=8)
    data.setup()
    data.plan(BatchPolicy.fit(2), 3)
    assert data.train_dataloader().num_workers == 3
    with pytest.raises(UserError, match=r"data.workers=1000000 are too many for this machine; at most \d+, or 'auto'"):
        Numbers(workers=1_000_000)


def test_workers_are_at_least_one_and_leave_a_core():
    assert worker_count(10**6) == 1
    assert 1 <= worker_count() <= 16


def test_a_wrong_root_says_what_was_looked_for_and_found(tmp_path):
    with pytest.raises(UserError, match=r"needs data.root=<its folder>, which holds a, b"):
        find_root(None, ("a", "b"), "Set")
    with pytest.raises(UserError, match=r"nowhere' is not a folder"):
        find_root(tmp_path / "nowhere", ("a",), "Set")
    (tmp_path / "a").mkdir()
    (tmp_path / "c").mkdir()
    with pytest.raises(
        UserError,
        match=r"is not Set: looked for b and found a, c; a set of your own is given with data=folder and its task",
    ):
        find_root(tmp_path, ("a", "b"), "Set")


MODULES = sorted(
    {
        found
        for path in (Path(__file__).parents[2] / "conf" / "data").rglob("*.yaml")
        for found in re.findall(r"^_target_: (\S+)$", path.read_text(), re.MULTILINE)
    }
)


@pytest.mark.parametrize("target", MODULES)
def test_every_data_module_says_what_its_samples_are(target):
    module, _, name = target.rpartition(".")
    data = getattr(importlib.import_module(module), name)()
    assert 5 < len(data.source) < 60
    assert "trained" not in data.source
    assert data.source.startswith("built-in") is data.builtin


def test_sources_name_what_was_chosen():
    from ncp.data.cityscapes import Cityscapes
    from ncp.data.hmdb51 import HMDB51
    from ncp.data.imagenet import ImageNet

    assert ImageNet(classes_kept=50, images_kept=1000).source == "ImageNet, 50 classes, 1,000 images each"
    assert ImageNet().source == "ImageNet"
    assert Cityscapes(resized=(256, 512)).source == "Cityscapes, resized to 256x512"
    assert HMDB51(split=2).source == "HMDB51 split 2"


def test_a_root_may_have_any_name(tmp_path):
    for name in ("a=b", "set (1)", "c#d", "数据", "it's", "[x] *?%03d", os.fsdecode(b"caf\xe9")):
        (tmp_path / name / "a").mkdir(parents=True)
        assert find_root(str(tmp_path / name), ("a",), "Set") == tmp_path / name
    with pytest.raises(UserError, match=r"caf\\udce9' is not Set: looked for b and found a"):
        find_root(tmp_path / os.fsdecode(b"caf\xe9"), ("b",), "Set")
    (tmp_path / "d" / ".ipynb_checkpoints").mkdir(parents=True)
    with pytest.raises(UserError, match=r"looked for b and found nothing"):
        find_root(tmp_path / "d", ("b",), "Set")


CORES = frozenset(range(128))


@pytest.mark.parametrize(
    ("everybody", "sharing", "workers"),
    [
        # 8 GPUs of a node whose 64 cores SLURM divides among its tasks: 8 each
        ([("a", frozenset(range(8 * i, 8 * i + 8))) for i in range(8)], 1, 7),
        # the same without binding: all may use all
        ([("a", frozenset(range(64)))] * 8, 8, 7),
        # 4 nodes of 128 cores and 8 GPUs each
        ([(f"node{i // 8}", CORES) for i in range(32)], 8, 15),
        ([("a", CORES)], 1, 16),
    ],
)
def test_cores_are_divided_once_by_those_that_share_them(monkeypatch, everybody, sharing, workers):
    mine = everybody[0]
    monkeypatch.setattr(base, "own_cores", lambda: mine[1])
    assert base.sharing_cores(mine, everybody) == sharing
    assert worker_count(sharing) == workers


@pytest.mark.parametrize(("at_a_time", "workers"), [("4", 3), ("8", 1), ("100", 1), ("", 15), ("many", 15)])
def test_trainings_side_by_side_share_the_cores_for_their_loaders(monkeypatch, at_a_time, workers):
    monkeypatch.setattr(base, "own_cores", lambda: frozenset(range(16)))
    monkeypatch.setenv(SIDE_BY_SIDE, at_a_time)
    assert worker_count() == workers
