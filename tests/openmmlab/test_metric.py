"""KITTI's average precision inside mmengine: the figures of this project's own evaluation of the same boxes."""

from types import SimpleNamespace

import pytest
import torch

from ncp.errors import UserError

CALIBRATION = """P0: 7e2 0 6e2 0 0 7e2 1.8e2 0 0 0 1 0
P1: 7e2 0 6e2 0 0 7e2 1.8e2 0 0 0 1 0
P2: 7e2 0 6e2 0 0 7e2 1.8e2 0 0 0 1 0
P3: 7e2 0 6e2 0 0 7e2 1.8e2 0 0 0 1 0
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0
Tr_imu_to_velo: 1 0 0 0 0 1 0 0 0 0 1 0
"""

FRAMES = 60  # KITTI samples 41 recalls: fewer objects cannot reach them all


@pytest.fixture
def metric(mmseg, tmp_path):
    from mmengine.registry import METRICS

    for part in ("label_2", "calib"):
        (tmp_path / part).mkdir()
    boxes = {}
    for i in range(FRAMES):  # a car straight ahead in each: x forward in the LiDAR frame is z of the camera
        ahead = 10.0 + 0.25 * i
        (tmp_path / "calib" / f"{i:06d}.txt").write_text(CALIBRATION)
        line = f"Car 0 0 -1.57 550 150 650 230 1.5 1.6 3.9 0 1 {ahead} -1.5708"
        (tmp_path / "label_2" / f"{i:06d}.txt").write_text(line + "\n")
        boxes[f"{i:06d}"] = [ahead, 0.0, -0.25, 3.9, 1.6, 1.5, 0.0]
    made = METRICS.build({"type": "NCPKittiMetric", "root": str(tmp_path), "classes": ["Car", "Pedestrian", "Cyclist"]})
    return made, boxes


def sample(name, box, score):
    tensor = torch.tensor([box])
    bottom = tensor.clone()
    bottom[:, 2] -= tensor[:, 5] / 2
    return {
        "lidar_path": f"somewhere/velodyne/{name}.bin",
        "pred_instances_3d": {
            "bboxes_3d": SimpleNamespace(tensor=bottom, gravity_center=tensor[:, :3]),
            "labels_3d": torch.tensor([0]),
            "scores_3d": torch.tensor([score]),
        },
    }


def test_all_cars_found_and_none(metric):
    made, boxes = metric
    for i, (name, box) in enumerate(boxes.items()):
        made.process(None, [sample(name, box, 0.9 - 0.001 * i)])
    found = made.evaluate(size=FRAMES)
    assert found["KITTI/moderate"] == pytest.approx(100)
    assert found["KITTI/car-BEV"] == pytest.approx(100)
    for name, box in boxes.items():
        made.process(None, [sample(name, [box[0] + 5, *box[1:]], 0.5)])
    assert made.evaluate(size=FRAMES)["KITTI/moderate"] == pytest.approx(0)


def test_half_of_them_found(metric):
    """Thirty of sixty, all rightly: the recalls up to one half have precision 1, which are 0 to .5 of eleven."""
    made, boxes = metric
    for i, (name, box) in enumerate(boxes.items()):
        made.process(None, [sample(name, box if i % 2 else [box[0] + 5, *box[1:]], 0.9 if i % 2 else 0.1)])
    found = made.evaluate(size=FRAMES)["KITTI/moderate"]
    assert found == pytest.approx(100 * 6 / 11)


def test_a_folder_that_is_none(mmseg, tmp_path):
    from mmengine.registry import METRICS

    with pytest.raises(UserError, match="finds no folder label_2"):
        METRICS.build({"type": "NCPKittiMetric", "root": str(tmp_path)})
