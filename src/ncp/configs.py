"""Where the configurations lie: the shipped ``conf/`` (inside an installed wheel, or beside ``src/`` in a clone), and the user's
own folder, which may add options to every group and settings of its own (``--config-dir FOLDER``, or ``$NCP_CONFIG``).

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


def own() -> Path | None:
    """The user's folder, where there is one.

    Raises:
        UserError: where the variable names something else than a folder.
    """
    given = os.environ.get(VARIABLE)
    if not given:
        return None
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise UserError(f"{VARIABLE} (--config-dir) must be a folder of configurations, given was '{given}'")
    return folder.resolve()


def use(folder: str | Path) -> None:
    """Make ``folder`` the user's own, for this process and those that it starts."""
    os.environ[VARIABLE] = str(Path(folder).expanduser().resolve())


def folders() -> tuple[Path, ...]:
    """All folders of configurations, the user's first."""
    mine = own()
    return (shipped(),) if mine is None else (mine, shipped())
