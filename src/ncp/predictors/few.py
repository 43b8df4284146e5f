"""Few rows to a predictor: the known ones brought in, the structure chosen by cross-validation, the doubt measured by it.

Shape suffixes: R rows, D dimensions of the code, F features, K known predictors, M metrics, J components.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncp import files, spaces
from ncp.errors import UserError
from ncp.numeric import several, shown, whole
from ncp.predictors import evaluation, known, stacking, transfer_fit
from ncp.predictors.base import Card, Predictor, as_codes
from ncp.predictors.rows import Rows
from ncp.predictors.transfer import MAX_ROWS, Inputs, Transfer, log_cost, score
from ncp.predictors.transfer_fit import Fitted, Structure
from ncp.predictors.trust import region_of
from ncp.progress import Progress

LEAST = 8
"""Fewer rows tell nothing that could be checked."""
MANY = 10_000
"""Rows that are looked through for different architectures: of a table of a million not all."""
REFITTED = 100
"""With fewer rows every fold of the cross-validation is fitted anew; with more, rows are left out in closed form."""
TRUSTED = 5.0
"""Rows for which the stated doubt counts when cross-validation corrects it."""
FURTHEST = 2.5
"""No row counts as further off than so many deviations: one training that went wrong says nothing of the doubt of all others."""
MOST_COMPONENTS = 20
"""Of one structure: a file holds 64 of all three."""
NORMAL = 0.798  # mean of |z| of a standard normal variable


@dataclass(frozen=True)
class Options:
    """Of the family ``transfer``.

    Attributes:
        known: ``all``, ``none``, or a list of settings' names and predictors' files.
        components: J with few rows, drawn in pairs; with many there is one.
        folds: of the cross-validation inside the rows.
        seed: of folds and components.
        remainder: ``usual``, or ``large``: more is left to what no known predictor says (see
            :data:`ncp.predictors.transfer_fit.MIXTURES`).

    Raises:
        UserError: for numbers that they cannot be.
    """

    known: Any = "all"
    components: int = 8
    folds: int = 10
    seed: int = 0
    remainder: str = "usual"

    def __post_init__(self) -> None:
        if self.remainder not in transfer_fit.MIXTURES:
            raise UserError(
                f"remainder is one of {', '.join(transfer_fit.MIXTURES)}, given was {shown(self.remainder)}"
            )
        for name, least in (("components", 1), ("folds", 2), ("seed", 0)):
            object.__setattr__(self, name, whole(name, getattr(self, name), least))
        if self.components > MOST_COMPONENTS:
            raise UserError(f"components must be at most {MOST_COMPONENTS}, given was {self.components}")


STANDARD = Options()


def rows_of(architectures: Any, values: Mapping[str, Any], space: str = "multires", setting: str = "mine") -> Rows:
    """Rows from what a user has: see :func:`ncp.predictors.fit`."""
    where = spaces.get(space)
    files.safe_file(setting, "setting")
    if not isinstance(values, Mapping) or not values:
        raise UserError("values are given by metric, such as {'mIoU': [70.1, 71.9, ...]}")
    if isinstance(architectures, Sequence) and not isinstance(architectures, str):
        architectures = [spaces.parsed(where, a) if isinstance(a, str) else a for a in architectures]
    codes_ND = as_codes(architectures, where)
    columns = []
    for metric, column in values.items():
        try:
            numbers = np.asarray(column, dtype=np.float64)
        except (TypeError, ValueError):
            numbers = np.zeros((0, 0))
        if numbers.shape != (len(codes_ND),):
            raise UserError(
                f"{len(codes_ND)} architectures need as many numbers of {metric}; given was {numbers.shape}"
            )
        columns.append(numbers)
    return Rows(codes_ND, np.stack(columns, axis=1), tuple(map(str, values)), setting, space)


def check_number(rows: Rows) -> None:
    """Raise ``UserError`` for fewer rows than a predictor can use, or architectures (cross-validation may fit smaller parts)."""
    if len(rows) < LEAST:
        others = [name for name in known.bundled(rows.space) if name != rows.setting]
        knowing = ", even with what the bundled ones know" if others else ""
        lost = f" (left out are {rows.lost})" if rows.left_out else ""
        are = "is" if len(rows) == 1 else "are"
        raise UserError(
            f"{several(len(rows), 'row')} of {rows.setting} {are} too few for a predictor{knowing}: give {LEAST} or more; "
            f"from 20 on it is worth searching with{lost}"
        )
    different = len(np.unique(rows.codes[:MANY], axis=0))
    if different < LEAST:
        raise UserError(
            f"the {len(rows):,} rows of {rows.setting} are of {several(different, 'architecture')} only; a predictor "
            f"needs {LEAST} different ones or more"
        )


def fit_rows(rows: Rows, options: Options = STANDARD, progress: Progress | None = None) -> Transfer:
    """Fit the family ``transfer`` to at most 2,000 rows: a random part where there are more.

    Raises:
        UserError: for unknown names among ``options.known``.
    """
    total = len(rows)
    if total > MAX_ROWS:
        rows = rows.subset(np.sort(np.random.default_rng(options.seed).permutation(total)[:MAX_ROWS]))
    brought = known.predictors(options.known, rows.setting, rows.space)
    blank = empty(rows, brought)
    with torch.no_grad():
        inputs = blank.inputs(blank.codes)
    values_RM = blank.values
    mixture = transfer_fit.MIXTURES[options.remainder]
    structures = mixture.structures if brought else (transfer_fit.ROWS,)
    tried = []
    for i, structure in enumerate(structures):
        tried.append(crossed(inputs, values_RM[:, 0], structure, len(brought), options))
        if progress is not None:
            progress((i + 1) / (len(structures) + 1), structure.name)
    prior_S, least_S = [s.weight for s in structures], [s.least for s in structures]
    weight_S = stacking.weights(values_RM[:, 0].numpy(), tried, prior_S, least_S, mixture.rows)
    predictor = _fitted(rows, brought, blank, inputs, structures, weight_S, tried, options)
    folds = min(options.folds, len(rows))
    predictor.choice = _words(rows, structures, weight_S, tried, list(brought), float(blank.output_std[0]), folds)
    predictor.card.protocol = predictor.choice
    if progress is not None:
        progress(1.0, "done")
    return predictor


def crossed(
    inputs: Inputs, values_R: Tensor, structure: Structure, known: int, options: Options
) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations ``(R,)`` for every row from fits without it, in standardised values."""
    n = len(values_R)
    if n >= REFITTED:
        fitted = transfer_fit.fit(inputs, values_R, structure, known, options.components, options.seed)
        return transfer_fit.left_out(inputs, values_R, fitted, known)
    mean_R, std_R = np.zeros(n), np.zeros(n)
    folds = list(evaluation.k_fold(n, min(options.folds, n), options.seed))
    keep_BR = torch.stack([torch.as_tensor(np.isin(np.arange(n), train)) for train, _ in folds])
    fits = transfer_fit.fit_parts(inputs, values_R, structure, known, keep_BR, options.components, options.seed)
    for (train, held), fitted in zip(folds, fits, strict=True):
        some, rest = (Inputs(*(i[index] for i in inputs)) for index in (train, held))
        mean_R[held], std_R[held] = transfer_fit.answers(some, values_R[train], rest, fitted, known)
    return mean_R, std_R


