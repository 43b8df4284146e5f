"""The commands' names: one module, one configuration, one entry point each."""

from pathlib import Path

import pytest

from ncp import configs, jobs
from ncp.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", jobs.COMMANDS)
def test_each_has_its_module_its_file_and_its_three_lines(name):
    module = jobs.module(name)
    assert module is getattr(jobs, name)
    assert all(hasattr(module, part) for part in ("Options", "run", "show"))
    assert (configs.shipped() / f"{name}.yaml").is_file()
    assert f'cli.command("{name}")' in (ROOT / "src" / f"{name}.py").read_text()


def test_there_are_no_others():
    assert {path.stem for path in (ROOT / "src").glob("*.py")} == set(jobs.COMMANDS)
    with pytest.raises(UserError, match="unknown command 'trian'; the commands are search, front, train"):
        jobs.module("trian")
    with pytest.raises(AttributeError):
        _ = jobs.trian
