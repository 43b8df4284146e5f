"""The one function, with the predictors that ship in the package."""

import subprocess
import sys

import numpy as np
import pytest

import ncp.predictors
from ncp import spaces
from ncp.errors import UserError
from ncp.search import search

SPACE = spaces.get("multires")
PAPER_SEG = "40_40_1_4_8_1_1_2_104_56_1_3_1_1_56_32_88_3_1_1_3_3_8_64_128_128_16"


def test_two_objectives_from_a_fresh_clone():
    found = search(["cls", "seg"])
    assert found.start == found.default.architecture == SPACE.default()  # not the random start that won
    for setting, metric in (("cls-50-1000", "top1"), ("seg", "mIoU")):
        predictor = ncp.predictors.load(setting)
        assert found.predicted[setting][metric] == pytest.approx(
            predictor.predict(found.architecture)[metric][0], rel=1e-5
        )
        assert found.std[setting][metric] == pytest.approx(
            predictor.predict_std(found.architecture)[metric][0], rel=1e-3
        )
        assert found.predicted[setting][metric] > found.before.predicted.value[setting][metric] + 1
    cost = SPACE.cost(np.array([found.architecture.code]))
    assert (found.macs, found.params) == (cost.macs[0], cost.params[0])


def test_better_than_the_papers_network_at_its_cost():
    paper = SPACE.parse(PAPER_SEG)
    macs = int(SPACE.cost(np.array([paper.code])).macs[0])
    found = search(["seg"], budget={"macs": macs})
    predictor = ncp.predictors.load("seg")
    assert found.macs <= macs
    assert found.predicted["seg"]["mIoU"] > predictor.predict(paper)["mIoU"][0] + 1
    floor = search(["seg"], floor={"seg.mIoU": float(predictor.predict(paper)["mIoU"][0])})
    assert floor.macs < 0.8 * macs


def test_only_what_a_search_needs_is_imported():
    code = (
        "import sys, ncp.search.run; heavy = {'pytorch_lightning', 'lightning', 'hydra', 'matplotlib', 'pandas', 'pyarrow',"
        " 'sklearn', 'timm', 'torchvision', 'torch', 'scipy'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_predictors_may_be_files_under_short_names(tmp_path):
    path = tmp_path / "mine.safetensors"
    ncp.predictors.load("seg").save(path)
    bundled = search(["seg"], starts=2, iterations=5)
    for given in (path, str(path)):
        found = search(["seg.mIoU"], starts=2, iterations=5, predictor={"seg": given})
        assert found.architecture == bundled.architecture
    with pytest.raises(UserError, match="no predictor given for 'video'; given were seg"):
        search(["seg", "video"], predictor={"seg": path})
