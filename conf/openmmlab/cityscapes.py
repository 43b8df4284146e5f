# Cityscapes in mmsegmentation with a searched backbone and this project's own head (crops of 512 x 1024, 2,975 images):
#   python -m mim train mmsegmentation "$(python -c 'import ncp.configs; print(ncp.configs.shipped())')/openmmlab/cityscapes.py"
# Cost: 28.8 G multiply-adds a crop; about half a day on four A100s. For another architecture change
# the three lines below, or let `python -m src.export task=seg arch=NAME format=mmseg` write all of it.
_base_ = [
    "mmseg::_base_/datasets/cityscapes_1024x1024.py",
    "mmseg::_base_/default_runtime.py",
    "mmseg::_base_/schedules/schedule_160k.py",
]
custom_imports = dict(imports=["ncp.openmmlab"], allow_failed_imports=False)
architecture = "ncp_seg"
channels = [8, 64, 128, 128]  # of its four maps
joined = 16  # and of their join
checkpoint = None  # a classifier's last.ckpt or safetensors file to start from

crop = (512, 1024)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=crop,
    ),
    backbone=dict(
        type="NCPBackbone",
        architecture=architecture,
        norm_cfg=dict(type="SyncBN", requires_grad=True),
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint) if checkpoint else None,
    ),
    decode_head=dict(
        type="FCNHead",
        in_channels=channels,
        in_index=[0, 1, 2, 3],
        input_transform="resize_concat",
        channels=joined,
        num_convs=1,
        kernel_size=1,
        concat_input=False,
        dropout_ratio=0,
        num_classes=19,
        norm_cfg=dict(type="SyncBN", requires_grad=True),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
