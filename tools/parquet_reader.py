"""Make ``src/ncp/explore/page/hyparquet.js`` anew: python -m tools.parquet_reader

The page reads Parquet with hyparquet and unpacks zstd with fzstd. Both are small packages of plain JavaScript; esbuild packs what
the page needs of them into one module, in the form that ``ncp.explore.bundle`` joins. Needs npm and the network; what it makes is
kept in the repository.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

VERSIONS = {"hyparquet": "1.33.0", "fzstd": "0.1.1", "esbuild": "0.28.2"}
TARGET = Path(__file__).resolve().parents[1] / "src" / "ncp" / "explore" / "page" / "hyparquet.js"
ENTRY = """
export { parquetMetadata, parquetReadObjects, parquetSchema, snappyUncompress } from "hyparquet";
export { decompress } from "fzstd";
"""
NAME = "made"


def main() -> int:
    """Fetch, pack, write."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "package.json").write_text('{"private": true}')
        (folder / "entry.js").write_text(ENTRY)
        wanted = [f"{name}@{version}" for name, version in VERSIONS.items()]
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", *wanted], cwd=folder, check=True)
        options = [
            "--bundle",
            "--minify",
            "--format=iife",
            f"--global-name={NAME}",
            "--target=es2022",
            "--legal-comments=none",
        ]
        done = subprocess.run(
            ["node_modules/.bin/esbuild", "entry.js", *options], cwd=folder, check=True, capture_output=True, text=True
        )
        licences = "\n".join(
            f"{name} {VERSIONS[name]}\n\n{(folder / 'node_modules' / name / 'LICENSE').read_text().strip()}\n"
            for name in ("hyparquet", "fzstd")
        )
    head, _, body = done.stdout.strip().partition("=")
    assert head in (f"var {NAME}", f'"use strict";var {NAME}'), head
    TARGET.write_text(
        "// Parquet and zstd in the page: packages of others, packed by tools/parquet_reader.py; do not change it by hand.\n"
        f"/*\n{licences}*/\nexport const reader = {body}\n",
        encoding="utf-8",
    )
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
