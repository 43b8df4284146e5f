"""Run the notebooks of the site and keep their small outputs: ``python -m tools.site.notebooks [NAME ...]``.

A notebook is kept with what it printed and drew, so that it can be read anywhere without being run. A test runs each anew and
compares the texts. What changes from run to run (times, identifiers of cells' runs) is not kept.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
SECONDS = 120  # a cell may take


def run(path: Path) -> Any:
    """The notebook with fresh outputs, in a folder of its own, so that it leaves nothing behind."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as place:
        NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": place}}).execute()
    return tidy(notebook)


def tidy(notebook: Any) -> Any:
    """Only what a reader sees: no times, no versions, no warnings of other libraries on stderr."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for number, cell in enumerate(notebook.cells):
        cell.metadata, cell.id = {}, f"cell-{number}"
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                output.get("metadata", {}).clear()
                if "image/png" in output.get("data", {}):
                    output.data.pop("text/plain", None)  # holds the picture's size in this version's words
    return notebook


def texts(notebook: Any) -> list[str]:
    """What each cell of code printed."""
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return ["".join(_text(output) for output in cell.outputs) for cell in codes]


def _text(output: Any) -> str:
    return str(output.get("text", "") or output.get("data", {}).get("text/plain", ""))


def main() -> None:
    """Run those that are named, or all, and write them back."""
    import nbformat

    for path in sorted(FOLDER.glob("*.ipynb")):
        if not sys.argv[1:] or path.stem in sys.argv[1:]:
            nbformat.write(run(path), path)
            print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
