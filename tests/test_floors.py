"""One direction of imports: a part of the library imports only from lower floors (and from itself)."""

import ast
from collections.abc import Container
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import ncp

ROOT = Path(ncp.__file__).parent
FLOORS = {
    # metrics stands on the ground too: it needs arrays alone, and detection's networks and data use its boxes
    "spaces": 0, "metrics": 0, "benchmark": 1, "models": 1, "data": 1, "tasks": 2, "predictors": 2, "search": 3,
    "inference": 3, "openmmlab": 3, "latency": 2, "overrides": 2, "campaign": 4, "paper": 4, "explore": 4, "report": 5, "jobs": 6,
    "cli": 7,
}  # fmt: skip
ANYONE = (  # every floor may use them
    *(
        "card",
        "errors",
        "commandline",
        "configs",
        "delimited",
        "files",
        "matern",
        "numeric",
        "options",
        "process",
        "progress",
        "registry",
        "results",
        "runs",
        "scratch",
        "signals",
        "slopes",
        "tensorfile",
    ),
    "terminal",
)


def imports(path: Path) -> set[str]:
    """First names below ``ncp`` that a module imports, at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("ncp.")}
    return found


def test_no_part_reaches_up_or_sideways():
    seen, wrong = 0, []
    for path in sorted(ROOT.rglob("*.py")):
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if part == "__init__":
            assert not imports(path)
            continue
        allowed = set(ANYONE) if part in ANYONE else {*ANYONE, part, *(p for p in FLOORS if FLOORS[p] < FLOORS[part])}
        used = imports(path) & {*FLOORS, *ANYONE}
        seen += len(used)
        wrong += [f"{path.relative_to(ROOT)} imports ncp.{other}" for other in sorted(used - allowed)]
    assert not wrong
    assert seen > 50  # the test does see imports


def modules() -> dict[str, Path]:
    """Every module of the library by its full name."""
    names = {
        ".".join(p.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): p
        for p in ROOT.rglob("*.py")
    }
    return {name: path for name, path in names.items() if name != "ncp"}


def imported(path: Path, known: Container[str]) -> set[str]:
    """The ``known`` modules that a module imports, at the top or inside a function; what only a type checker sees is none."""
    found, waiting = set(), list(ast.parse(path.read_text()).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in inner if name in known} or {str(node.module)}
        waiting += ast.iter_child_nodes(node)
    return {name for name in found if name in known}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules each of which imports the next and the last the first; empty where there is no such circle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_circle():
    known = modules()
    graph = {name: imported(path, known) for name, path in known.items()}
    assert not circle(graph)
    assert sum(map(len, graph.values())) > 200  # the test does see imports


def test_a_circle_is_seen_also_inside_functions(tmp_path):
    (tmp_path / "a.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from b import z\n")
    (tmp_path / "b.py").write_text(
        "def f():\n    try:\n        from c import x\n    except ImportError:\n        pass\n"
    )
    (tmp_path / "c.py").write_text("import a, b\n")
    graph = {name: imported(tmp_path / f"{name}.py", {"a", "b", "c"}) for name in "abc"}
    assert graph == {"a": set(), "b": {"c"}, "c": {"a", "b"}}
    assert set(circle(graph)) == {"b", "c"}


def test_every_part_has_a_floor():
    parts = {p.name.removesuffix(".py") for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert parts - {"__init__", *ANYONE} <= set(FLOORS)


def test_a_module_that_reaches_up_is_seen(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("from ncp import search\ndef f():\n    import ncp.report.style\n    from ncp.tasks.base import x\n")
    assert imports(bad) == {"search", "report", "tasks"}


def test_no_module_uses_pyplot_or_relative_imports():
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} has a relative import"
                assert "pyplot" not in f"{node.module} {[a.name for a in node.names]}", path
            elif isinstance(node, ast.Import):
                assert not any("pyplot" in alias.name for alias in node.names), path
