"""Fits the paper's predictor with Lightning (appendix E.1): Adam, one cycle, smooth L1 on standardised metrics.

The rows are a few hundred kilobytes, so they stay in memory as tensors and batches are slices of them: a loader with
worker processes, a logger or a checkpoint per step would cost more than the training.

Shape suffixes: N rows, B batch, D dimensions of the code, M metrics.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from ncp.errors import UserError
from ncp.predictors.base import Card
from ncp.predictors.evaluation import rmse
from ncp.predictors.mlp import MLP, layout
from ncp.predictors.rows import Rows
from ncp.predictors.trust import region_of
from ncp.progress import Progress

# the release's one-cycle shape; the paper says "one cycle" alone
WARM_UP, START_DIVISOR = 0.3, 10.0


class Batches:
    """Mini-batches of tensors in memory; shuffled anew every epoch by torch's global generator, or whole and in order.

    A last batch of a single row is joined to the one before: a batch norm has no variance over one row.
    """

    def __init__(self, z_ND: Tensor, t_NM: Tensor, size: int, shuffle: bool = True) -> None:
        self.shuffle = shuffle
        self.z_ND, self.t_NM = z_ND, t_NM
        n = len(z_ND)
        starts = list(range(0, n, size))
        if len(starts) > 1 and n - starts[-1] == 1:
            starts.pop()
        self.bounds = list(zip(starts, [*starts[1:], n], strict=True))

    def __len__(self) -> int:
        return len(self.bounds)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        # a generator draws its order with the first batch: Lightning makes an iterator that it never reads from
        z_ND, t_NM = self.z_ND, self.t_NM
        if self.shuffle:
            order = torch.randperm(len(z_ND))
            z_ND, t_NM = z_ND[order], t_NM[order]
        for a, b in self.bounds:
            yield z_ND[a:b], t_NM[a:b]


class PredictorModule(pl.LightningModule):
    """Trains the network of an :class:`MLP` on standardised rows.

    With validation rows the weights of the epoch with the smallest mean absolute error of the main metric are kept in
    ``best``.
    """

    def __init__(self, predictor: MLP, steps: int, lr: float = 0.01, weight_decay: float = 1e-7) -> None:
        """``steps``: number of optimiser steps in the whole training, over which the one cycle runs."""
        super().__init__()
        self.net = predictor.net
        self.steps, self.lr, self.weight_decay = steps, lr, weight_decay
        self.best: dict[str, Tensor] = {}
        self.best_error = float("inf")

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Smooth L1 over all metrics of a batch."""
        z_BD, t_BM = batch
        return F.smooth_l1_loss(self.net(z_BD), t_BM)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """All validation rows at once; keeps the weights if the main metric's error is the smallest so far."""
        z_ND, t_NM = batch
        error = float((self.net(z_ND)[:, 0] - t_NM[:, 0]).abs().mean())
        if error < self.best_error:
            self.best_error = error
            self.best = {k: v.detach().clone() for k, v in self.net.state_dict().items()}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam with one cycle of learning rate and momentum, stepped every batch."""
        adam = torch.optim.Adam(self.net.parameters(), lr=self.lr, weight_decay=self.weight_decay, fused=True)
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            adam, self.lr, total_steps=self.steps, pct_start=WARM_UP, div_factor=START_DIVISOR
        )
        return {"optimizer": adam, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


class _Tell(pl.Callback):
    """Reports progress once an epoch."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 1
        self.progress(done / total, f"epoch {done}/{total}")


def fit(
    rows: Rows,
    *,
    validation: Rows | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    heads: str = "metric",
    shared: int = 256,
    separate: int = 128,
    dropout: float = 0.5,
    norm: bool | None = None,
    activation: str = "silu",
    lr: float = 0.01,
    weight_decay: float = 1e-7,
    batch_size: int = 128,
    epochs: int = 200,
    threads: int = 1,
) -> MLP:
    """Fit the paper's predictor to ``rows``; the same seed gives the same weights on the same machine.

    Args:
        rows: what it is fitted on; also gives the standardisation.
        validation: rows that choose the epoch and give ``noise_std``. Without them the last epoch is kept and
            ``noise_std`` is the error on the fitted rows, which is too small: set it from rows not seen.
        seed: of initial weights, order of rows and dropout. torch's global generator is left as it was.
        progress: told the part done after every epoch.
        heads, shared, separate, dropout, norm, activation: see :func:`ncp.predictors.mlp.layout`.
        lr, weight_decay, batch_size, epochs: of Adam and its one cycle.
        threads: CPU threads while fitting; the layers are so small that one is mostly the fastest.

    Raises:
        UserError: for options outside of their range, or fewer than two rows.
    """
    if len(rows) < 2:
        raise UserError(f"a predictor needs two rows or more to be fitted on, given were {len(rows)} of {rows.setting}")
    if epochs < 1 or batch_size < 2 or threads < 1 or not lr > 0 or weight_decay < 0:
        raise UserError(
            f"epochs, threads and lr must be positive, batch_size at least 2, given were epochs={epochs}, "
            f"threads={threads}, lr={lr}, batch_size={batch_size}, weight_decay={weight_decay}"
        )
    form = layout(
        rows.metrics, heads, shared=shared, separate=separate, dropout=dropout, norm=norm, activation=activation
    )
    card = Card("mlp", rows.setting, rows.metrics, rows.space, config=form.to_dict())
    card.rows, card.source, card.licence = len(rows), rows.source, rows.licence
    card.region = region_of(rows.codes)
    with torch.random.fork_rng(devices=[]), _threads(threads):
        torch.manual_seed(seed)
        predictor = MLP(card)
        predictor.standardise(rows.codes, rows.targets)
        train = Batches(*_standardised(predictor, rows), size=batch_size)
        module = PredictorModule(predictor, steps=epochs * len(train), lr=lr, weight_decay=weight_decay)
        held = None
        if validation is not None:
            held = Batches(*_standardised(predictor, validation), size=len(validation), shuffle=False)
        with _quiet():
            _trainer(epochs, progress, held is not None).fit(module, train, held)
    if module.best:
        predictor.net.load_state_dict(module.best)
    predictor.eval().requires_grad_(False)
    set_noise(predictor, rows if validation is None else validation)
    return predictor


def set_noise(predictor: MLP, rows: Rows) -> None:
    """Set ``noise_std`` to the root mean squared errors on ``rows``."""
    predicted = predictor.predict(rows.codes)
    spread = [rmse(rows.targets[:, i], predicted[name]) for i, name in enumerate(rows.metrics)]
    predictor.noise_std.copy_(torch.tensor(spread))


def _standardised(predictor: MLP, rows: Rows) -> tuple[Tensor, Tensor]:
    """Codes ``(N, D)`` and targets ``(N, M)`` as the network sees them."""
    x_ND, y_NM = torch.as_tensor(rows.codes).float(), torch.as_tensor(rows.targets).float()
    z_ND = (x_ND - predictor.input_mean) / predictor.input_std
    return z_ND, (y_NM - predictor.output_mean) / predictor.output_std


def _trainer(epochs: int, progress: Progress | None, validate: bool) -> pl.Trainer:
    """A trainer without what such a small training does not need; on the CPU, which is faster here than any accelerator."""
    with _quiet():
        return pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1 if validate else 0,
            callbacks=[_Tell(progress)] if progress else None,
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's remarks about accelerators and loaders off the terminal."""
    loggers = [logging.getLogger(n) for n in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [log.level for log in loggers]
    for log in loggers:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(loggers, levels, strict=True):
            log.setLevel(level)


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
