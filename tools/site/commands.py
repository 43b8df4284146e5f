"""The page of all commands: what ``python -m src.NAME --help`` says, each with its examples and every option."""

from __future__ import annotations

from pathlib import Path

from ncp import configs, jobs, runs
from ncp.cli import text


def page() -> str:
    """As Markdown, in the order in which ``ncp --help`` lists them."""
    runs.invoked_as("python -m src.")
    lines = [
        "# Commands and options\n",
        "What `python -m src.NAME --help` says, for every command. `ncp NAME --help` of an installed package says the same.\n",
    ]
    for name in jobs.COMMANDS:
        module = jobs.module(name)
        said = text.command_help(configs.shipped(), name, module)
        first, rest = said.split("\n\n", 1)
        lines += [f"## {name}\n", f"{first}\n", f"```text\n{rest}\n```\n"]
    return "\n".join(lines)


def write(folder: Path) -> None:
    """Into ``folder``; left alone where it is as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    file, said = folder / "commands.md", page()
    if not file.is_file() or file.read_text() != said:
        file.write_text(said)
