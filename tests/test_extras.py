"""Optional packages: an import without one names the extra that brings it, and the extras exist."""

import re
import tomllib
from pathlib import Path

from ncp.errors import UserError, missing_extra

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# package as it is imported -> as it is installed
DISTRIBUTIONS = {
    "mlflow": "mlflow-skinny",
    "mmengine": "onedl-mmengine",
    "mmseg": "onedl-mmsegmentation",
    "hydra_plugins": "hydra-submitit-launcher",
}


def test_the_error_says_what_to_install():
    error = missing_extra("mmseg", "mmseg")
    assert isinstance(error, UserError)
    assert "'mmseg'" in str(error)
    assert "pip install 'ncp-nas[mmseg]'" in str(error)
    assert "\n" not in str(error)


def test_every_extra_that_the_code_names_brings_the_package():
    found = []
    for path in (ROOT / "src").rglob("*.py"):
        found += re.findall(r"""missing_extra\(["'](\w+)["'], ["'](\w+)["']\)""", path.read_text())
    for package, extra in found:
        assert extra in EXTRAS, extra
        names = {re.split(r"[<>=!\[]", requirement)[0] for requirement in EXTRAS[extra]}
        assert DISTRIBUTIONS.get(package, package) in names, (package, extra)
    assert found


def test_openmmlab_is_pinned_to_what_was_seen_working_together():
    pins = dict(r.split("==") for r in EXTRAS["openmmlab"] if "==" in r)
    assert pins["mmcv"] < "2.2"
    assert {"mmengine", "mmcv", "mmsegmentation", "mmdet", "mmdet3d", "nuscenes-devkit"} <= set(pins)


def test_compromised_releases_of_lightning_are_excluded():
    (requirement,) = (r for r in PROJECT["dependencies"] if r.startswith("pytorch-lightning"))
    assert "!=2.6.2" in requirement
    assert "!=2.6.3" in requirement
