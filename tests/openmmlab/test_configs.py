"""The shipped configs: each is composed, built, and trained for a step on made-up data."""

import pytest
import torch

from ncp import configs
from ncp.spaces import found

FOLDER = configs.shipped() / "openmmlab"
NARROW = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"


@pytest.mark.parametrize("name", ["ade20k", "cityscapes", "coco", "kitti"])
def test_channels_are_the_architectures(name):
    text = (FOLDER / f"{name}.py").read_text()
    values = {}
    exec(
        "\n".join(line for line in text.splitlines() if line.startswith(("architecture", "channels", "joined"))), values
    )
    architecture = found.get(values["architecture"])
    assert values["channels"] == list(architecture.blocks[-1].channels)
    assert values.get("joined", architecture["o1"]) == architecture["o1"]


def built(name, scope, **changes):
    from mmengine.config import Config
    from mmengine.model.utils import revert_sync_batchnorm
    from mmengine.registry import MODELS, init_default_scope

    config = Config.fromfile(FOLDER / f"{name}.py")
    init_default_scope(scope)
    config.merge_from_dict(changes)
    return revert_sync_batchnorm(MODELS.build(config.model))


def step(model, data):
    from mmengine.optim import OptimWrapper

    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-3))
    before = model.backbone.net.stem[0].conv.weight.clone()
    losses = model.train_step(data, wrapper)
    assert torch.isfinite(losses["loss"])
    assert not torch.equal(before, model.backbone.net.stem[0].conv.weight)


SMALL = {
    "model.backbone.architecture": NARROW, "model.decode_head.in_channels": [8, 16, 8, 24],
    "model.decode_head.channels": 16, "model.data_preprocessor.size": (64, 64),
}  # fmt: skip


@pytest.mark.parametrize(("name", "classes"), [("ade20k", 150), ("cityscapes", 19)])
def test_segmentation(mmseg, name, classes):
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    model = built(name, "mmseg", **SMALL)
    assert model.decode_head.conv_seg.out_channels == classes
    samples = []
    for _ in range(2):
        sample = SegDataSample(metainfo={"img_shape": (64, 64), "ori_shape": (64, 64)})
        sample.gt_sem_seg = PixelData(data=torch.randint(0, classes, (1, 64, 64)))
        samples.append(sample)
    step(model, {"inputs": [torch.randint(0, 256, (3, 64, 64)) for _ in samples], "data_samples": samples})


def test_mask_rcnn(mmdet3d):
    import numpy as np
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    changes = {"model.backbone.architecture": NARROW, "model.neck.in_channels": [8, 16, 8, 24]}
    model = built("coco", "mmdet", **changes)
    samples = []
    for _ in range(2):
        sample = DetDataSample(metainfo={"img_shape": (128, 128), "ori_shape": (128, 128), "scale_factor": (1.0, 1.0)})
        masks = BitmapMasks(np.ones((1, 128, 128), dtype=np.uint8), 128, 128)
        boxes = HorizontalBoxes(torch.tensor([[10.0, 10.0, 90.0, 100.0]]))
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([1]), masks=masks)
        samples.append(sample)
    step(model, {"inputs": [torch.randint(0, 256, (3, 128, 128)) for _ in samples], "data_samples": samples})


def test_pointpillars(mmdet3d):
    from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes
    from mmengine.structures import InstanceData

    changes = {
        "model.backbone.architecture": NARROW, "model.neck.in_channels": [8, 16, 8, 24], "model.neck.out_channels": 16,
        "model.bbox_head.in_channels": 16, "model.bbox_head.feat_channels": 16,
    }  # fmt: skip
    model = built("kitti", "mmdet3d", **changes)
    random = torch.Generator().manual_seed(0)
    points = torch.rand(2000, 4, generator=random) * torch.tensor([60.0, 60.0, 3.0, 1.0]) - torch.tensor(
        [0, 30.0, 2.5, 0]
    )
    sample = Det3DDataSample(metainfo={"box_type_3d": LiDARInstance3DBoxes})
    boxes = LiDARInstance3DBoxes(torch.tensor([[20.0, 3.0, -1.0, 3.9, 1.6, 1.56, 0.3]]))
    sample.gt_instances_3d = InstanceData(bboxes_3d=boxes, labels_3d=torch.tensor([0]))
    step(model, {"inputs": {"points": [points, points]}, "data_samples": [sample, sample]})
