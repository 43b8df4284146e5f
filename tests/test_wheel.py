"""The wheel alone, in a clean environment outside of the clone: the commands, their configurations, the predictors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from release_format import write_release

import ncp as package

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).with_name("uv")  # `make setup` puts it there
# nothing of this process' environment that could show the clone to the installed package
HIDDEN = ("PYTHONPATH", "VIRTUAL_ENV", "NCP_OUTPUTS", "NCP_CONFIG", "NCP_DATA")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with two environments and nothing of the clone: the wheel with what it needs, and with what trains."""
    folder = tmp_path_factory.mktemp("wheel")
    call(folder, UV, "build", "--quiet", "--wheel", "--sdist", "--out-dir", folder / "dist", ROOT)
    write_release(folder / "release" / "data", ["seg"], n=12)
    [wheel] = (folder / "dist").glob("*.whl")
    for name, extra in (("light", ""), ("clean", "[train]")):
        call(folder, UV, "venv", "--quiet", "--python", sys.executable, folder / name)
        call(folder, UV, "pip", "install", "--quiet", "--python", folder / name / "bin" / "python", f"{wheel}{extra}")
    return folder


def call(folder, *words, code=0):
    environment = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    environment |= {"OMP_NUM_THREADS": "1", "NCP_CACHE": str(folder / "cache"), "COLUMNS": "160"}
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == code, done.stderr[-3000:]
    return done


def ncp(folder, *words, code=0):
    return call(folder, folder / "clean" / "bin" / "ncp", *words, code=code)


def light(folder, *words, code=0):
    return call(folder, folder / "light" / "bin" / "ncp", *words, code=code)


@pytest.mark.slow
def test_the_light_installation_is_small_and_searches_counts_asks_and_explores(place):
    [site] = (place / "light" / "lib").glob("python*/site-packages")
    assert not (site / "torch").exists()
    # bytecode counts too, whether the installer has compiled it or not
    call(place, place / "light" / "bin" / "python", "-m", "compileall", "-q", site)
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 200e6
    light(place, "search", "objectives=[cls,seg]", "hydra.run.dir=found")
    assert {"search.png", "result.json", "architecture.yaml", "trajectory.csv"} <= {
        p.name for p in (place / "found").iterdir()
    }
    light(place, "search", "objectives=[seg]", "strategy=paper", "budget.memory_mb=64", "hydra.run.dir=paper")
    said = light(place, "benchmark", "action=query", "architecture=found", "store=empty").stdout
    assert said.count("predicted") == 9
    tables = ("store=light-tables",)
    light(place, "benchmark", "action=import", "source=release/data", *tables)
    assert [path.name for path in (place / "light-tables").iterdir()] == ["seg.table.safetensors"]
    best = light(place, "benchmark", "action=best", "setting=seg", "k=1", "hydra.run.dir=best", *tables).stdout
    assert "The best 1 of seg by mIoU" in best
    [record] = json.loads((place / "best" / "result.json").read_text())["records"]
    text = record["architecture"]["text"]
    light(place, "benchmark", "action=query", f"architecture={text}", "hydra.run.dir=asked", *tables)
    records = json.loads((place / "asked" / "result.json").read_text())["records"]
    [asked] = [record for record in records if record["setting"] == "seg"]
    assert (asked["metrics"], asked["predicted"]) == (record["metrics"], False)
    light(place, "explore", "settings=[seg]", "out=light.html", "open=false")
    assert "// worker.js" in (place / "light.html").read_text()
    done = light(place, "front", "points=3", "starts=1", "iterations=5", "hydra.run.dir=front")
    assert "no picture was drawn: the package 'matplotlib' is not installed" in done.stderr
    assert (place / "front" / "front.csv").is_file()
    light(place, "search", "objectives=[seg]", "starts=2", "iterations=3", "lam=0.1,1", "-m", "hydra.sweep.dir=sweep")
    assert (place / "sweep" / "sweep.csv").is_file()
    program = (
        "from ncp import spaces; s = spaces.get('multires'); print(s.cost(s.encode([s.default()]).astype(int)).macs[0])"
    )
    assert call(place, place / "light" / "bin" / "python", "-c", program).stdout == "1969946624\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("train", "task=seg", "arch=narrow", "debug=tiny"), "train"),
        (("fit", "setting=seg", "source=nowhere"), "train"),
        (("export", "ckpt_path=nothing.ckpt"), "train"),
        (("benchmark", "action=import", "source=seg.parquet", "store=tables"), "tables"),
    ],
)
def test_the_light_installation_names_what_it_lacks(place, words, extra):
    light(place, words[0], "--help")
    (place / "seg.parquet").write_bytes(b"PAR1")
    error = light(place, *words, code=2).stderr
    assert error.count("\n") == 1
    assert f"pip install 'ncp-nas[{extra}]'" in error


