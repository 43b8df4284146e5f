"""Install mmcv 2.1.0 with its operators, compiled for the torch that is installed, into the environment that runs this file.

    python tools/build_mmcv.py

mmcv's setup asks for C++17, which torch has left with 2.14, and compiles 77 files that each read all of torch's headers: 18
minutes of a core. Here C++20 is asked for, and the files that do not get in each other's way become two, which takes three.
Where operators are there already, nothing is done.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "2.1.0"
SOURCES = Path("mmcv/ops/csrc/pytorch")
ALONE = {  # they define macros and functions of the same names
    "psamask.cpp",
    "bezier_align.cpp",
    "roi_align.cpp",
    "roi_align_rotated.cpp",
    "rotated_feature_align.cpp",
    "sparse_indice.cpp",
}


def join(folder: Path) -> None:
    """Put the files of a folder into one that includes them, but for those that must stay alone."""
    joined = []
    for path in sorted(folder.glob("*.cpp")):
        if folder.name != "cpu" or path.name not in ALONE:
            joined.append(path.rename(path.with_suffix(".inc")).name)
    (folder / "together.cpp").write_text("".join(f'#include "{name}"\n' for name in joined))


def compiled() -> bool:
    """Whether mmcv and its operators are there (importing it needs mmengine, which comes later)."""
    importlib.invalidate_caches()
    found = importlib.util.find_spec("mmcv")
    return found is not None and any(Path(found.submodule_search_locations[0]).glob("_ext.*"))


def main() -> None:
    """Download, change, compile, install."""
    if compiled():
        print("mmcv has its operators already")
        return
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    env = {**os.environ, "MMCV_WITH_OPS": "1", "CFLAGS": "-O2 -g0 -w", "MAX_JOBS": os.environ.get("MAX_JOBS", "2")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = ["--no-binary", "mmcv", "--no-build-isolation", "--no-deps", f"mmcv=={VERSION}"]
        subprocess.run([*pip, "download", "--quiet", "--dest", name, *source], env=env, check=True)
        (archive,) = folder.glob("mmcv-*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        (root,) = (path for path in folder.iterdir() if path.is_dir())
        setup = root / "setup.py"
        setup.write_text(re.sub(r"-std=c\+\+1[47]", "-std=c++20", setup.read_text()))
        join(root / SOURCES)
        join(root / SOURCES / "cpu")
        print("compiling mmcv's operators, 3 minutes of a core and 3 GB of memory a job ...", flush=True)
        install = [*pip, "install", "--quiet", "--no-build-isolation", "--no-deps", str(root)]
        subprocess.run(install, env=env, check=True)
    if not compiled():
        sys.exit("mmcv was installed without its operators; what its setup printed says why")


if __name__ == "__main__":
    main()
