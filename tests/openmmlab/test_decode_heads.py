"""mmsegmentation's decode heads in this project's own trainings."""

import re

import pytest
import torch
from composed import SMALL_SEG, compose

from ncp.errors import UserError
from ncp.models.decode_heads import build_with_head
from ncp.tasks import export
from ncp.tasks import run as tasks

NARROW = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"


@pytest.mark.parametrize("name", ["UPerHead", "FPNHead", "SegformerHead", "FCNHead", "PSPHead", "ASPPHead", "GCHead"])
def test_logits_of_every_class(mmseg, name):
    torch.manual_seed(0)
    net = build_with_head(NARROW, 5, 3, {"type": name, "channels": 16})
    first = net.head.net.conv_seg if name != "FPNHead" else net.head.net.scale_heads[0][0].conv
    out = net.train()(torch.randn(2, 3, 64, 96))
    assert out.shape[:2] == (2, 5)
    out.sum().backward()
    assert first.weight.grad is not None


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
