# COCO in mmdetection: Mask R-CNN with FPN over a searched backbone, images of 800 x 1280, 12 epochs. Needs `make openmmlab`:
#   torchrun --nproc_per_node 8 -m ncp.openmmlab.train coco data_root=/data/coco/
# Cost: 340 G multiply-adds an image (backbone 170, FPN 51, RPN 51, 1,000 boxes 14, 100 masks 53), about a day on eight A100s. The
# paper's network, 360 G by its count, has 47.2 box and 42.3 mask AP after its own schedule.
# For another architecture change the lines below, or let `python -m src.export arch=NAME format=mmdet` write all of it.
_base_ = [
    "mmdet::_base_/models/mask-rcnn_r50_fpn.py",
    "mmdet::_base_/datasets/coco_instance.py",
    "mmdet::_base_/schedules/schedule_1x.py",
    "mmdet::_base_/default_runtime.py",
]
custom_imports = dict(imports=["ncp.openmmlab"], allow_failed_imports=False)
architecture = "ncp_cls"
channels = [32, 128, 8, 8]  # of its four maps
checkpoint = None  # a classifier's last.ckpt or safetensors file to start from
data_root = "data/coco/"

model = dict(
    backbone=dict(
        _delete_=True,
        type="NCPBackbone",
        architecture=architecture,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=checkpoint is not None,
        frozen_stages=0 if checkpoint else -1,
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint) if checkpoint else None,
    ),
    neck=dict(in_channels=channels),
)
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(ann_file=data_root + "annotations/instances_val2017.json")
test_evaluator = val_evaluator
