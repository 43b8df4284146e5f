"""The named architectures cost what the paper's Table 3 prints for them (Seg, Video, 3dDet)."""

import math

import pytest

from ncp.errors import UserError
from ncp.spaces import cost, found


@pytest.mark.parametrize(
    ("name", "flops_g", "params_m"), [("ncp_seg", 0.90, 7.91), ("ncp_video", 0.74, 2.56), ("ncp_det3d", 1.21, 2.89)]
)
def test_costs_are_the_printed_ones(name, flops_g, params_m):
    """The paper cuts its figures after two decimals."""
    ours = [math.floor(100 * float(value)) / 100 for value in cost.paper_units(found.get(name))]
    assert ours == [flops_g, params_m]


def test_names_belong_to_one_space():
    assert found.named("multires", "default") == found.get("default")
    assert found.named("nasbench201", "default") == "default"
    assert found.named("multires", [1]) == [1]
    with pytest.raises(UserError, match="unknown architecture 'ncp'; the named ones are default, ncp_cls"):
        found.get("ncp")
