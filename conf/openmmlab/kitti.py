# KITTI in mmdetection3d: PointPillars with a searched network, as this project trains it. Needs `make openmmlab`, and KITTI as
# mmdetection3d's tools/create_data.py prepares it:
#   python -m ncp.openmmlab.train kitti data_root=/data/kitti/
# Cost: 66 G multiply-adds a scene for ncp_det3d; 80 epochs of 3,712 scenes, about half a day on one A100. NCPKittiMetric
# measures KITTI's AP on any machine. `python -m src.export ckpt_path=... format=mmdet3d` writes such a file for a training.
_base_ = [
    "mmdet3d::_base_/datasets/kitti-3d-3class.py",
    "mmdet3d::_base_/schedules/cyclic-40e.py",
    "mmdet3d::_base_/default_runtime.py",
]
custom_imports = dict(imports=["ncp.openmmlab"], allow_failed_imports=False)
architecture = "ncp_det3d"
channels = [40, 80, 40, 96]  # of its four maps
joined = 112  # and of their join
data_root = "data/kitti/"

limits = [0, -39.68, -3, 69.12, 39.68, 1]
pillar = 0.16
size = [496, 432]  # pillars along y and x
class_names = ["Car", "Pedestrian", "Cyclist"]
# length, width, height and bottom of each class's anchors in metres; from which overlap one is an object's, below which nobody's
kinds = [[3.9, 1.6, 1.56, -1.78], [0.8, 0.6, 1.73, -0.6], [1.76, 0.6, 1.73, -0.6]]
overlaps = [[0.6, 0.45], [0.5, 0.35], [0.5, 0.35]]
max_pillars = (12000, 40000)
max_points = 100
z_offset = False
nms = dict(score=0.05, overlap=0.5, rotated=False, before=500, most=100)

model = dict(
    type="VoxelNet",
    data_preprocessor=dict(
        type="Det3DDataPreprocessor",
        voxel=True,
        voxel_layer=dict(
            max_num_points=max_points,
            point_cloud_range=limits,
            voxel_size=[pillar, pillar, limits[5] - limits[2]],
            max_voxels=max_pillars,
        ),
    ),
    voxel_encoder=dict(type="NCPPillarNet", limits=limits, pillar=pillar, z_offset=z_offset),
    middle_encoder=dict(type="PointPillarsScatter", in_channels=64, output_shape=size),
    backbone=dict(type="NCPBackbone", architecture=architecture, in_channels=64, stem_strides=(2, 1)),
    neck=dict(type="NCPJoin", in_channels=channels, out_channels=joined),
    bbox_head=dict(
        type="NCPAnchorHead",
        kinds=kinds,
        limits=limits,
        nms=nms,
        num_classes=len(class_names),
        in_channels=joined,
        feat_channels=joined,
        use_direction_classifier=True,
        assign_per_class=True,
        anchor_generator=dict(
            type="AlignedAnchor3DRangeGenerator",
            ranges=[[limits[0], limits[1], kind[3], limits[3], limits[4], kind[3]] for kind in kinds],
            sizes=[kind[:3] for kind in kinds],
            rotations=[0, 1.5707963267948966],
            reshape_out=False,
        ),
        diff_rad_by_sin=True,
        dir_offset=0.7853981633974483,
        dir_limit_offset=0,
        bbox_coder=dict(type="DeltaXYZWLHRBBoxCoder"),
        loss_cls=dict(type="mmdet.FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type="mmdet.SmoothL1Loss", beta=1.0 / 9.0, loss_weight=2.0),
        loss_dir=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=False, loss_weight=0.2),
    ),
    train_cfg=dict(
        assigner=[
            dict(
                type="Max3DIoUAssigner",
                iou_calculator=dict(type="mmdet3d.BboxOverlapsNearest3D"),
                pos_iou_thr=positive,
                neg_iou_thr=negative,
                min_pos_iou=negative,  # theirs; this project gives every object the anchors that overlap it most, however little
                ignore_iof_thr=-1,
            )
            for positive, negative in overlaps
        ],
        allowed_border=0,
        pos_weight=-1,
        debug=False,
    ),
    test_cfg=dict(nms_pre=nms["before"], max_num=nms["most"], score_thr=nms["score"]),
)

metainfo = dict(classes=class_names)
_points = dict(type="LoadPointsFromFile", coord_type="LIDAR", load_dim=4, use_dim=4)
train_pipeline = [
    _points,
    dict(type="LoadAnnotations3D", with_bbox_3d=True, with_label_3d=True),
    dict(type="RandomFlip3D", flip_ratio_bev_horizontal=0.5),
    dict(type="GlobalRotScaleTrans", rot_range=[-0.78539816, 0.78539816], scale_ratio_range=[0.95, 1.05]),
    dict(type="PointsRangeFilter", point_cloud_range=limits),
    dict(type="ObjectRangeFilter", point_cloud_range=limits),
    dict(type="PointShuffle"),
    dict(type="Pack3DDetInputs", keys=["points", "gt_labels_3d", "gt_bboxes_3d"]),
]
test_pipeline = [
    _points,
    dict(type="PointsRangeFilter", point_cloud_range=limits),
    dict(type="Pack3DDetInputs", keys=["points"]),
]
train_dataloader = dict(dataset=dict(dataset=dict(data_root=data_root, pipeline=train_pipeline, metainfo=metainfo)))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline, metainfo=metainfo))
val_evaluator = dict(_delete_=True, type="NCPKittiMetric", root=data_root + "training", classes=class_names)
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=80, val_interval=2)
