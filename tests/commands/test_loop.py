"""The whole loop, cut down: every step is a command, and what each leaves is what the next one reads."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ncp import benchmark
from ncp.spaces import cost
from ncp.spaces.multires import Architecture

ROOT = Path(__file__).resolve().parents[2]
# shorter still than debug=short, on one core: that the numbers are good is not what is tested here
SHORTER = ("count=20", "repeats=1", "steps={cls:4,seg:4}", "per_device=1")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("loop")
    line = [sys.executable, "-m", "src.loop", f"paths.outputs={outputs}", *SHORTER]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    answer = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800)
    assert answer.returncode == 0, answer.stderr[-2000:]
    [file] = outputs.glob("loop/*/*/result.json")
    return file.parent, json.loads(file.read_text()), answer.stdout


@pytest.mark.slow
def test_two_tasks_are_sampled_fitted_searched_trained_and_compared(done):
    folder, result, _ = done
    assert result["settings"] == ["cls-50-1000", "seg"]
    assert result["trainings"] == {"cls-50-1000": 20, "seg": 20}
    assert set(result["compared"]) == {"found", "default", "best sampled"}
    codes = {}
    for name in result["settings"]:
        table = benchmark.load(folder / f"sample-{name}" / f"{name}.parquet")
        codes[name] = table.codes.tolist()
        compared = benchmark.load(next(folder.glob(f"compare-{name}-*")) / f"{name}.parquet")
        for candidate in result["compared"].values():
            measured = compared.query(candidate["architecture"]).metrics[table.main]
            assert candidate["scores"][name]["all"] == [measured]
    assert codes["cls-50-1000"] == codes["seg"]  # the same architectures in both settings


@pytest.mark.slow
def test_all_candidates_are_within_the_cost_of_the_default(done):
    _, result, _ = done
    limit = result["compared"]["default"]["macs"]
    for candidate in result["compared"].values():
        exact = int(cost.count(Architecture.parse(candidate["architecture"]).code).macs)
        assert candidate["macs"] == exact <= limit
    assert max(Architecture.parse(result["compared"]["found"]["architecture"]).code) <= 32  # within the sample's bounds


@pytest.mark.slow
def test_it_ends_with_one_page_that_shows_each_step(done):
    folder, result, said = done
    page = (folder / "loop.md").read_text()
    assert (folder / "loop.png").stat().st_size > 20_000
    commands = re.findall(r"^python -m src\.(\w+) ", page, flags=re.MULTILINE)
    assert commands == ["build", "build", "fit", "fit", "search", "build", "build"]
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", page)
    assert len(pictures) == 4  # the comparison, two predictors, the search
    assert all((folder / picture).is_file() for picture in pictures)
    assert all(seconds > 0 for seconds in result["cpu_seconds"].values())
    for name, candidate in result["compared"].items():
        assert f"| {name} |" in page
        assert f"{candidate['scores']['seg']['mean']:.2f}" in page
    assert "loop.md" in said
