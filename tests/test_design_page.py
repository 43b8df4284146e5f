"""docs/design.md is true: its floors are those that are held, its rooms and files exist, and none is left out."""

import re
from pathlib import Path

import pytest
from test_floors import ANYONE, FLOORS

from ncp import jobs
from ncp.predictors import card
from ncp.search import strategies
from ncp.search.baselines import BASELINES
from ncp.search.querying import strategies as querying

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "design.md").read_text()


def rows(heading):
    """The cells of the table below a heading."""
    lines = PAGE[PAGE.index(heading) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    end = next(i for i, line in enumerate(lines[start:], start) if not line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[start + 2 : end]]


def test_the_floors_are_those_that_are_held():
    told, ground = {}, set()
    for floor, parts, _ in rows("## Floors"):
        names = re.findall(r"`(\w+)`", parts)
        if floor == "-":
            ground.update(names)
        else:
            told |= dict.fromkeys(names, int(floor))
    assert told == FLOORS
    assert ground == set(ANYONE)


def test_every_room_of_the_library_is_on_a_floor():
    there = {
        path.stem
        for path in (ROOT / "src" / "ncp").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert there - {"__init__", "__main__"} == {*FLOORS, *ANYONE}


def test_every_file_that_it_names_is_there():
    named = {name for name in re.findall(r"`([\w./]+/[\w.]*)`", PAGE) if not re.search(r"[A-Z]{4}|\.\.\.", name)}
    missing = []
    for name in named:
        places = [
            ROOT / name,
            ROOT / "src" / name,
            ROOT / "src" / "ncp" / name,
            ROOT / "docs" / name,
            ROOT / "conf" / name,
        ]
        if not any(place.exists() for place in places):
            missing.append(name)
    assert missing == ["ncp/conf"]  # of a wheel
    assert len(named) > 20


def names():
    """What a reader would add another of -> the file in which it is named, those that are there, and their other files."""
    searching = [name for name in strategies.names() if name not in {each[0] for each in BASELINES}]
    return {
        "a search space": ("spaces/base.py", ("multires", "nasbench201", "transnas-micro", "transnas-macro"), ()),
        "a strategy": ("search/strategies.py", searching, ("conf/strategy/NAME.yaml",)),
        "one that pays for every evaluation": ("search/querying/strategies.py", querying.STRATEGIES, ()),
        "a predictor family": ("predictors/card.py", card.KINDS, ()),
        "a command": ("jobs/commands.py", jobs.COMMANDS, ("conf/NAME.yaml", "src/NAME.py", "src/ncp/jobs/NAME.py")),
    }


@pytest.mark.parametrize("what", names())
def test_what_is_there_stands_where_a_further_one_would(what):
    file, there, others = names()[what]
    (row,) = (row for row in rows("## Where to add things") if row[0] == what)
    said = " ".join(row)
    assert f"`{file}`" in said
    assert all(f"`{other}`" in said for other in others)
    text = (ROOT / "src" / "ncp" / file).read_text()
    for name in there:
        assert f'"{name}"' in text
        assert all((ROOT / other.replace("NAME", name)).is_file() for other in others)
