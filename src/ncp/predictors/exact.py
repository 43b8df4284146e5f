"""An exact Gaussian process on all rows of a table: an independent judge of searches, and a predictor for small subsets.

It shares nothing with the bundled predictors but the rows: no inducing points, its own kernel, features and fit. What takes
long is the fit of its length scales; :func:`of_table` keeps them in the cache, by what the rows hold.

Shape suffixes: N codes, R rows, D dimensions, F features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ncp import files, spaces, tensorfile
from ncp.errors import UserError
from ncp.predictors.base import Card, Predictor

if TYPE_CHECKING:
    from ncp.benchmark.table import Table

Features = Callable[[Tensor], Tensor]
FIT_ROWS = 1000  # of a table, on which the length scales are fitted


class Scales(NamedTuple):
    """What the marginal likelihood decides: length scales ``(F,)``, variance of the signal and of the noise."""

    length: Tensor
    signal: Tensor
    noise: Tensor


def wide_in_logarithms(codes_ND: Tensor, space: spaces.Space[Any]) -> Tensor:
    """The code with its wide-ranging dimensions (channels) in logarithms."""
    wide = torch.as_tensor(space.step > 1)
    return torch.where(wide, codes_ND.clamp(min=1).log2(), codes_ND)


def _kernel(a_NF: Tensor, b_RF: Tensor) -> Tensor:
    """Matern 5/2 of points divided by their length scales."""
    squares = a_NF.square().sum(1)[:, None] + b_RF.square().sum(1) - 2 * a_NF @ b_RF.T
    r = (5 * squares.clamp(min=1e-10)).sqrt()
    return (1 + r + r * r / 3) * torch.exp(-r)


class ExactGP(Predictor):
    """One metric of one setting from ``(R, D)`` codes and ``(R,)`` values; length scales by marginal likelihood.

    Args:
        setting, metric: their names.
        codes, values: the rows.
        features: what the kernel sees, differentiable.
        top: if given, the process models ``-log(top - value)``, which opens up the crowd near the best values.
        trend: whether the process is about a line through the features (ridge regression) instead of a constant. Far from
            all rows, as a continuous code between two valid ones of a one-hot space can be, a constant has no gradient.
        fit_rows: the length scales are fitted on at most so many of the rows, drawn with ``seed``; the process is
            conditioned on all.
        scales: of an earlier fit on the same rows, which is then not done again.
    """

    def __init__(
        self,
        setting: str,
        metric: str,
        codes: np.ndarray,
        values: np.ndarray,
        features: Features,
        space: str = "multires",
        top: float | None = None,
        trend: bool = False,
        fit_rows: int = 700,
        steps: int = 40,
        seed: int = 1,
        scales: Scales | None = None,
    ) -> None:
        super().__init__(Card("exact", setting, (metric,), space, rows=len(codes)))
        self.double()
        self.features, self.top = features, top
        y_R = torch.tensor(values, dtype=torch.float64)
        self.output_mean += y_R.mean()
        self.output_std *= y_R.std()
        u_R = y_R if top is None else -torch.log(top - y_R)
        self.level, self.width = u_R.mean(), u_R.std()
        t_R = (u_R - self.level) / self.width
        f_RF = features(torch.tensor(codes, dtype=torch.float64))
        self.offset, self.spread = f_RF.mean(0), f_RF.std(0).clamp(min=1e-6)
        f_RF = (f_RF - self.offset) / self.spread
        eye = torch.eye(f_RF.shape[1]).double()
        self.slope = torch.linalg.solve(f_RF.T @ f_RF + eye, f_RF.T @ t_R) if trend else torch.zeros(len(eye)).double()
        t_R = t_R - f_RF @ self.slope
        picked = torch.randperm(len(t_R), generator=torch.Generator().manual_seed(seed))[:fit_rows]
        self.scales = scales or _fit(f_RF[picked], t_R[picked], steps)
        self.length, self.signal, self.noise_var = self.scales
        self.points = f_RF / self.length
        k_RR = self.signal * _kernel(self.points, self.points) + self.noise_var * torch.eye(len(t_R)).double()
        lower = torch.linalg.cholesky(k_RR)
        self.alpha = torch.cholesky_solve(t_R[:, None], lower)
        self.inverse = torch.cholesky_inverse(lower)
        self.noise_std += float(self.noise_var**0.5 * self.output_std) if top is None else 0.0

    def posterior(self, codes_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and the process' own standard deviation, ``(N, 1)``."""
        f_NF = (self.features(codes_ND.double()) - self.offset) / self.spread
        k_NR = self.signal * _kernel(f_NF / self.length, self.points)
        u_N1 = ((f_NF @ self.slope)[:, None] + k_NR @ self.alpha) * self.width + self.level
        left_N = (self.signal - (k_NR @ self.inverse * k_NR).sum(1)).clamp(min=1e-9)
        std_N1 = left_N.sqrt()[:, None] * self.width
        if self.top is None:
            return u_N1, std_N1
        gap_N1 = torch.exp(-u_N1)
        return self.top - gap_N1, std_N1 * gap_N1


