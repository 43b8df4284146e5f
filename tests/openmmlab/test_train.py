"""A shipped config, trained by mmengine's own runner on a made-up data set; what it leaves can be read here."""

import numpy as np
import pytest
import torch
from PIL import Image

from ncp.errors import UserError
from ncp.models import build
from ncp.models.export import save
from ncp.models.formats import foreign, openmmlab

NARROW = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"


@pytest.fixture(scope="module")
def ade(tmp_path_factory):
    root = tmp_path_factory.mktemp("ade")
    random = np.random.default_rng(0)
    for part in ("training", "validation"):
        for kind in ("images", "annotations"):
            (root / kind / part).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(random.integers(0, 256, (80, 96, 3), dtype=np.uint8)).save(
                root / "images" / part / f"{i}.jpg"
            )
            Image.fromarray(random.integers(0, 151, (80, 96), dtype=np.uint8)).save(
                root / "annotations" / part / f"{i}.png"
            )
    return root


def test_a_config_is_trained_and_comes_back(mmseg, ade, tmp_path):
    from ncp.openmmlab import train

    start = build(NARROW, "cls")
    weights = save(start, tmp_path / "start.safetensors")
    train.main([
        "ade20k", f"data_root={ade}", f"work_dir={tmp_path / 'work'}", "steps=10", "crop=(64,64)",
        f"architecture={NARROW}", "channels=[8,16,8,24]", "joined=16", f"checkpoint={weights}",
        "train_cfg.max_iters=2", "train_cfg.val_interval=2", "default_hooks.checkpoint.interval=2",
        "train_dataloader.num_workers=0", "train_dataloader.persistent_workers=False",
        "val_dataloader.num_workers=0", "val_dataloader.persistent_workers=False",
        "optim_wrapper.optimizer.lr=1e-9",
    ])  # fmt: skip
    found = foreign.weights_of(tmp_path / "work" / "iter_2.pth")
    mine = openmmlab.ours(found, "mmseg")
    net = build(NARROW, "seg", classes=150)
    net.load_state_dict(mine)
    stem = start.backbone.stem[0].conv.weight  # it began at the classifier's weights, and hardly moved
    torch.testing.assert_close(net.backbone.stem[0].conv.weight, stem, rtol=0, atol=1e-5)


def test_mistakes_are_one_line(mmseg):
    from ncp.openmmlab import train

    for words, message in (
        ([], "no config was given"),
        (["nothing"], "ade20k, cityscapes, coco, kitti"),
        (["ade20k", "x"], "no KEY=VALUE"),
    ):
        with pytest.raises(UserError, match=message):
            train.main(words)