def _words(
    rows: Rows,
    structures: Sequence[Structure],
    weight_S: np.ndarray,
    tried: Sequence[stacking.Answers],
    names: Sequence[str],
    scale: float,
    folds: int,
) -> str:
    """What was chosen, with the error of each candidate and of the whole."""
    measured, metric = rows.targets[:, 0], rows.metrics[0]

    def error(answer: stacking.Answers) -> str:
        predicted = measured.mean() + scale * answer[0]
        return f"{evaluation.mae(measured, predicted):.3g} (tau {evaluation.kendall(measured, predicted):.2f})"

    parts = [f"{s.name} {error(a)}, weight {w:.2f}" for s, a, w in zip(structures, tried, weight_S, strict=True)]
    how = f"{folds}-fold cross-validation inside" if len(rows) < REFITTED else "leaving out one at a time of"
    whole = f"; together {error(stacking.mixed(tried, weight_S))}" if len(tried) > 1 else ""
    source = f"known are {', '.join(names)}" if names else "nothing is known"
    return f"{source}; by {how} {len(rows)} rows, mean absolute error of {metric}: {'; '.join(parts)}{whole}"


def empty(rows: Rows, brought: Mapping[str, Predictor]) -> Transfer:
    """The predictor with its rows and the standardisations of its inputs, in double precision, without components."""
    space: Any = spaces.get(rows.space)
    codes_RD = torch.as_tensor(rows.codes)
    features = space.features(codes_RD[:1]).shape[1]
    card = _card(rows, brought, features, 1)
    predictor = Transfer(card, copy.deepcopy(list(brought.values()))).double()
    around = torch.as_tensor(np.concatenate([known.reference(rows.codes, predictor), rows.codes]))
    with torch.no_grad():
        features_NF = space.features(around)
        cost = space.cost(around)
        costs_N1 = log_cost(cost.macs)[:, None]
        scale_F = known.inverse_scales(brought.values())
        if scale_F is None:
            scale_F = 1 / features_NF.std(0).clamp_min(1e-6) / features**0.5
        predictor.feature_center, predictor.feature_scale = features_NF.mean(0), scale_F
        predictor.cost_center, predictor.cost_scale = costs_N1.mean(0), costs_N1.std(0).clamp_min(1e-6)
        if brought:
            scores_NK = torch.stack([score(p, around, features_NF) for p in predictor.known], -1)
            predictor.score_center, predictor.score_scale = scores_NK.mean(0), scores_NK.std(0).clamp_min(1e-6)
    y_RM = torch.as_tensor(rows.targets)
    std_M = y_RM.std(0)
    predictor.output_mean, predictor.output_std = y_RM.mean(0), torch.where(std_M > 1e-9, std_M, 1.0)
    predictor.codes, predictor.values = codes_RD, (y_RM - predictor.output_mean) / predictor.output_std
    return predictor


