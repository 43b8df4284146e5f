"""What ``src.export`` writes for the frameworks gives there what it gives here, and can be trained there."""

import numpy as np
import pytest
import torch
from small_detector import about, cloud, detector

from ncp import card
from ncp.errors import UserError
from ncp.models import build
from ncp.models.formats import openmmlab

TEXT = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"
TOLD = card.make(
    where="'a'", task="seg", architecture=TEXT, classes=["road", "it's", "sky"], channels=3, size=(64, 96),
    mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), use=card.Use(palette=[(1, 2, 3), (4, 5, 6), (7, 8, 9)]),
)  # fmt: skip


def trained(task, **options):
    torch.manual_seed(0)
    net = build(TEXT, task, **options)
    net(torch.randn(2, 3, 64, 64))
    return net.eval()


def model_of(folder, scope):
    """The model that the framework builds of a folder, with its weights."""
    from mmengine.config import Config
    from mmengine.registry import MODELS, init_default_scope
    from mmengine.runner import load_checkpoint

    config = Config.fromfile(folder / openmmlab.CONFIG)
    init_default_scope(scope)
    model = MODELS.build(config.model)
    load_checkpoint(model, str(folder / openmmlab.WEIGHTS), map_location="cpu", strict=True)
    return model, config


def test_a_segmentor(mmseg, tmp_path):
    net = trained("seg", classes=3)
    folder = openmmlab.write("mmseg", net, TOLD, tmp_path / "mine")
    model, config = model_of(folder, "mmseg")
    image = torch.randint(0, 256, (1, 3, 64, 96))
    given = model.data_preprocessor({"inputs": [image[0].flip(0).float()]}, training=False)["inputs"]  # BGR
    mean, std = (torch.tensor(v)[:, None, None] for v in (TOLD.mean, TOLD.std))
    x = (image / 255 - mean) / std
    torch.testing.assert_close(given, x, rtol=0, atol=1e-5)
    wanted = net(x).detach()
    found = model.eval()(given, mode="tensor").detach()
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
    assert list(config.metainfo.classes) == ["road", "it's", "sky"]
    from mmseg import apis

    inferencer = apis.init_model(str(folder / "config.py"), str(folder / "model.pth"), device="cpu")
    result = apis.inference_model(inferencer, image[0].permute(1, 2, 0).numpy()[..., ::-1].astype(np.uint8).copy())
    logits = torch.nn.functional.interpolate(wanted, (64, 96), mode="bilinear", align_corners=False)
    assert (result.pred_sem_seg.data == logits.argmax(1)).float().mean() > 0.999
    assert inferencer.dataset_meta["palette"][1] == [4, 5, 6]


def test_there_and_back():
    net = trained("seg", classes=3)
    assert openmmlab.ours(openmmlab.theirs(net.state_dict(), "mmseg"), "mmseg").keys() == net.state_dict().keys()
    made = detector()
    back = openmmlab.ours(openmmlab.theirs(made.state_dict(), "mmdet3d"), "mmdet3d")
    assert back.keys() == made.state_dict().keys()


def test_a_detector(mmdet3d, tmp_path):
    from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes

    made = detector()
    told = about(made)
    folder = openmmlab.write("mmdet3d", made, told, tmp_path / "mine")
    model, _ = model_of(folder, "mmdet3d")
    model.eval()
    for seed in (1, 2):
        points = cloud(400, seed)
        sample = Det3DDataSample(metainfo={"box_type_3d": LiDARInstance3DBoxes})
        data = model.data_preprocessor({"inputs": {"points": [points]}, "data_samples": [sample]}, training=False)
        with torch.no_grad():
            (found,) = model(**data, mode="predict")
            (wanted,) = made.detect(made(points, torch.tensor([len(points)])), score=0.1)
        found = found.pred_instances_3d
        centres = torch.cat([found.bboxes_3d.gravity_center, found.bboxes_3d.tensor[:, 3:]], 1)
        assert len(centres) > 0
        torch.testing.assert_close(centres, wanted.boxes, rtol=0, atol=1e-4)
        torch.testing.assert_close(found.scores_3d, wanted.scores, rtol=0, atol=1e-5)
        assert torch.equal(found.labels_3d, wanted.labels)


def test_others_are_refused(tmp_path):
    with pytest.raises(UserError, match="format=mmseg writes networks of task=seg, this is of task=cls"):
        openmmlab.write("mmseg", trained("cls"), None, tmp_path)