def _fit(f_RF: Tensor, t_R: Tensor, steps: int) -> Scales:
    """Length scales, signal and noise variance that maximise the marginal likelihood (with a weak prior on the scales)."""
    n, width = f_RF.shape
    p = (
        torch.cat([torch.full((width,), 0.5 * float(np.log(width))), torch.tensor([0.0, -2.0])])
        .double()
        .requires_grad_()
    )
    start_F = p.detach()[:width].clone()
    optimiser = torch.optim.LBFGS([p], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimiser.zero_grad()
        z_RF = f_RF / p[:width].exp()
        k_RR = p[width].exp() * _kernel(z_RF, z_RF) + (p[width + 1].exp() + 1e-6) * torch.eye(n).double()
        lower = torch.linalg.cholesky(k_RR)
        solved = torch.cholesky_solve(t_R[:, None], lower)[:, 0]
        prior = ((p[:width] - start_F) ** 2).sum() / 8
        value = 0.5 * t_R @ solved + lower.diagonal().log().sum() + prior
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    p = p.detach()
    return Scales(p[:width].exp(), p[width].exp(), p[width + 1].exp())


def of_table(table: Table, metric: str | None = None, fit_rows: int = FIT_ROWS) -> ExactGP:
    """The process on all rows of a table of which nothing is known to be wrong, its length scales from the cache where known.

    Args:
        table: of one setting, in any space of numbers.
        metric: which column; None for the main one.
        fit_rows: the length scales are fitted on at most so many rows.

    Raises:
        UserError: for a metric that the table does not hold, or fewer than ten rows.
    """
    from ncp.predictors.rows import from_table

    rows = from_table(table, costs=False).only_good()
    metric = metric or table.main
    if metric not in rows.metrics:
        raise UserError(
            f"the table of {table.name} has no metric '{files.shown(metric)}'; it has {', '.join(rows.metrics)}"
        )
    values = rows.targets[:, rows.metrics.index(metric)]
    if len(values) < 10:
        raise UserError(f"an exact process needs ten rows or more, the table of {table.name} has {len(values)}")
    return remembered(table.name, metric, rows.codes, values, rows.space, fit_rows)


def remembered(
    setting: str, metric: str, codes: np.ndarray, values: np.ndarray, space: str = "multires", fit_rows: int = FIT_ROWS
) -> ExactGP:
    """The process on these rows, wide dimensions in logarithms, its length scales from the cache where known."""
    features = partial(wide_in_logarithms, space=spaces.get(space))
    make = partial(ExactGP, setting, metric, codes, values, features, space, fit_rows=fit_rows)
    content = hashlib.sha256(codes.tobytes() + values.tobytes() + f"{metric} {fit_rows}".encode()).hexdigest()[:20]
    path = files.cache_folder("exact") / f"{files.safe_file(setting, 'setting')}-{content}.safetensors"
    known = _kept(path, codes.shape[1])
    judge = make(scales=known)
    if known is None:
        _keep(path, judge.scales)
    return judge.eval().requires_grad_(False)


def _kept(path: Path, features: int) -> Scales | None:
    """Scales from the cache; None where there are none of this form."""
    try:
        wanted = {"length": (features,), "signal": (), "noise": ()}
        head = tensorfile.head(path, 2**20)
        tensorfile.check_shapes(head.shapes, wanted, str(path))
        found = tensorfile.tensors(path)
    except UserError:
        return None
    scales = Scales(*(found[name].double() for name in Scales._fields))
    # another would judge otherwise, in silence
    return scales if head.metadata.get("checksum") == _checksum(scales) else None


def _keep(path: Path, scales: Scales) -> None:
    """Into the cache, where that can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tensorfile.write(path, scales._asdict(), {"format": "ncp-exact-1", "checksum": _checksum(scales)})
    except (OSError, UserError):
        return


def _checksum(scales: Scales) -> str:
    return hashlib.sha256(b"".join(scale.detach().double().numpy().tobytes() for scale in scales)).hexdigest()
