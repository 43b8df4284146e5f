"""A shipped config, trained by mmengine's own runner on a made-up data set; what it leaves can be read here."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from ncp import jobs
from ncp.errors import UserError
from ncp.models import build
from ncp.models.export import save
from ncp.models.formats import openmmlab
from ncp.tasks import foreign

NARROW = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"


# in this process
ALONE = [
    f"{part}_dataloader.{key}" for part in ("train", "val") for key in ("num_workers=0", "persistent_workers=False")
]
CALIBRATION = "".join(f"P{i}: 7e2 0 6e2 0 0 7e2 1.8e2 0 0 0 1 0\n" for i in range(4)) + (
    "R0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0\nTr_imu_to_velo: 1 0 0 0 0 1 0 0 0 0 1 0\n"
)


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
    words = ("task=seg", "data=ade20k", f"data.root={ade}", "data.crop=[64,64]")
    seen = taken_over(tmp_path, tmp_path / "work" / "iter_2.pth", words, ade / "images" / "validation")
    assert sorted(path.name for path in (seen / "labels").iterdir()) == [f"{i}.png" for i in range(4)]


def taken_over(folder, weights, words, inputs):
    """A checkpoint of theirs as a run of this project, evaluated from there again and asked what it sees; the answers' folder."""
    common = (f"arch.code={NARROW}", "arch=code", "data.workers=0", "trainer=cpu", "callbacks.progress=false")
    taken = jobs.adopt.run(jobs.options("adopt", f"weights={weights}", *words, *common), folder / "taken")
    words = (f"ckpt_path={folder / 'taken'}", "data.workers=0", "trainer=cpu")
    again = jobs.evaluate.run(jobs.options("evaluate", *words), folder / "again")
    assert again.metrics == pytest.approx(taken.metrics, nan_ok=True)
    words = (f"ckpt={folder / 'taken'}", f"input={inputs}", f"out={folder / 'seen'}", "pictures=false", "device=cpu")
    outcome = jobs.predict.run(jobs.options("predict", *words), folder / "predict")
    assert outcome.result["inputs"]["left_out"] == 0
    return outcome.out


def test_cityscapes_is_trained_from_its_folders(mmseg, tmp_path):
    from ncp.openmmlab import train

    random = np.random.default_rng(0)
    for part in ("train", "val"):
        for kind in ("leftImg8bit", "gtFine"):
            (tmp_path / kind / part / "town").mkdir(parents=True)
        for i in range(2):
            image, label = (
                random.integers(0, 256, (64, 96, 3), dtype=np.uint8),
                random.integers(0, 19, (64, 96), dtype=np.uint8),
            )
            Image.fromarray(image).save(tmp_path / "leftImg8bit" / part / "town" / f"town_{i}_leftImg8bit.png")
            Image.fromarray(label).save(tmp_path / "gtFine" / part / "town" / f"town_{i}_gtFine_labelTrainIds.png")
    train.main([
        "cityscapes", f"data_root={tmp_path}", f"work_dir={tmp_path / 'work'}", "steps=10", "crop=(32,64)",
        f"architecture={NARROW}", "channels=[8,16,8,24]", "joined=16", "train_cfg.max_iters=1", "train_cfg.val_interval=1",
        "default_hooks.checkpoint.interval=1", *ALONE,
    ])  # fmt: skip
    assert openmmlab.ours(foreign.weights_of(tmp_path / "work" / "iter_1.pth"), "mmseg")


