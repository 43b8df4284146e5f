"""What ``src.export`` wrote, asked about real frames and a photograph by the frameworks' own functions, from file to answer."""

import kitti_by_heart
import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from ncp import card
from ncp.data.kitti_points import read_points
from ncp.inference.detection import Finder, Scene, read_scene
from ncp.inference.torch_network import TorchNetwork
from ncp.models import build, detector_file
from ncp.models.formats import openmmlab

pytestmark = pytest.mark.shared

NARROW = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"
LIMITS = (0.0, -39.68, -3.0, 69.12, 39.68, 1.0)  # KITTI's


@pytest.fixture(scope="module")
def detector(mmdet3d, shared, tmp_path_factory):
    """A network that half knows the frames' objects, over all of KITTI's space, and the framework's model of its files."""
    from mmdet3d.apis import init_model

    folder = tmp_path_factory.mktemp("detector")
    taught, _ = kitti_by_heart.learned(shared / "kitti_sample", folder / "cache", steps=110)
    seen = {**detector_file.space_of(taught, {"score": 0.05}), "limits": LIMITS}
    space = msgspec.convert(seen, card.SeenSpace)
    whole = detector_file.detector_of(build(kitti_by_heart.SMALL, "det3d"), space)
    whole.load_state_dict(taught.state_dict())
    told = card.make(
        where="'a'", task="det3d", architecture=kitti_by_heart.SMALL, classes=["Car", "Pedestrian", "Cyclist"], channels=64,
        size=(496, 432), mean=None, std=None, use=card.Use(space=space),
    )  # fmt: skip
    written = openmmlab.write("mmdet3d", whole.eval(), told, folder / "mine")
    model = init_model(str(written / openmmlab.CONFIG), str(written / openmmlab.WEIGHTS), device="cpu")
    return Finder(TorchNetwork(whole, told, "cpu")), model


@pytest.mark.parametrize("part", ["all points", "what the camera sees"])
@pytest.mark.parametrize("frame", ["000000", "000001", "000002"])
def test_boxes_scores_and_labels_of_real_frames(detector, shared, frame, part, tmp_path):
    from mmdet3d.apis import inference_detector

    finder, model = detector
    path = shared / "kitti_sample" / "training" / "velodyne" / f"{frame}.bin"
    if part == "all points":
        given, scene = path, Scene(read_points(path)[0], None, (1, 1))
    else:  # mmdetection3d reads these from files of their own, which its tools write
        scene = read_scene(path, finder.space, None)._replace(calibration=None)
        given = tmp_path / path.name
        scene.points.astype("<f4").tofile(given)
    ours = finder(scene).found
    found = inference_detector(model, str(given))[0].pred_instances_3d
    centres = torch.cat([found.bboxes_3d.gravity_center, found.bboxes_3d.tensor[:, 3:]], 1).numpy()
    assert len(ours.boxes) == len(centres) >= 3
    pairs = _pairs(ours, (centres, found.labels_3d.numpy(), found.scores_3d.numpy()))
    np.testing.assert_array_equal(found.labels_3d.numpy()[pairs], ours.labels)
    np.testing.assert_allclose(found.scores_3d.numpy()[pairs], ours.scores, atol=1e-5, rtol=0)
    np.testing.assert_allclose(centres[pairs], ours.boxes, atol=1e-4, rtol=0)


def _pairs(ours, theirs):
    """Of each of our boxes the number of theirs: scores that round alike may stand in another order."""
    rows = [
        np.concatenate([boxes, 100 * labels[:, None], 10 * scores[:, None]], 1)
        for boxes, labels, scores in (ours, theirs)
    ]
    pairs = np.abs(rows[0][:, None] - rows[1]).max(-1).argmin(1)
    assert len(set(pairs.tolist())) == len(pairs)
    return pairs


def test_logits_of_a_real_photograph(mmseg, shared, tmp_path):
    from mmseg import apis

    torch.manual_seed(0)
    net = build(NARROW, "seg", classes=19)
    (path,) = (shared / "cityscapes_sample" / "leftImg8bit").rglob("*.png")
    photograph = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None] / 255
    told = card.make(
        where="'a'", task="seg", architecture=NARROW, classes=[f"class {i}" for i in range(19)], channels=3, size=(512, 1024),
        mean=card.MEAN, std=card.STD, use=card.Use(),
    )  # fmt: skip
    mean, std = (torch.tensor(v)[:, None, None] for v in (card.MEAN, card.STD))
    x = (photograph - mean) / std
    net(x[..., ::4, ::4])  # statistics that are not the initial ones
    written = openmmlab.write("mmseg", net.eval(), told, tmp_path / "mine")
    model = apis.init_model(str(written / openmmlab.CONFIG), str(written / openmmlab.WEIGHTS), device="cpu")
    found = apis.inference_model(model, str(path)).seg_logits.data
    ours = torch.from_numpy(TorchNetwork(net, told, "cpu").logits(x.numpy()))
    wanted = torch.nn.functional.interpolate(ours, x.shape[-2:], mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
