"""One direction of imports: a part of the library imports only from lower floors (and from itself)."""

import ast
from pathlib import Path

import ncp

ROOT = Path(ncp.__file__).parent
FLOORS = {
    # metrics stands on the ground too: it needs arrays alone, and detection's networks and data use its boxes
    "spaces": 0, "metrics": 0, "benchmark": 1, "models": 1, "data": 1, "tasks": 2, "predictors": 2, "search": 3, "campaign": 3,
    "overrides": 2, "report": 4, "jobs": 5, "cli": 6,
}  # fmt: skip
ANYONE = (
    "errors",
    "commandline",
    "configs",
    "files",
    "options",
    "registry",
    "progress",
    "runs",
    "terminal",
)  # every floor may use them


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