def test_coco_is_trained_from_its_folders(mmdet3d, tmp_path):
    """And evaluated: boxes and masks of two made-up images."""
    from ncp.openmmlab import train

    (tmp_path / "annotations").mkdir()
    for part in ("train2017", "val2017"):
        (tmp_path / part).mkdir()
        images, objects = [], []
        for i in (1, 2):
            Image.fromarray(np.full((64, 64, 3), 60 * i, dtype=np.uint8)).save(tmp_path / part / f"{i}.jpg")
            images.append({"id": i, "file_name": f"{i}.jpg", "height": 64, "width": 64})
            square = [[10.0, 10.0, 50.0, 10.0, 50.0, 50.0, 10.0, 50.0]]
            objects.append({"id": i, "image_id": i, "category_id": 1, "bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0,
                            "segmentation": square})  # fmt: skip
        content = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "person"}]}
        (tmp_path / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
    train.main([
        "coco", f"data_root={tmp_path}/", f"work_dir={tmp_path / 'work'}", f"architecture={NARROW}", "channels=[8,16,8,24]",
        "train_cfg.max_epochs=1", "train_pipeline.2.scale=(96,64)", "train_dataloader.dataset.pipeline.2.scale=(96,64)",
        "val_dataloader.dataset.pipeline.1.scale=(96,64)", "model.rpn_head.num_convs=1", *ALONE,
    ])  # fmt: skip
    assert (tmp_path / "work" / "epoch_1.pth").is_file()


def test_kitti_is_trained_from_its_folders(mmdet3d, tmp_path):
    """From the lists that mmdetection3d's tools write, on made-up points."""
    import mmengine

    from ncp.openmmlab import train

    for part in ("velodyne_reduced", "label_2", "calib"):
        (tmp_path / "training" / part).mkdir(parents=True)
    random, listed = np.random.default_rng(0), []
    for i in range(2):
        points = random.random((500, 4)) * [12, 10, 3, 1] - [0, 5, 2.5, 0]
        points.astype(np.float32).tofile(tmp_path / "training" / "velodyne_reduced" / f"{i:06d}.bin")
        (tmp_path / "training" / "label_2" / f"{i:06d}.txt").write_text(
            "Car 0 0 -1.57 550 150 650 230 1.5 1.6 3.9 0 1 6 -1.57\n"
        )
        (tmp_path / "training" / "calib" / f"{i:06d}.txt").write_text(CALIBRATION)
        car = {"bbox_label_3d": 0, "bbox_3d": [0.0, 1.0, 6.0, 3.9, 1.5, 1.6, -1.57], "bbox": [550, 150, 650, 230],
               "bbox_label": 0, "depth": 6.0, "group_id": 0, "num_lidar_pts": 9, "difficulty": 0, "truncated": 0.0,
               "occluded": 0, "alpha": 0.0, "score": 0.0, "index": 0}  # fmt: skip
        to_camera = [[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
        camera = {"lidar2cam": to_camera, "cam2img": np.eye(4).tolist()}
        listed.append({"sample_idx": i, "instances": [car], "images": {"CAM2": camera, "R0_rect": np.eye(4).tolist()},
                       "lidar_points": {"lidar_path": f"{i:06d}.bin", "num_pts_feats": 4}})  # fmt: skip
    content = {"metainfo": {"categories": {"Car": 0, "Pedestrian": 1, "Cyclist": 2}}, "data_list": listed}
    for part in ("train", "val"):
        mmengine.dump(content, tmp_path / f"kitti_infos_{part}.pkl")
    train.main([
        "kitti", f"data_root={tmp_path}/", f"work_dir={tmp_path / 'work'}", f"architecture={NARROW}", "channels=[8,16,8,24]",
        "joined=16", "limits=[0,-5.12,-3,10.24,5.12,1]", "size=[64,64]", "max_pillars=(200,200)", "max_points=5",
        "train_cfg.max_epochs=1", "train_cfg.val_interval=1", *ALONE,
    ])  # fmt: skip
    assert openmmlab.ours(foreign.weights_of(tmp_path / "work" / "epoch_1.pth"), "mmdet3d")
    (tmp_path / "training" / "velodyne").symlink_to(tmp_path / "training" / "velodyne_reduced")
    words = (
        "task=det3d", "data=kitti", f"data.root={tmp_path}", "data.counts=null", "data.train_split=all", "data.val_split=all",
        "data.limits=[0,-5.12,-3,10.24,5.12,1]", f"data.cache={tmp_path / 'cache'}",
    )  # fmt: skip
    seen = taken_over(tmp_path, tmp_path / "work" / "epoch_1.pth", words, tmp_path / "training" / "velodyne_reduced")
    assert len(list((seen / "kitti").iterdir())) == 2


def test_mistakes_are_one_line(mmseg):
    from ncp.openmmlab import train

    for words, message in (
        ([], "no config was given"),
        (["nothing"], "ade20k, cityscapes, coco, kitti"),
        (["ade20k", "x"], "no KEY=VALUE"),
        (
            ["ade20k", "data_root=/nowhere/at/all"],
            "there is no folder '/nowhere/at/all' with the data of ade20k",
        ),
        (["ade20k", "data_rot=/data"], "the config ade20k has no 'data_rot'; did you mean 'data_root'?"),
        (["ade20k", "train_cgf.max_iters=3"], "did you mean 'train_cfg'"),
    ):
        with pytest.raises(UserError, match=message):
            train.main(words)


@pytest.mark.parametrize(("package", "words", "told"), [
    ("mmengine", "ade20k", "the package 'mmengine' is not installed; install it with: pip install 'ncp-nas[mmseg]'"),
    ("mmdet", "coco", "the config coco cannot be used: mmdet is not installed"),
])  # fmt: skip
def test_a_missing_package_is_one_line(package, words, told):
    """As a user types it, where the package is not there."""
    if package == "mmdet" and not importlib.util.find_spec("mmengine"):
        pytest.skip("needs mmengine: pip install 'ncp-nas[mmseg]'")
    if package == "mmdet" and importlib.util.find_spec("mmdet"):
        pytest.skip("mmdetection is installed")
    hidden = f"import sys; sys.modules['{package}'] = None"
    start = f"{hidden}; sys.argv[1:] = ['{words}']; import runpy; runpy.run_module('ncp.openmmlab.train', run_name='__main__')"
    command = [sys.executable, "-c", start, "ncp.openmmlab.train"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
