"""A cheap proxy's results, of which a build in rounds may know: the table of the setting that its own setting names as proxy.

Shape suffixes: N rows, D dimensions of the code.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp.benchmark import settings
from ncp.benchmark.settings import Setting
from ncp.benchmark.table import Table
from ncp.campaign import analysis
from ncp.campaign.growth import LEAST, Growth, digest
from ncp.errors import UserError
from ncp.numeric import several

if TYPE_CHECKING:
    from ncp.predictors.answers import AnyPredictor


def table(where: str | Path, setting: Setting) -> Table:
    """The table of the setting's proxy: a file, or the merged one in the folder of the proxy's build.

    Raises:
        UserError: where the setting names no proxy, or the table is not of it or has too few rows.
    """
    if not setting.proxy:
        raise UserError(
            f"setting={setting.name} names no proxy; its file may: proxy: <a cheaper setting of the same task>"
        )
    name = settings.full_name(setting.proxy)
    found = analysis.load(where, name if Path(where).expanduser().is_dir() else None)
    if found.name != name:
        raise UserError(f"proxy={where} is a table of {found.name}; the proxy of setting={setting.name} is {name}")
    if (rows := int(found.rows("clean").sum())) < LEAST:
        raise UserError(f"proxy={where} has {several(rows, 'row')} to learn from, and a predictor needs {LEAST}")
    return found


def described(found: Table) -> dict[str, str | int]:
    """What the plan says of it: its setting, and by what its rows are known again."""
    values_N = np.asarray(found.column(found.main), dtype="<f8")
    content = np.asarray(found.codes, dtype="<i8").tobytes() + values_N.tobytes()
    return {"setting": found.name, "rows": len(found), "sha256": digest(content)}


def known(where: str | None, setting: Setting, growth: Growth) -> list[AnyPredictor]:
    """A predictor of the proxy's rows, none where the build has no proxy.

    Raises:
        UserError: where the table is not the one with which the build was begun.
    """
    if not growth.proxy:
        return []
    found = table(str(where), setting)
    if described(found) != growth.proxy:
        raise UserError(f"proxy={where} holds other rows than the build was begun with; give another build.dir")
    rows = found.rows("clean")
    return [predictor(found.codes[rows], found.column(found.main)[rows], setting.space, found.name, found.main)]


def predictor(codes: np.ndarray, values: np.ndarray, space: str, name: str, metric: str) -> Any:
    """Of the proxy's rows alone: bundled predictors are known beside it."""
    from ncp import predictors

    return predictors.fit(codes, {metric: values}, "none", 0, space, name)
