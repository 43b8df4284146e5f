"""The joined map, against torch's own functions with the same weights."""

import pytest
import torch
from torch.nn import functional as F


def test_maps_are_joined_at_the_finest_ones_size():
    pytest.importorskip("mmengine", reason="needs mmengine: pip install 'ncp-nas[mmseg]'")
    from mmengine.registry import MODELS

    from ncp.openmmlab import NCPJoin

    join = MODELS.build({"type": "NCPJoin", "in_channels": [4, 8, 16], "out_channels": 5}).eval()
    assert isinstance(join, NCPJoin)
    maps = [torch.randn(2, c, *size) for c, size in ((4, (12, 10)), (8, (6, 5)), (16, (3, 3)))]
    (found,) = join(maps)
    assert found.shape == (2, 5, 12, 10)
    weights = {value.ndim: value for name, value in join.state_dict().items() if name.endswith("weight")}
    every = torch.cat([F.interpolate(m, size=(12, 10), mode="bilinear", align_corners=False) for m in maps], 1)
    wanted = F.relu(
        F.conv2d(every, weights[4]) * weights[1][:, None, None] / (1 + 1e-5) ** 0.5
    )  # a fresh norm: mean 0, 1
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
