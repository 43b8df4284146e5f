"""Where the configurations lie: the shipped ``conf/`` (inside an installed wheel, or beside ``src/`` in a clone), and the user's
own folders, which may add options to every group and settings of their own (``--config-dir FOLDER``, or ``$NCP_CONFIG``).

Standard library alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from ncp.errors import UserError

VARIABLE = "NCP_CONFIG"


def shipped() -> Path:
    """The folder of the project's own configurations."""
    package = Path(__file__).resolve().parent
    inside, clone = package / "conf", package.parents[1] / "conf"
    return inside if (inside / "train.yaml").is_file() else clone


def own() -> tuple[Path, ...]:
    """The user's folders, the one that counts first in front: ``$NCP_CONFIG`` lists them as ``PATH`` lists its folders.

    Raises:
        UserError: where the variable names something else than folders.
    """
    out = []
    for given in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        folder = Path(given).expanduser()
        if not folder.is_dir():
            raise UserError(f"{VARIABLE} (--config-dir) must be a folder of configurations, given was '{given}'")
        out.append(folder.resolve())
    return tuple(out)


def use(folder: str | Path) -> None:
    """Make ``folder`` the user's own, for this process and those that it starts."""
    os.environ[VARIABLE] = str(Path(folder).expanduser().resolve())


def with_further(folder: Path) -> str:
    """The variable's value with one folder more, which counts before the user's."""
    return os.pathsep.join(dict.fromkeys(map(str, (folder.resolve(), *own()))))


def folders() -> tuple[Path, ...]:
    """All folders of configurations, the user's first."""
    return (*own(), shipped())


def option_file(group: str, option: str) -> Path | None:
    """The file of an option of a config group: the user's, else the project's; None where there is none."""
    found = (folder / group / f"{option}.yaml" for folder in folders())
    return next((path for path in found if path.is_file()), None)


def options_of(group: str) -> set[str]:
    """The options of a config group, shipped ones and the user's."""
    return {path.stem for folder in folders() for path in (folder / group).glob("*.yaml")}
