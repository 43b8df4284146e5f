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

from ncp import files
from ncp.benchmark import checks
from ncp.campaign.records import TrainingRecord
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


def properties(record: TrainingRecord) -> dict[str, str]:
    """By what rows are grouped."""
    worker, versions = record.worker, record.versions
    found = {
        "machine": str(worker.get("host", "")),
        "device": str(record.device.get("name", "")),
        "job": str(worker.get("slurm_job", "")),
        "software": f"{versions.get('ncp')} {versions.get('commit', '')} torch {versions.get('torch')}".strip(),
        "day": record.finished[:10],
    }
    return {what: files.printable(value)[:200] for what, value in found.items()}


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
        values, group_N, sizes = np.unique(
            np.array([properties[what] for properties in of_N]), return_inverse=True, return_counts=True
        )
        for group in np.flatnonzero((sizes >= MIN_GROUP) & (2 * sizes <= len(metric_N))):
            anomaly = _compare(rest_N, group_N == group, what, str(values[group]))
            if anomaly is not None:
                found.append(anomaly)
    return sorted(found, key=lambda anomaly: -abs(anomaly.z))


def _compare(rest_N: np.ndarray, rows: np.ndarray, what: str, value: str) -> Anomaly | None:
    """A minority of at least ``MIN_GROUP`` whose median residual lies beside that of the others."""
    inside, outside = rest_N[rows], rest_N[~rows]
    shift = float(np.median(inside) - np.median(outside))
    sd = max(1.4826 * float(np.median(np.abs(outside - np.median(outside)))), 1e-9)
    error = 1.2533 * sd * np.sqrt(1 / len(inside) + 1 / len(outside))
    z = shift / error
    return Anomaly(what, value, rows, shift, z) if abs(z) >= MIN_Z and abs(shift) >= MIN_SDS * sd else None
