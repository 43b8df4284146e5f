"""The examples of a page in Markdown, and its commands carried out one after the other, as a reader would."""

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from ncp import jobs

DOCS = Path(__file__).resolve().parents[1] / "docs"


def examples(page: Path) -> list[tuple[str, str]]:
    """Kind and text of each block of code, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """The lines of its shell blocks."""
    return [line for kind, text in examples(page) for line in text.splitlines() if kind == "bash" and line.strip()]


def carry_out(
    lines: Sequence[str], place: Path, shorter: Callable[[str, list[str]], list[str] | None]
) -> list[tuple[str, Path]]:
    """Run commands in this process, each in a folder of its own below ``place``.

    ``outputs/COMMAND/DATE/RUN`` in a line stands for the folder of the last run of that command. ``shorter`` gets a
    command's name and its words, and returns the words to run, or None to compose the command alone.
    """
    done: list[tuple[str, Path]] = []
    last: dict[str, Path] = {}
    for number, line in enumerate(lines):
        start, option, module, *words = shlex.split(line, comments=True)
        assert (start, option) == ("python", "-m"), line
        command = module.removeprefix("src.")
        for name, folder in last.items():
            words = [word.replace(f"outputs/{name}/DATE/RUN", str(folder)) for word in words]
        wanted = shorter(command, words)
        options = jobs.options(command, *(words if wanted is None else wanted))
        if wanted is None:
            continue
        assert not any("DATE/RUN" in word for word in words), line
        last[command] = place / "runs" / f"{number}-{command}"
        last[command].mkdir(parents=True)
        job = jobs.module(command)
        job.show(job.run(options, last[command]))
        done.append((command, last[command]))
    return done