@pytest.mark.slow
def test_nothing_comes_from_the_clone(place):
    said = call(
        place, place / "clean" / "bin" / "python", "-c", "import ncp.configs as c; print(c.__file__, c.shipped())"
    ).stdout
    assert str(ROOT) not in said
    assert said.split()[1].endswith("ncp/conf")


@pytest.mark.slow
def test_the_version_is_that_of_the_package(place):
    assert ncp(place, "--version").stdout == f"ncp {package.__version__}\n"
    names = sorted(path.name for path in (place / "dist").iterdir() if path.name.startswith("ncp"))
    assert names == [f"ncp_nas-{package.__version__}-py3-none-any.whl", f"ncp_nas-{package.__version__}.tar.gz"]


@pytest.mark.slow
def test_what_a_packages_page_would_show_is_right(place):
    pytest.importorskip("twine", reason="the extra docs brings twine")
    said = call(place, sys.executable, "-m", "twine", "check", "--strict", *(place / "dist").glob("ncp*")).stdout
    assert said.count("PASSED") == 2


@pytest.mark.slow
def test_help_lists_the_commands_and_their_keys(place):
    listing = ncp(place, "--help").stdout
    for name in ("search", "train", "evaluate", "predict", "export", "fit", "benchmark", "build", "loop", "report"):
        assert f"ncp {name} " in listing
    said = ncp(place, "train", "--help").stdout
    for part in (
        "Usage: ncp train",
        "ncp train task=seg arch=random",
        "setting=cls-10c",
        "recipe.optimizer.lr",
        "data.size",
    ):
        assert part in said
    assert "python -m src" not in said


@pytest.mark.slow
def test_a_mistake_is_one_line_and_exit_code_2(place):
    done = ncp(place, "serch", code=2)
    assert done.stderr == (
        "error: unknown command 'serch'; the commands are search, front, train, evaluate, predict, export, fit, benchmark, "
        "build, discover, loop, report, compare, paper, explore, data, latency, adopt\n"
    )
    assert ncp(place, "search", "objectives=[sex]", code=2).stderr.count("\n") == 1


@pytest.mark.slow
def test_a_search_and_a_training_of_what_it_found(place):
    said = ncp(place, "search", "objectives=[seg]", "budget.macs=5e8").stdout
    assert "ncp train" in said
    [found] = place.glob("outputs/search/*/*/architecture.yaml")
    ncp(place, "train", "task=seg", "debug=tiny", "arch=file", f"arch.path={found}", "callbacks.pictures=false")
    [checkpoint] = place.glob("outputs/train/*/*/checkpoints/last.ckpt")
    ncp(place, "export", f"ckpt_path={checkpoint}", "out=net.safetensors")
    assert (place / "net.safetensors").is_file()


@pytest.mark.slow
def test_the_explorer_finds_its_page(place):
    ncp(place, "explore", "settings=[det3d]", "out=page.html", "open=false")
    text = (place / "page.html").read_text()
    assert '"command":"ncp search"' in text
    assert "// worker.js" in text


@pytest.mark.slow
def test_tables_are_imported_and_read(place):
    ncp(place, "benchmark", "action=import", f"source={place / 'release' / 'data'}", "store=tables")
    said = ncp(place, "benchmark", "action=best", "setting=seg", "store=tables").stdout
    assert "The best 10 of seg by mIoU" in said


@pytest.mark.slow
def test_the_source_archive_builds_the_same_wheel(place):
    [archive] = (place / "dist").glob("*.tar.gz")
    call(place, UV, "build", "--quiet", "--wheel", "--out-dir", place / "again", archive)
    [first], [second] = (place / "dist").glob("*.whl"), (place / "again").glob("*.whl")
    import zipfile

    names = [sorted(zipfile.ZipFile(path).namelist()) for path in (first, second)]
    assert names[0] == names[1]
