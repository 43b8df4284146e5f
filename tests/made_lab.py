"""A lab whose walks and judges are written down, so that what a claim says of them is known beforehand."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from ncp import spaces

SPACE: Any = spaces.get("multires")
DEFAULT = np.array(SPACE.default().code)


def codes(count: int = 4, **changed: Any) -> np.ndarray:
    """``(count, 27)``: the default code with some dimensions at other values, one for all or one each."""
    out = np.repeat(DEFAULT[None], count, 0)
    labels = list(SPACE.labels)
    for label, value in changed.items():
        out[:, labels.index(label)] = value
    return out


class MadeLab:
    """As :class:`ncp.paper.claims.lab.Lab`, of given parts.

    Args:
        ends: setting, settings or (settings, lambda) -> codes where walks end; what is not named ends at the default code.
        begin: where all walks begin.
        judge: setting -> a function from codes to figures; where there is none a figure is 70.
        doubt: of every judgement.
    """

    def __init__(
        self, ends: Any = None, begin: Any = None, judge: Any = None, doubt: float = 0.5, seeds: int = 4
    ) -> None:
        self._ends, self._begin, self._judge, self._doubt = ends or {}, begin, judge or {}, doubt
        self.seeds, self.seed, self.space = seeds, 0, SPACE
        self.judges = SimpleNamespace(table=lambda name: None, benchmark=lambda: None)

    def ends(self, *objectives: str, starts: int | None = None, lam: float = 0.5) -> np.ndarray:
        key = objectives[0] if len(objectives) == 1 else objectives
        plain = self._ends.get(key, codes(starts or self.seeds))
        return np.asarray(self._ends.get((key, lam), plain))[: starts or self.seeds]

    def walks(self, objectives: tuple[str, ...], starts: int, lam: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
        ends = self.ends(*objectives, starts=starts, lam=lam)
        return (codes(len(ends)) if self._begin is None else self._begin[: len(ends)]), ends

    def judge(self, of: Any, setting: str) -> np.ndarray:
        told = self._judge.get(setting, lambda some: np.full(len(some), 70.0))
        return np.asarray(told(np.asarray(of)), dtype=float)

    def doubt(self, of: Any, setting: str) -> np.ndarray:
        return np.full(len(of), self._doubt)

    def macs(self, of: Any) -> np.ndarray:
        return np.asarray(SPACE.cost(np.asarray(of, dtype=np.int64)).macs) / 1e9

    def columns(self, of: np.ndarray, *labels: str) -> np.ndarray:
        names = list(SPACE.labels)
        return np.asarray(of[:, [names.index(label) for label in labels]].sum(1), dtype=float)

    def spread(self, setting: str) -> float:
        return 1.0


def width(label: str, least: float = 60.0, slope: float = 0.1) -> Any:
    """A judge for whom one dimension alone counts."""
    at = list(SPACE.labels).index(label)
    return lambda of: least + slope * of[:, at]
