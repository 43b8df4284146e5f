"""Run the benchmarks: python -m bench [NAME [OPTION ...]]

Without a name every module of this folder runs, each in a process of its own, so that none warms or crowds another. A
module's ``main`` prints one table and returns, or exits with, 1 where a bar is missed; so does this command.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rich.console import Console

HERE = Path(__file__).parent


def names() -> list[str]:
    """The benchmarks of this folder."""
    return sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def main(arguments: list[str]) -> int:
    """Run the named benchmark with its options, or all of them; the worst exit code."""
    console = Console()
    if arguments and arguments[0] not in names():
        console.print(
            f"unknown benchmark '{arguments[0]}'; there are {', '.join(names())}", style="red", highlight=False
        )
        return 2
    codes = {}
    for name in arguments[:1] or names():
        console.rule(name)
        command = [sys.executable, "-m", f"bench.{name}", *arguments[1:]]
        codes[name] = subprocess.run(command, cwd=HERE.parent, check=False).returncode
    bad = [name for name, code in codes.items() if code]
    if bad and len(codes) > 1:
        console.print(f"bars missed, or failed: {', '.join(bad)}", style="red", highlight=False)
    return max(codes.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