def _card(rows: Rows, brought: Mapping[str, Predictor], features: int, components: int) -> Card:
    config = {
        "rows": len(rows),
        "features": features,
        "components": components,
        "known": tuple(asdict(p.card) for p in brought.values()),
    }
    return Card("transfer", rows.setting, rows.metrics, rows.space, rows=len(rows), config=config)


def _fitted(
    rows: Rows,
    brought: Mapping[str, Predictor],
    blank: Transfer,
    inputs: Inputs,
    structures: Sequence[Structure],
    weight_S: np.ndarray,
    tried: Sequence[stacking.Answers],
    options: Options,
) -> Transfer:
    """All metrics by the stacked structures, the doubt of each measured by cross-validation."""
    used = [(s, w, a) for s, w, a in zip(structures, weight_S, tried, strict=True) if w > 0]
    if all(s is transfer_fit.ROWS for s, _, _ in used):
        brought, inputs = {}, Inputs(inputs.smooth, inputs.linear[:, -1:])
    k, weights = len(brought), np.array([w for _, w, _ in used])
    # the lengths that the main metric finds serve all
    leading = next((s for s, _, _ in used if "smooth" not in s.without), used[0][0])
    first = transfer_fit.fit(inputs, blank.values[:, 0], leading, k, options.components, options.seed)
    inputs = Inputs(inputs.smooth * first.length, inputs.linear)
    fits, held = [], []
    for i, values_R in enumerate(blank.values.unbind(1)):
        parts = [first if i == 0 and s is leading else _part(inputs, values_R, s, k, options) for s, _, _ in used]
        fits.append(transfer_fit.stacked(parts, weights.tolist()))
        answers = [a if i == 0 else crossed(inputs, values_R, s, k, options) for s, _, a in used]
        held.append(stacking.mixed(answers, weights))
    components = max(len(f.logits) for f in fits)
    card = _card(rows, brought, inputs.smooth.shape[1], components)
    predictor = Transfer(card, copy.deepcopy(list(brought.values()))).double()
    for name in ("codes", "values", "output_mean", "output_std", "feature_center", "cost_center", "cost_scale"):
        setattr(predictor, name, getattr(blank, name))
    predictor.feature_scale = blank.feature_scale * first.length
    if k:
        predictor.score_center, predictor.score_scale = blank.score_center, blank.score_scale
    padded = [transfer_fit.padded(f, components) for f in fits]
    predictor.hyper = torch.stack([f.hyper for f in padded])
    predictor.logits = torch.stack([f.logits for f in padded])
    mean_RM, std_RM = (np.stack([h[i] for h in held], 1) for i in range(2))
    away_M = np.abs(blank.values.numpy() - mean_RM) / std_RM
    stretch_M = (TRUSTED + (away_M.clip(max=FURTHEST) / NORMAL).sum(0)) / (TRUSTED + len(rows))
    predictor.stretch = torch.as_tensor(np.clip(stretch_M, 0.3, 3.0))
    predictor = predictor.float().eval().requires_grad_(False)
    predictor.noise_std.copy_(predictor.noise(predictor.output_mean[None])[0])
    level, width = predictor.output_mean.double().numpy(), predictor.output_std.double().numpy()
    card = predictor.card
    card.errors = evaluation.errors(rows.metrics, rows.targets, level + width * mean_RM, width * std_RM * stretch_M)
    card.held, card.source, card.licence = len(rows), rows.source, rows.licence
    card.region = _wider(rows) if k else region_of(rows.codes)
    return predictor


def _part(inputs: Inputs, values_R: Tensor, structure: Structure, known: int, options: Options) -> Fitted:
    return transfer_fit.fit(inputs, values_R, structure, known, options.components, options.seed, lengths=False)


def _wider(rows: Rows) -> dict[str, list[float]]:
    """The bounds of the rows, half as wide again on each side, within the space's.

    The known predictors were fitted on the whole space, and the process doubts a combination of theirs more, the further it
    goes from the rows; but how far a combination holds was seen on the rows alone, so the whole space is not claimed.
    """
    space = spaces.get(rows.space)
    lower, upper = rows.codes.min(axis=0), rows.codes.max(axis=0)
    more = np.floor((upper - lower) / 2 / space.step) * space.step
    lower, upper = np.maximum(lower - more, space.lower), np.minimum(upper + more, space.upper)
    return {"lower": lower.tolist(), "upper": upper.tolist()}
