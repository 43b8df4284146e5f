"""Import every module of the library: ``python -m tools.imports``.

What needs a package of somebody else that is not installed is told, and left out.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import ncp
from ncp.errors import UserError


def names() -> list[str]:
    """Every module of the library."""
    root = Path(ncp.__file__).parent
    paths = [path.relative_to(root.parent).with_suffix("").parts for path in root.rglob("*.py")]
    return sorted(".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in paths)


def missing(error: BaseException | None) -> str | None:
    """The package of somebody else whose absence lies behind ``error``."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name and error.name.split(".")[0] != "ncp":
            return error.name
        error = error.__cause__ or error.__context__
    return None


def main() -> int:
    """1 where a module cannot be imported for another reason than an optional package."""
    failed, left_out = [], []
    for name in names():
        try:
            importlib.import_module(name)
        except (ImportError, UserError) as error:
            if package := missing(error):
                left_out.append(f"{name}: left out, '{package}' is not installed")
            else:
                failed.append(f"{name}: {error}")
    print(*left_out, *failed, sep="\n")
    print(f"{len(names()) - len(failed) - len(left_out)} of {len(names())} modules imported")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
