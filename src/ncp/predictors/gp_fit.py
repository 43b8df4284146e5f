"""Fitting the sparse Gaussian processes of :mod:`ncp.predictors.gp`: the collapsed bound of Titsias (2009), by gradient.

Shape suffixes: N rows, F features, U inducing points.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from ncp.errors import UserError
from ncp.predictors.base import Card
from ncp.predictors.gp import JITTER, SparseGP, matern52
from ncp.predictors.rows import Rows, is_constant
from ncp.predictors.trust import region_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ncp import spaces

T = TypeVar("T")
MOST = 5_000
"""Rows that any gradient step sees: a random part where there are more. The process is conditioned on all in the end."""
CHUNK = 8_192
"""Rows of which the features, and the covariance with the inducing points, are made at a time."""
KEPT = 65_536
"""Rows of which the features are kept; those of more are made again whenever they are asked for, a part at a time."""
PART = 2_048
"""Rows of such a part."""


@dataclass(frozen=True)
class Options:
    """How a process is fitted.

    Attributes:
        points: U, inducing points per metric (at most half of the rows).
        directions: R, directions in which the explained variance is kept (at most U).
        steps: gradient steps.
        rate: Adam's learning rate, falling to 0 along a cosine.
        part: rows of a random part that the first two thirds of the steps see (the others see up to :data:`MOST`).
        seed: of the first inducing points.
    """

    points: int = 256
    directions: int = 128
    steps: int = 240
    rate: float = 0.1
    part: int = 900
    seed: int = 0


class Features:
    """Standardised features ``(N, F)`` of many codes, read as a tensor of them is, but made when they are asked for.

    Attributes:
        offset, spread: ``(F,)`` mean and standard deviation of the features themselves.
    """

    def __init__(self, codes_ND: Tensor, space: spaces.Space[Any]) -> None:
        self.codes, self._space = codes_ND, space
        n, total = len(codes_ND), torch.stack([f_CF.sum(0) for f_CF in self._raw(PART)]).sum(0)
        self.offset = total / n
        squares = torch.stack([(f_CF - self.offset).square().sum(0) for f_CF in self._raw(PART)]).sum(0)
        self.spread = (squares / (n - 1)).sqrt().clamp_min(1e-6)
        self.shape = (n, len(total))

    def _raw(self, size: int) -> Iterator[Tensor]:
        return (self._space.features(codes_CD) for codes_CD in torch.split(self.codes, size))

    def __getitem__(self, rows: Any) -> Tensor:
        found: Tensor = (self._space.features(self.codes[rows]) - self.offset) / self.spread
        return found

    def split(self, size: int) -> Iterator[Tensor]:
        """The rows in their order, ``size`` at a time."""
        return ((f_CF - self.offset) / self.spread for f_CF in self._raw(size))


class _Process(torch.nn.Module):
    """The free parameters of one metric's process and warp."""

    def __init__(self, z_NF: Tensor | Features, y_N: Tensor, options: Options) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(options.seed)
        n, f = z_NF.shape
        u = min(options.points, n // 2)
        picked = torch.randperm(n, generator=generator)[:u]
        start = z_NF[picked] + 0.3 * torch.randn(u, f, generator=generator, dtype=y_N.dtype)
        self.points = torch.nn.Parameter(start)
        self.log_length = torch.nn.Parameter(torch.full((f,), 0.5 * math.log(f), dtype=y_N.dtype))
        self.log_top = torch.nn.Parameter(torch.zeros((), dtype=y_N.dtype))  # (top - largest) / std
        # relative to the warped targets' std
        self.log_noise = torch.nn.Parameter(torch.full((), -1.0, dtype=y_N.dtype))
        self.log_signal = torch.nn.Parameter(torch.zeros((), dtype=y_N.dtype))
        self.best, self.std = y_N.max(), y_N.std()

    def warp(self, y_N: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Warped targets, standardised; their mean and standard deviation; the log Jacobian of the whole."""
        top = self.best + self.std * self.log_top.clamp(-4.0, 3.5).exp()
        u_N = -torch.log((top - y_N) / self.std)
        level, width = u_N.mean(), u_N.std()
        jacobian = -torch.log(top - y_N).sum() - len(y_N) * torch.log(width)
        return (u_N - level) / width, level, width, jacobian

    def solve(self, z_NF: Tensor | Features, t_N: Tensor) -> dict[str, Tensor]:
        """The matrices of the collapsed bound for standardised warped targets ``t_N``."""
        inverse = torch.exp(-self.log_length)
        noise, signal = self.log_noise.exp(), self.log_signal.exp()
        points = self.points * inverse
        eye = torch.eye(len(points), dtype=t_N.dtype)
        lower = torch.linalg.cholesky(matern52(points, points) + JITTER * eye)
        # whitening after the products over N, which are then all that costs: A A^T, and A t / noise; a chunk at a time, as a
        # million rows have no room otherwise
        products_UU, targets_U = t_N.new_zeros(()), t_N.new_zeros(())
        if isinstance(z_NF, Features):
            chunks = zip(z_NF.split(PART), torch.split(t_N, PART), strict=True)
        else:
            chunks = zip(torch.split(z_NF, CHUNK), torch.split(t_N, CHUNK), strict=True)
        for z_CF, t_C in chunks:
            k_UC = matern52(points, z_CF * inverse) * (signal / noise)
            products_UU, targets_U = products_UU + k_UC @ k_UC.mT, targets_U + k_UC @ t_C
        half_UU = torch.linalg.solve_triangular(lower, products_UU, upper=False)
        explained_UU = torch.linalg.solve_triangular(lower, half_UU.mT, upper=False)
        target_U1 = torch.linalg.solve_triangular(lower, targets_U[:, None] / noise, upper=False)
        lower_b = torch.linalg.cholesky(eye + (explained_UU + explained_UU.mT) / 2)
        c_U = torch.linalg.solve_triangular(lower_b, target_U1, upper=False)[:, 0]
        explained = explained_UU.diagonal().sum()
        return {"explained": explained, "lower_b": lower_b, "c": c_U, "noise": noise, "signal": signal}

    def loss(self, z_NF: Tensor | Features, y_N: Tensor) -> Tensor:
        """Negative bound on the log likelihood of the metric itself, per row."""
        t_N, _, _, jacobian = self.warp(y_N)
        s = self.solve(z_NF, t_N)
        n, noise2 = len(y_N), s["noise"].square()
        bound = (
            -s["lower_b"].diagonal().log().sum()
            - n * (s["noise"].log() + 0.5 * math.log(2 * math.pi))
            - 0.5 * t_N.square().sum() / noise2
            + 0.5 * s["c"].square().sum()
            - 0.5 * (n * s["signal"].square() / noise2 - s["explained"])
        )
        prior = 0.5 * (self.log_length - 0.5 * math.log(len(self.log_length))).square().sum() / 4
        return (prior - bound - jacobian) / n


def fit_process(
    z_NF: Tensor | Features, y_N: Tensor, options: Options, tick: Callable[[], None] | None = None
) -> dict[str, Tensor]:
    """Fit one metric; the buffers of :class:`SparseGP` for it.

    Args:
        z_NF: standardised features, float64.
        y_N: the metric in its unit, float64.
        options: see :class:`Options`.
        tick: called after every step, for a progress bar.

    A metric that does not vary (as in a part of the rows it may not) is answered by its value everywhere.

    Raises:
        UserError: where the numbers are so extreme that the equations cannot be solved.
    """
    if is_constant(y_N.numpy()):
        for _ in range(options.steps if tick is not None else 0):
            tick()  # type: ignore[misc]
        return _constant(z_NF, y_N, options)
    process = _Process(z_NF, y_N, options)
    optimiser = torch.optim.Adam(process.parameters(), lr=options.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.steps)
    # most of the way on part of the rows, at a fraction of the cost; the end on all of them, as far as that is affordable
    order = torch.randperm(len(y_N), generator=torch.Generator().manual_seed(options.seed))
    for step in range(options.steps):
        early = step < options.steps * 2 // 3
        some = order[: options.part] if early else order[:MOST] if len(order) > MOST else slice(None)
        optimiser.zero_grad()
        _solvable(process.loss, z_NF[some], y_N[some]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if tick is not None:
            tick()
    with torch.no_grad():
        return _solvable(_summary, process, z_NF, y_N, options)


def _solvable(function: Callable[..., T], *arguments: Any) -> T:
    try:
        return function(*arguments)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        raise UserError(
            "a Gaussian process cannot be fitted to these values (their covariance has no Cholesky factor): look for "
            "outliers among the rows, or fit predictor=paper"
        ) from None


def _constant(z_NF: Tensor | Features, y_N: Tensor, options: Options) -> dict[str, Tensor]:
    """The buffers of a process that answers one value, without any doubt."""
    n, f = z_NF.shape
    u = min(options.points, n // 2)
    one, value = y_N.new_ones(()), y_N.mean()
    return {
        "points": y_N.new_zeros(u, f) + torch.arange(u, dtype=y_N.dtype)[:, None],
        "inverse_scale": y_N.new_ones(f),
        "level": 0 * one,
        "signal": 1e-6 * one,
        "readout": y_N.new_zeros(1 + min(options.directions, u), u),
        "noise_u": 0 * one,
        "warp.top": value + 1,
        "warp.scale": one,
    }


def _summary(process: _Process, z_NF: Tensor | Features, y_N: Tensor, options: Options) -> dict[str, Tensor]:
    t_N, level, width, _ = process.warp(y_N)
    s = process.solve(z_NF, t_N)
    # posterior of the whitened inducing values: mean LB^-T c, covariance B^-1; explained variance is I - B^-1
    mean_U = torch.linalg.solve_triangular(s["lower_b"].mT, s["c"][:, None], upper=True)[:, 0]
    values, vectors = torch.linalg.eigh(torch.eye(len(mean_U), dtype=t_N.dtype) - torch.cholesky_inverse(s["lower_b"]))
    keep = min(options.directions, len(mean_U))
    directions_RU = (vectors * values.clamp_min(0).sqrt()).mT.flip(0)[:keep]
    inverse = torch.exp(-process.log_length)
    top = process.best + process.std * process.log_top.clamp(-4.0, 3.5).exp()
    return {
        "points": process.points * inverse,
        "inverse_scale": inverse,
        "level": level,
        "signal": width * s["signal"],
        "readout": torch.cat([mean_U[None], directions_RU]),
        "noise_u": width * s["noise"],
        "warp.top": top,
        "warp.scale": process.std,
    }


def fit(rows: Rows, options: Options = Options(), tick: Callable[[], None] | None = None, **card: Any) -> SparseGP:
    """Fit one process per metric of ``rows``; what else stands on the card comes by keyword.

    Runs in double precision and returns single precision, deterministic for a seed.
    """
    codes_ND = torch.as_tensor(rows.codes, dtype=torch.float64)
    probe = SparseGP(Card("gp", rows.setting, (), rows.space, config={"features": 0, "points": 0, "directions": 0}))
    made = Features(codes_ND, probe.space)
    y_NM = torch.as_tensor(rows.targets, dtype=torch.float64)
    z_NF = made if len(rows) > KEPT else torch.cat([*made.split(CHUNK)])
    fitted = [fit_process(z_NF, y, options, tick) for y in y_NM.unbind(1)]
    config = {
        "features": made.shape[1],
        "points": fitted[0]["points"].shape[0],
        "directions": fitted[0]["readout"].shape[0] - 1,
    }
    predictor = SparseGP(
        Card("gp", rows.setting, rows.metrics, rows.space, rows=len(rows), source=rows.source, licence=rows.licence,
             config=config, region=region_of(rows.codes), **card)
    ).double()  # fmt: skip
    state = {key: torch.stack([f[key] for f in fitted]) for key in fitted[0]}
    mean_M, std_M = y_NM.mean(0), y_NM.std(0)
    std_M = torch.where(std_M > 1e-12, std_M, 1.0)  # a search divides by it
    state |= {"offset": made.offset, "spread": made.spread, "output_mean": mean_M, "output_std": std_M}
    predictor.load_state_dict(state | {"noise_std": torch.zeros_like(y_NM[0])})
    predictor.noise_std.copy_(predictor.noise(mean_M))
    return predictor.float().eval().requires_grad_(False)
