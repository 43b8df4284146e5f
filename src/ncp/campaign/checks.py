"""Is a part of a build off as one? Results are compared by who made them, when and with what.

The public 3ddet table carries 222 rows of a wrong run that nobody could tell from the others, since a row did not say where
it came from. A record does: rows of one machine, device, software or day whose metric lies beside what all other rows predict
are flagged ``suspect``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncp.benchmark import checks
from ncp.spaces import Space

MIN_ROWS = 40  # fewer cannot tell an architecture's part from a batch's
MIN_GROUP = 6
MIN_Z = 5.0  # distance of a group's median in its standard errors
MIN_SDS = 1.0  # and in standard deviations of a row's residual


@dataclass(frozen=True)
class Anomaly:
    """A group of rows that is off.

    Attributes:
        what: by which property the group was made, ``value`` its value.
        rows: ``(N,)`` bool.
        shift: of its median residual from the others', in points.
        z: the same in standard errors.
    """

    what: str
    value: str
    rows: np.ndarray
    shift: float
    z: float

    @property
    def rule(self) -> str:
        """In words."""
        return f"{self.what} {self.value}: {self.shift:+.1f} points from what the other rows predict (z {self.z:.0f})"


def properties(record: dict[str, Any]) -> dict[str, str]:
    """By what rows are grouped."""
    worker, versions = record.get("worker", {}), record.get("versions", {})
    return {
        "machine": str(worker.get("host", "")),
        "device": str(record.get("device", {}).get("name", "")),
        "job": str(worker.get("slurm_job", "")),
        "software": f"{versions.get('ncp')} {versions.get('commit', '')} torch {versions.get('torch')}".strip(),
        "day": str(record.get("finished", ""))[:10],
    }


def anomalies(
    space: Space[Any], codes_ND: np.ndarray, metric_N: np.ndarray, of_N: Sequence[dict[str, str]]
) -> list[Anomaly]:
    """Groups of rows (by each property) that are off, the farthest first.

    Args:
        metric_N: final main metric; every row was trained to its end.
        of_N: each row's properties.
    """
    if len(metric_N) < MIN_ROWS:
        return []
    rest_N = checks.residuals(space, codes_ND, metric_N)
    found = []
    for what in of_N[0]:
        values = np.array([properties[what] for properties in of_N])
        for value in np.unique(values):
            rows = values == value
            anomaly = _compare(rest_N, rows, what, str(value))
            if anomaly is not None:
                found.append(anomaly)
    return sorted(found, key=lambda anomaly: -abs(anomaly.z))


def _compare(rest_N: np.ndarray, rows: np.ndarray, what: str, value: str) -> Anomaly | None:
    """A minority whose median residual lies beside that of the others."""
    inside, outside = rest_N[rows], rest_N[~rows]
    if not MIN_GROUP <= len(inside) <= len(outside):
        return None
    shift = float(np.median(inside) - np.median(outside))
    sd = max(1.4826 * float(np.median(np.abs(outside - np.median(outside)))), 1e-9)
    error = 1.2533 * sd * np.sqrt(1 / len(inside) + 1 / len(outside))
    z = shift / error
    return Anomaly(what, value, rows, shift, z) if abs(z) >= MIN_Z and abs(shift) >= MIN_SDS * sd else None
