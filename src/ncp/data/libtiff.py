"""The library that unpacks TIFFs for Pillow writes what it thinks of a damaged file to the terminal; here it is made to be still.

What is wrong is told by ``UserError``, with the file's name, which the library does not know.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def silence() -> None:
    """Take the library's own ways of telling away, for the whole process, where Pillow has loaded it as a file of its own."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text(errors="replace").splitlines() if maps.is_file() else []
    # address, permissions, offset, device, inode, and the path, which may hold blanks
    paths = {line.split(maxsplit=5)[5] for line in lines if "/libtiff" in line and len(line.split(maxsplit=5)) == 6}
    for path in paths:
        try:
            library = ctypes.CDLL(path)
            for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
                function = getattr(library, name)
                function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
                function(None)
        except (OSError, AttributeError):  # another library of such a name
            continue
