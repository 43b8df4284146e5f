"""The family ``auto``: transfer from few rows, the default process from many; rows held out decide.

>>> predictor = fit(architectures, {"mIoU": values})     # doctest: +SKIP
>>> predictor.choice                                     # doctest: +SKIP

Shape suffixes: R rows, D dimensions of the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ncp.predictors import curve, evaluation, few, gp_fit
from ncp.predictors.base import Predictor
from ncp.predictors.known import Known
from ncp.predictors.rows import Rows
from ncp.predictors.transfer import MAX_ROWS
from ncp.predictors.transfer_fit import log_density
from ncp.progress import Progress, part

MANY = 400
"""Up to so many rows an exact process about the known predictors has been the better one on every recorded table."""
HELD = 0.2
CLEAR = 2.0
"""With many rows both come near the same answers, and which one is ahead by a little is luck ..."""
SPLITS = 3
"""... as is which rows are held out: on 3ddet's table one split of three prefers transfer, and its test rows do not."""


def fit(
    architectures: Any,
    values: Mapping[str, Any],
    known: Known = "all",
    seed: int = 0,
    space: str = "multires",
    setting: str = "mine",
    remainder: str = "usual",
) -> Predictor:
    """A predictor of a setting from a few of its trainings and what the bundled predictors know.

    Args:
        architectures: R of them: architectures, codes ``(R, D)`` or texts.
        values: metric -> ``(R,)`` measured values, the main metric first; higher is better.
        known: which predictors are known: ``all`` bundled ones of the space but the setting's own, ``none``, or a list of
            settings' names and of paths of predictors' files.
        seed: of folds and of everything that is drawn.
        space: of the architectures.
        setting: what is predicted; the names of bundled settings leave the bundled predictor of that name out.
        remainder: ``large`` leaves more to what no known predictor says, for searches that go further than the rows lie.

    Returns: a predictor with ``choice`` (what was chosen by cross-validation inside the rows) and ``curve`` (error and loss
    of a search against the number of trainings).

    Raises:
        UserError: for fewer than 8 rows, values that do not fit the architectures or are not finite, or unknown names.
    """
    rows = few.rows_of(architectures, values, space, setting)
    few.check_number(rows)
    return fit_rows(rows, few.Options(known=known, seed=seed, remainder=remainder))


def fit_rows(rows: Rows, options: few.Options = few.STANDARD, progress: Progress | None = None) -> Predictor:
    """Fit what suits the rows; ``choice`` of the result says what was compared, and how it came out.

    Raises:
        UserError: as :func:`fit`.
    """
    family, words = choose(rows, options, part(progress, 0, 2, "choosing"))
    return fit_family(rows, family, words, options, part(progress, 1, 2, "fitting"))


def fit_family(
    rows: Rows, family: str, words: str, options: few.Options, progress: Progress | None = None
) -> Predictor:
    """Fit one of the two; ``words`` is why it was chosen."""
    if family == "transfer":
        predictor: Predictor = few.fit_rows(rows, options, progress)
        predictor.choice = f"{words}; {predictor.choice}" if words else predictor.choice
    else:
        predictor = gp_fit.fit(rows, gp_fit.Options(seed=options.seed))
        predictor.choice = words
    predictor.card.protocol, predictor.curve_maker = predictor.choice, partial(curve.of, rows, options)
    return predictor


def choose(rows: Rows, options: few.Options, progress: Progress | None = None) -> tuple[str, str]:
    """``transfer`` or ``default``, and why in words: both fitted on four fifths of the rows, compared on the rest.

    Transfer is taken where its predictive density of the main metric is clearly larger there, by ``CLEAR`` standard errors of the
    mean difference: on one random split, and still when ``SPLITS`` of them are taken together. With few rows nothing is compared
    here (:func:`ncp.predictors.few.fit_rows` compares), and with more than an exact process takes it is the default one.
    """
    if len(rows) <= MANY:
        return "transfer", ""
    if len(rows) > MAX_ROWS:
        return "default", f"default, since {len(rows):,} rows are more than {MAX_ROWS:,}, which transfer takes at most"
    main = rows.only_metrics(rows.metrics[:1])
    held = round(HELD * len(rows))
    aheads, errors = [], []
    for split in range(SPLITS):
        order = np.random.default_rng([options.seed, split]).permutation(len(rows))
        step = part(progress, split, SPLITS, f"split {split + 1}")
        compared = _compared(main.subset(order[held:]), main.subset(order[:held]), options, step)
        aheads.append(compared[0])
        errors.append(compared[1])
        ahead = np.concatenate(aheads)
        clear = float(ahead.mean()) > CLEAR * float(ahead.std(ddof=1)) / len(ahead) ** 0.5
        if not clear:
            break
    family = "transfer" if clear else "default"
    shown = ", ".join(f"{name} {np.mean([found[name] for found in errors]):.3g}" for name in errors[0])
    times = f"{len(errors)} times " if len(errors) > 1 else ""
    return (
        family,
        f"{family}, chosen on {times}{held:,} held-out of {len(rows):,} rows: mean absolute error of {main.metrics[0]} {shown}",
    )


def _compared(
    train: Rows, test: Rows, options: few.Options, progress: Progress | None
) -> tuple[np.ndarray, dict[str, float]]:
    """By how much transfer's log predictive density of each row held out is larger, and each one's mean absolute error."""
    fits: dict[str, Predictor] = {"transfer": few.fit_rows(train, options, progress)}
    fits["default"] = gp_fit.fit(train, gp_fit.Options(seed=options.seed))
    measured, metric = test.targets[:, 0], train.metrics[0]
    density, errors = {}, {}
    for name, predictor in fits.items():
        answer, std = predictor.predict(test.codes)[metric], predictor.predict_std(test.codes)[metric]
        density[name], errors[name] = log_density(measured - answer, std), evaluation.mae(measured, answer)
    return density["transfer"] - density["default"], errors
