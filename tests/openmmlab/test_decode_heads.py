"""mmsegmentation's decode heads in this project's own trainings."""

import re
from pathlib import Path

import pytest
import torch
from composed import SMALL_SEG, compose

from ncp.errors import UserError
from ncp.models.decode_heads import FOREIGN, build_with_head
from ncp.tasks import export
from ncp.tasks import run as tasks

NARROW = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"


# head of mmsegmentation -> what it must be told beside its channels
STANDING = {
    "ANNHead": {"project_channels": 8}, "APCHead": {}, "ASPPHead": {}, "DAHead": {"pam_channels": 8}, "DNLHead": {},
    "DepthwiseSeparableASPPHead": {"c1_channels": 8}, "DepthwiseSeparableFCNHead": {},
    "EMAHead": {"ema_channels": 16, "num_bases": 8, "num_stages": 2}, "EncHead": {"num_codes": 8}, "FCNHead": {}, "FPNHead": {},
    "GCHead": {}, "ISAHead": {"isa_channels": 16, "down_factor": [2, 2]}, "LightHamHead": {}, "NLHead": {}, "PSPHead": {},
    "SETRUPHead": {}, "SegformerHead": {}, "UPerHead": {},
}  # fmt: skip
WITH_OPERATORS = {"CCHead": {}, "PSAHead": {"mask_size": [4, 4]}}


def known_heads():
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead
    from mmseg.registry import MODELS

    return {k for k, kind in MODELS.module_dict.items() if isinstance(kind, type) and issubclass(kind, BaseDecodeHead)}


def test_every_head_of_mmsegmentation_has_a_place(mmseg):
    """Those that are tested here, those that need operators, and those that are refused with a reason."""
    assert known_heads() - set(STANDING) - set(WITH_OPERATORS) - set(FOREIGN) == set()
    page = (Path(__file__).resolve().parents[2] / "docs" / "elsewhere.md").read_text()
    assert all(f"`{name}`" in page for name in (*STANDING, *WITH_OPERATORS))


@pytest.mark.parametrize("name", STANDING)
def test_logits_of_every_class(mmseg, name):
    if name not in known_heads():
        pytest.skip(f"this mmsegmentation has no {name}")
    torch.manual_seed(0)
    net = build_with_head(NARROW, 5, 3, {"type": name, "channels": 16, **STANDING[name]})
    first = next(p for p in net.backbone.parameters())
    out = net.train()(torch.randn(2, 3, 64, 96))
    assert out.shape[:2] == (2, 5)
    out.square().mean().backward()
    last = list(net.head.net.parameters())[-1]
    assert first.grad is not None
    assert float(first.grad.abs().max()) > 0
    assert last.shape[0] >= 1


@pytest.mark.parametrize("name", WITH_OPERATORS)
def test_heads_that_need_operators(mmseg, name):
    """They train where these are compiled, or say what is needed: some of their operators are for NVIDIA GPUs alone."""
    told = None
    try:
        net = build_with_head(NARROW, 5, 3, {"type": name, "channels": 16, **WITH_OPERATORS[name]})
    except UserError as error:
        told = str(error)
    if told is None:
        assert net(torch.randn(2, 3, 64, 64)).shape[:2] == (2, 5)
    else:
        assert re.search("needs mmcv's operators, .*make openmmlab|operators are for mmsegmentation itself", told)
        assert "\n" not in told


def test_a_map_is_chosen(mmseg):
    net = build_with_head(NARROW, 5, 3, {"type": "FCNHead", "channels": 16, "in_index": 1}).eval()
    assert net(torch.randn(1, 3, 64, 64)).shape == (1, 5, 8, 8)
    assert net.head.net.in_channels == 16


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("UPerHead", "model.head is a head of mmsegmentation"),
        ({"type": "NoSuchHead"}, "mmsegmentation has no decode head 'NoSuchHead'; heads: "),
        ({"type": "os.system"}, "has no decode head 'os.system'"),
        ({"type": "OCRHead"}, "OCRHead does not stand alone"),
        ({"type": "ANNHead", "in_index": 3}, "model.head=ANNHead cannot be built: "),
        ({"type": "ISAHead"}, "missing 1 required positional argument: 'isa_channels'"),
        ({"type": "UPerHead", "num_classes": 3}, "model.head.num_classes is not given"),
        ({"type": "UPerHead", "norm_cfg": {"type": "os.system"}}, "model.head.norm_cfg is a number, a word or a list"),
        ({"type": "FCNHead", "in_index": 7}, "in_index are some of 0 to 3"),
    ],
)
def test_mistakes_are_one_line(mmseg, head, words):
    with pytest.raises(UserError, match=re.escape(words)) as error:
        build_with_head(NARROW, 5, 3, head)
    assert "\n" not in str(error.value)


def test_a_training_and_its_exports(mmseg, tmp_path):
    words = ("recipe.length=2", "recipe.eval_every=2", "model.head={type: UPerHead, channels: 16}")
    run = tasks.assemble(compose(*SMALL_SEG, *words), tmp_path)
    tasks.fit(run)
    found = export.from_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(found.net.eval()(x), run.task.network.eval()(x))
    path = export.write(found, "torchexport", tmp_path / "net", [64, 64])["torchexport"]
    wanted = found.net.eval()(x).detach()
    got = torch.export.load(path).module()(x)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
    (tmp_path / "e").mkdir()
    restored = tasks.restore(
        compose(f"ckpt_path={tmp_path / 'checkpoints' / 'last.ckpt'}", name="evaluate"), tmp_path / "e"
    )
    assert tasks.evaluate(restored)["mIoU"] == pytest.approx(run.task.latest["mIoU"])
