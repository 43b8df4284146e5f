"""What stands around the code: the version, the workflows, issue forms, and the pages that every project has."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import ncp

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def read(path: Path) -> dict:
    """A workflow as GitHub reads it: YAML 1.1 takes its key ``on`` for true."""
    content = yaml.safe_load(path.read_text())
    return {"on" if key is True else key: value for key, value in content.items()}


def scripts(workflow: dict) -> list[str]:
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


def test_the_version_is_written_once():
    assert "version" not in PROJECT["project"]
    assert PROJECT["project"]["dynamic"] == ["version"]
    path = ROOT / PROJECT["tool"]["hatch"]["version"]["path"]
    assert re.findall(r'^__version__ = "(.*)"$', path.read_text(), flags=re.MULTILINE) == [ncp.__version__]
    assert re.fullmatch(r"\d+\.\d+\.\d+", ncp.__version__)


def test_the_changelog_says_what_this_version_holds():
    text = (ROOT / "CHANGELOG.md").read_text()
    sections = re.findall(r"^## \[([^]]+)\](?: - (\d{4}-\d\d-\d\d))?$", text, flags=re.MULTILINE)
    assert sections[0] == ("Unreleased", "")
    released = [name for name, _ in sections[1:]]
    assert all(date for _, date in sections[1:])
    assert released == sorted(released, key=lambda name: [int(part) for part in name.split(".")], reverse=True)
    to_come = text.split("## [")[1]
    assert ncp.__version__ in released or f"What {ncp.__version__} will hold" in to_come
    kinds = set(re.findall(r"^### (.*)$", text, flags=re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_whole(path):
    workflow = read(path)
    assert set(workflow) <= {"name", "on", "permissions", "concurrency", "jobs", "env"}
    assert workflow["permissions"]["contents"] in ("read", "write")
    for job in workflow["jobs"].values():
        assert {"runs-on", "timeout-minutes", "steps"} <= set(job)
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/checkout@v1"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_workflow_calls_is_there(path):
    for script in scripts(read(path)):
        assert set(re.findall(r"\bmake ([a-z]+)", script)) <= TARGETS
        for module in re.findall(r"python -m (tools[\w.]+)", script):
            assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


def test_the_tests_run_on_the_oldest_and_a_newer_python_and_on_macos():
    workflow = read(ROOT / ".github" / "workflows" / "tests.yml")
    linux, macos = workflow["jobs"]["linux"], workflow["jobs"]["macos"]
    assert linux["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert linux["env"]["PYTHON"] == "python${{ matrix.python }}"
    assert "bash .ci/run" in [step.get("run") for step in linux["steps"]]
    assert macos["runs-on"].startswith("macos")
    assert "make lint" in [step.get("run") for step in macos["steps"]]
    assert {"push", "pull_request"} <= set(workflow["on"])


def test_a_tag_makes_a_release():
    workflow = read(ROOT / ".github" / "workflows" / "release.yml")
    assert workflow["on"] == {"push": {"tags": ["v*"]}}
    (job,) = workflow["jobs"].values()
    for extra in job["env"]["EXTRAS"].split(","):
        assert extra in PROJECT["project"]["optional-dependencies"]
    told = "\n".join(scripts(workflow))
    assert "make dist" in told
    assert "clean/bin/ncp search" in told


def test_ci_builds_the_site_with_what_setup_installs():
    assert re.search(r"^make .*\bdocs$", (ROOT / ".ci" / "run").read_text(), flags=re.MULTILINE)
    extras = re.search(r"^EXTRAS \?= (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert "docs" in extras[1].split(",")


@pytest.mark.parametrize("place", [".venv", "/elsewhere/environment"])
def test_setup_installs_into_the_environment_that_is_named(place):
    said = subprocess.run(
        ["make", "-n", "-B", "setup", f"VENV={place}"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    (target,) = re.findall(r"VIRTUAL_ENV=(\S+)", said)
    assert target == str(ROOT / place)  # an absolute path stands as it is


@pytest.mark.parametrize("path", [path for path in FORMS if path.name != "config.yml"], ids=lambda path: path.name)
def test_an_issue_form_asks_something(path):
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= set(form)
    kinds = {"textarea", "input", "checkboxes", "dropdown", "markdown"}
    assert all(field["type"] in kinds and field["attributes"]["label"] for field in form["body"])
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids))
    assert any(field["validations"]["required"] for field in form["body"] if "validations" in field)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_of_a_page_at_the_top_are_here(name):
    text = (ROOT / name).read_text()
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if "://" not in link:
            assert (ROOT / link.split("#")[0]).exists(), link
    for target in re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", text, flags=re.MULTILINE):
        assert target[0] in TARGETS or target[1] in TARGETS, target


def test_no_host_of_a_package_registry_is_named():
    for path in [*WORKFLOWS, ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / ".ci" / "run"]:
        assert "pypi" not in path.read_text().lower(), path
