"""KITTI's average precision inside mmengine: the figures of this project's own evaluation of the same boxes."""

import re
from types import SimpleNamespace

import numpy as np
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


# ---- the official tool's figures of 1,059 real frames


@pytest.fixture(scope="module")
def recorded(shared):
    """Frames' names, detections as a result file holds them, and what the official tool printed of them."""
    from ncp.metrics.kitti_files import read

    oracle = shared / "kitti_ap_oracle"
    frames = [(path.stem, read(path, scores=True)) for path in sorted((oracle / "results" / "data").glob("*.txt"))]
    said = re.findall(r"^(\w+) AP: (\S+) (\S+) (\S+)$", (oracle / "official_cpp_stdout.txt").read_text(), re.M)
    return oracle, frames, {name: [float(value) for value in values] for name, *values in said}


METRICS = {"detection": "2d", "orientation": "aos", "detection_ground": "bev", "detection_3d": "3d"}


def in_lidar(found):
    """Boxes of a result file where the LiDAR looks along z of the camera."""
    height, width, length = found.size.T
    x, y, z = found.location.T
    yaw = (-found.rotation_y - np.pi / 2 + np.pi) % (2 * np.pi) - np.pi
    return np.stack([z, -x, -y + height / 2, length, width, height, yaw], 1)


@pytest.mark.shared
def test_the_official_tools_figures(mmseg, recorded, tmp_path, monkeypatch):
    """All 36 figures of 1,059 frames. Boxes go in as a detector writes them, in the LiDAR frame. That of these frames wrote
    rectangles of its own in the image, four of them at its edge without a width, which get a hair of one."""
    from mmengine.registry import METRICS as REGISTRY

    from ncp.data.kitti_frames import Calibration

    oracle, frames, said = recorded
    (tmp_path / "label_2").symlink_to(oracle / "label_2")
    (tmp_path / "calib").mkdir()
    for name, _ in frames:
        (tmp_path / "calib" / f"{name}.txt").write_text(CALIBRATION)
    rectangles = iter([np.add(found.image_boxes, [0, 0, 1e-9, 0]) for _, found in frames])
    monkeypatch.setattr(Calibration, "image_boxes", lambda *_: next(rectangles))
    classes = ["Car", "Pedestrian", "Cyclist"]
    made = REGISTRY.build({"type": "NCPKittiMetric", "root": str(tmp_path), "classes": classes, "all_figures": True})
    for name, found in frames:
        tensor = torch.from_numpy(in_lidar(found))
        bottom = tensor.clone()
        bottom[:, 2] -= tensor[:, 5] / 2
        labels = torch.tensor([classes.index(kind) for kind in found.types], dtype=torch.long)
        made.process(None, [{
            "lidar_path": f"somewhere/{name}.bin",
            "pred_instances_3d": {
                "bboxes_3d": SimpleNamespace(tensor=bottom, gravity_center=tensor[:, :3]),
                "labels_3d": labels, "scores_3d": torch.from_numpy(found.score),
            },
        }])  # fmt: skip
    figures = made.evaluate(size=len(frames))
    assert len(said) == 12
    for name, printed in said.items():
        kind, _, metric = name.partition("_")
        for level, value in zip(("easy", "moderate", "hard"), printed, strict=True):
            key = f"KITTI/{kind}/{METRICS[metric]}/{level}/AP11"
            assert figures[key] == pytest.approx(value, abs=2e-3 if metric == "orientation" else 1e-4), key


@pytest.mark.shared
def test_mmdetection3ds_own_count_of_the_same_boxes(mmdet3d, recorded, monkeypatch):
    """Its overlaps need an NVIDIA GPU and come from here; its counting is its own. In the image and in 3D it says what the
    official tool says; from above it counts as errors what that leaves out in frames with areas that nobody labelled."""
    import sys
    import types

    from ncp.metrics.boxes import iou_bev
    from ncp.metrics.kitti_files import read

    package = "mmdet3d.evaluation.functional.kitti_utils"
    overlaps = types.ModuleType(f"{package}.rotate_iou")

    def rotated(boxes, others, criterion=-1, device_id=0):
        a, b = (np.asarray(one, dtype=float) * [1, 1, 1, 1, -1] for one in (boxes, others))
        found = np.asarray(iou_bev(a, b))
        both = (a[:, 2] * a[:, 3])[:, None] + b[:, 2] * b[:, 3]
        return (found if criterion == -1 else found * both / (1 + found)).astype(np.float32)

    overlaps.rotate_iou_gpu_eval = rotated
    monkeypatch.setitem(sys.modules, overlaps.__name__, overlaps)
    from mmdet3d.evaluation.functional.kitti_utils.eval import kitti_eval

    def theirs(one):
        out = {"name": one.types, "truncated": one.truncation, "occluded": one.occlusion, "alpha": one.alpha}
        out |= {"bbox": one.image_boxes, "dimensions": one.size[:, [2, 0, 1]], "location": one.location}
        return out | {"rotation_y": one.rotation_y} | ({"score": one.score} if one.values.shape[1] == 15 else {})

    oracle, frames, said = recorded
    truth = [theirs(read(oracle / "label_2" / f"{name}.txt", scores=False)) for name, _ in frames]
    _, found = kitti_eval(
        truth, [theirs(one) for _, one in frames], ["Pedestrian", "Cyclist", "Car"], ["bbox", "bev", "3d"]
    )
    lower = []
    for name, printed in said.items():
        kind, _, metric = name.partition("_")
        if metric == "orientation":
            continue
        for level, value in zip(("easy", "moderate", "hard"), printed, strict=True):
            place = {"2d": "2D", "bev": "BEV", "3d": "3D"}[METRICS[metric]]
            mine = float(found[f"KITTI/{kind.capitalize()}_{place}_AP11_{level}_strict"])
            if place == "BEV":
                lower.append(value - mine)
            else:
                assert mine == pytest.approx(value, abs=0.005), (name, level)
    assert min(lower) > 1
    assert max(lower) < 10
