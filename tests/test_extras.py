"""Optional packages: an import without one names the extra that brings it, the extras exist, and nothing else is imported."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from ncp import errors
from ncp.errors import UserError, missing_extra, missing_module, needed

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# package as it is imported -> as it is installed
DISTRIBUTIONS = {
    "mlflow": "mlflow-skinny",
    "mmengine": "onedl-mmengine",
    "mmseg": "onedl-mmsegmentation",
    "hydra_plugins": "hydra-submitit-launcher",
    "hydra": "hydra-core",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "pytorch_lightning": "pytorch-lightning",
    "sklearn": "scikit-learn",
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
    (requirement,) = (r for r in EXTRAS["train"] if r.startswith("pytorch-lightning"))
    assert "!=2.6.2" in requirement
    assert "!=2.6.3" in requirement


def installed_names(requirements):
    return {re.split(r"[<>=!\[]", requirement)[0] for requirement in requirements}


def test_what_is_imported_comes_with_the_package_or_with_an_extra_that_errors_name():
    base, optional = installed_names(PROJECT["dependencies"]), set()
    for package, extra in errors.EXTRAS.items():
        assert DISTRIBUTIONS.get(package, package) in installed_names(EXTRAS[extra]), package
        optional.add(package)
    each_says_so_where_it_is_used = (
        "mmengine mmseg mmdet mmdet3d mmcv wandb mlflow tensorboard av onnx onnxruntime onnxscript optuna cmaes botorch gpytorch"
        " openvino submitit hydra_plugins"
    )
    come_with_others = {"markdown_it": "rich", "google": "onnx", "triton": "torch"}
    optional |= {*each_says_so_where_it_is_used.split(), *come_with_others}
    unknown = set()
    for path in (ROOT / "src" / "ncp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found += [str(node.module)] if isinstance(node, ast.ImportFrom) and not node.level else []
            for package in {name.partition(".")[0] for name in found} - {*sys.stdlib_module_names, "ncp", "__future__"}:
                if DISTRIBUTIONS.get(package, package) not in base and package not in optional:
                    unknown.add(f"{path.name}: {package}")
    assert not unknown


def test_a_module_that_is_not_there_names_its_extra(monkeypatch):
    for package in ("timm", "pyarrow"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(UserError, match=r"'timm' is not installed; install it with: pip install 'ncp-nas\[train\]'"):
        needed("timm")
    assert "ncp-nas[tables]" in str(missing_module(ModuleNotFoundError(name="pyarrow.parquet")))
    assert missing_module(ModuleNotFoundError(name="ncp.nothing")) is None
    assert missing_module(ModuleNotFoundError(name="torch.nothing")) is None  # it is installed
