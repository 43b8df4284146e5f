"""The figures of docs/results.md are those of the pages that it names, and the commands beside them are right."""

import re
import shlex

import pytest
from pages import DOCS

from ncp import jobs

ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in (DOCS / "results.md").read_text().splitlines()
    if line.startswith("| ") and "`python" in line
]
COMMANDS = [row[2].strip("`") for row in ROWS]


def test_every_row_has_a_command_and_a_page():
    assert len(ROWS) >= 10
    assert all(len(row) == 4 for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_its_figures_stand_on_the_page_that_it_names(row):
    pages = re.findall(r"\]\(([^)#]+)", row[3])
    assert pages
    text = " ".join((DOCS / page).read_text() for page in pages)
    figures = re.findall(r"\d+\.\d+(?: ± \d+\.\d+)?|\.\d+", row[1])
    figures += re.findall(r"\d+ claims: .*", row[1])  # with how many there are of each verdict
    missing = [figure for figure in figures if figure not in text]
    assert not missing, f"{missing} are not on {pages}"
    assert len(re.findall(r"\d", row[1])) > 0 or "ten and a hundred times" in row[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_its_command_is_right(command):
    _, _, module, *words = shlex.split(command)
    if module.startswith("src."):
        assert jobs.options(module.removeprefix("src."), *words)
        return
    source = (DOCS.parent / f"{module.replace('.', '/')}.py").read_text()
    assert all(f'"{word}"' in source for word in words if word.startswith("--"))
