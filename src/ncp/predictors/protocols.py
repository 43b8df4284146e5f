"""How rows are divided to fit a predictor and to measure its errors, the same way for every family.

* ``honest`` (the default): 70 % fitted, 10 % validation (they choose the epoch where a family has epochs), 20 % test, which
  give the errors and are used for nothing else.
* ``paper``: 80 % fitted, 20 % validation, which choose the best epoch and give the errors too, as the release does
  (appendix E.1: 2,000 and 500 rows). The errors are too small by what the choice gains; a family without epochs sees the 80 %
  alone.
* ``all-rows``: fitted on all rows; the errors are those of a cross-validation. For the weights that are bundled. The families
  for few rows take it in place of ``honest`` where there are fewer than 100.

Shape suffixes: N rows, K rows held out, M metrics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from inspect import signature
from typing import Any

import numpy as np

from ncp import registry
from ncp.errors import UserError
from ncp.numeric import whole
from ncp.predictors import evaluation, trust
from ncp.predictors.base import Predictor
from ncp.predictors.rows import Rows
from ncp.progress import Progress, part

PROTOCOLS = ("honest", "paper", "all-rows")
FAMILIES = ("auto", "transfer", "default", "paper")
"""What can be fitted: ``auto`` is ``transfer`` or ``default``, whichever is better on rows held out."""
FEW_FAMILIES = ("auto", "transfer")
TEST, VALIDATION, FOLDS = 0.2, 0.1, 5
FEW = 100
LEAST = 20  # rows that a family with many parameters is fitted on; those of few rows say themselves how many they need


@dataclass(frozen=True)
class HeldOut:
    """Rows that a predictor was not fitted on, and its answers.

    Attributes:
        metrics: M names.
        measured, predicted, std: ``(K, M)`` in the metrics' units; ``std`` is that of a training's result.
        good: ``(K,)`` bool, rows of which nothing is known to be wrong.
    """

    metrics: tuple[str, ...]
    measured: np.ndarray
    predicted: np.ndarray
    std: np.ndarray
    good: np.ndarray

    def errors(self) -> dict[str, dict[str, float]]:
        """Per metric: see :func:`ncp.predictors.evaluation.errors`."""
        return evaluation.errors(self.metrics, self.measured, self.predicted, self.std)

    def subset(self, mask: np.ndarray) -> HeldOut:
        """Some of the rows."""
        return HeldOut(self.metrics, self.measured[mask], self.predicted[mask], self.std[mask], self.good[mask])


@dataclass
class Outcome:
    """A fitted predictor and what was measured.

    Attributes:
        predictor: fitted, with its card filled in.
        held: the rows it did not see and its answers.
        counts: number of rows by use: ``fitted``, ``validation``, ``test``.
        seconds: wall time of all fits.
        left_out: reason -> number of rows of the source that were not used at all.
        all_rows: where some rows are known to be wrong, the errors of the same protocol without that knowledge: fitted on all
            rows, measured on all of those held out (``all``) and on the good ones among them (``good``).
    """

    predictor: Predictor
    held: HeldOut
    counts: dict[str, int]
    seconds: float = 0.0
    all_rows: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def without_skill(self) -> dict[str, str]:
        """Metric -> why its predictions are worth nothing, of those of which the errors say so."""
        reasons = {name: trust.without_skill(self.predictor, name) for name in self.predictor.metrics}
        return {name: reason for name, reason in reasons.items() if reason is not None}


def split(
    n: int, protocol: str, seed: int = 0, least: int = LEAST, first: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Sorted row numbers by use: ``fitted`` and, as the protocol has them, ``validation`` and ``test``.

    Rows of one architecture stay together.

    Args:
        n: rows.
        protocol: one of :data:`PROTOCOLS`.
        seed: of the division.
        least: the fewest rows that are divided.
        first: ``(n,)`` of each row the first with its architecture; None where no architecture is there twice.

    Raises:
        UserError: for an unknown protocol, or too few rows for it.
    """
    if protocol not in PROTOCOLS:
        raise UserError(f"unknown protocol '{protocol}'; protocols: {', '.join(PROTOCOLS)}")
    order = evaluation.shuffled(n, seed, first)
    if len(order) < least:
        given = f"{n} rows" if len(order) == n else f"{n} rows of {len(order)} different architectures"
        raise UserError(f"{given} are too few to fit a predictor and measure its errors; give {least} or more")
    test = round(TEST * len(order)) if protocol == "honest" else 0
    held = {"honest": VALIDATION, "paper": TEST, "all-rows": 0.0}[protocol]
    validation = round(held * len(order))
    parts = {"test": order[:test], "validation": order[test : test + validation], "fitted": order[test + validation :]}
    return {
        name: np.sort(rows) if first is None else np.flatnonzero(np.isin(first, rows))
        for name, rows in parts.items()
        if len(rows)
    }


def fit(
    rows: Rows,
    family: str = "default",
    *,
    validation: Rows | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> Predictor:
    """Fit a predictor of a family to ``rows``: one signature for all families.

    Args:
        rows: what it is fitted on.
        family: one of :data:`FAMILIES`, or a kind that an installed package announces (:func:`ncp.predictors.base.kinds`).
        validation: rows that choose the epoch; a family without epochs is fitted on them as well.
        seed: of all random numbers.
        progress: told the part done.
        options: the family's own (of :func:`ncp.predictors.training.fit`, :class:`ncp.predictors.gp_fit.Options` or
            :class:`ncp.predictors.few.Options`).

    Raises:
        UserError: for an unknown family or option, listing those that exist.
    """
    others = registry.announced("ncp.predictors")
    if family not in (*FAMILIES, *others):
        raise UserError(f"unknown predictor family '{family}'; families: {', '.join([*FAMILIES, *others])}")
    if family not in ("default", *FEW_FAMILIES):
        made = import_module("ncp.predictors.training" if family == "paper" else others[family]).fit
        known = set(signature(made).parameters) - {"rows", "validation", "seed", "progress"}
        _check_options(family, options, known)
        fitted: Predictor = made(rows, validation=validation, seed=seed, progress=progress, **options)
        return fitted
    if validation is not None:
        rows = joined(rows, validation)
    if family in FEW_FAMILIES:
        return _fit_few(rows, family, seed, progress, options)
    from ncp.predictors import gp_fit

    known = {f.name for f in fields(gp_fit.Options)} - {"seed"}
    _check_options(family, options, known)
    settings = gp_fit.Options(**options, seed=seed)
    total = settings.steps * len(rows.metrics)
    return gp_fit.fit(rows, settings, _counter(progress, total))


def _fit_few(rows: Rows, family: str, seed: int, progress: Progress | None, given: Mapping[str, Any]) -> Predictor:
    from ncp.predictors import auto, few

    _check_options(family, given, {f.name for f in fields(few.Options)} - {"seed"})
    options = few.Options(**given, seed=seed)
    if family == "transfer":
        return auto.fit_family(rows, family, "", options, progress)
    return auto.fit_rows(rows, options, progress)


def learns_costs(family: str) -> bool:
    """Whether a family has the recorded costs as outputs too (the paper's does; the default search counts them exactly)."""
    return family == "paper"


def joined(first: Rows, second: Rows) -> Rows:
    """The rows of both, which are parts of one table."""
    return replace(
        first,
        codes=np.concatenate([first.codes, second.codes]),
        targets=np.concatenate([first.targets, second.targets]),
        good=np.concatenate([first.good, second.good]),
    )


def run(
    rows: Rows,
    family: str = "default",
    protocol: str = "honest",
    *,
    seed: int = 0,
    folds: int = FOLDS,
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
) -> Outcome:
    """Fit by a protocol, measure the errors and fill in the card.

    Rows that are known to be wrong are left out, and where there are any the protocol is run on all rows as well, so that
    both results can be reported (``Outcome.all_rows``); the predictor returned is that of the good rows.

    A metric other than the main one that is the same in all rows is left out, and the card says so.

    Raises:
        UserError: for an unknown family, protocol or option, too few rows, or a main metric that never varies.
    """
    start = time.perf_counter()
    seed, folds = whole("seed", seed, 0), whole("folds", folds, 2)
    used = rows if rows.good.all() else rows.only_good()
    _check_number(used, family, protocol)
    used, same = used.varying()
    if family in FEW_FAMILIES and protocol == "honest" and len(used) < FEW:
        protocol = "all-rows"
    rows = rows.only_metrics(used.metrics)
    all_good = bool(rows.good.all())
    first, second = (progress, None) if all_good else (part(progress, k, 2, f"{k + 1}/2") for k in range(2))
    outcome = _run(used, family, protocol, seed, folds, first, dict(options or {}))
    if not all_good:
        other = _run(rows, family, protocol, seed, folds, second, dict(options or {})).held
        outcome.all_rows = {"all": other.errors(), "good": other.subset(other.good).errors()}
    card = outcome.predictor.card
    card.rows, card.errors, card.held = outcome.counts["fitted"], outcome.held.errors(), len(outcome.held.measured)
    card.source, card.licence, card.min_overlap = rows.source, rows.licence, rows.min_overlap
    card.protocol = _describe(protocol, outcome, seed, folds)
    if outcome.predictor.choice:
        card.protocol += f"; {outcome.predictor.choice}"
    if same:
        card.protocol += f"; without {', '.join(same)}, the same in all rows"
    if rule := rows.rule():
        main = rows.metrics[0]
        card.protocol += (
            f"; {rule} (fitted on all rows instead, the MAE of {main} is {outcome.all_rows['all'][main]['mae']:.2f} on "
            f"all rows and {outcome.all_rows['good'][main]['mae']:.2f} on those)"
        )
    outcome.left_out = rows.left_out
    outcome.seconds = time.perf_counter() - start
    return outcome


def _run(
    rows: Rows, family: str, protocol: str, seed: int, folds: int, progress: Progress | None, options: dict[str, Any]
) -> Outcome:
    few_rows = family in FEW_FAMILIES
    first = rows.first
    parts = split(len(rows), protocol, seed, 1 if few_rows else LEAST, first)
    counts = {name: len(index) for name, index in parts.items()}
    choosing, fitting = (part(progress, k, 2) for k in range(2)) if family == "auto" else (None, progress)
    choice = ""
    has_errors = parts.get("test", parts.get("validation"))
    if few_rows:  # rows that are not fitted decide nothing
        seen = np.arange(len(rows)) if has_errors is None else np.setdiff1d(np.arange(len(rows)), has_errors)
        family, choice, options = _choose(rows.subset(seen), family, seed, choosing, options)
    if protocol == "all-rows":
        outcome = _run_all_rows(rows, family, seed, folds, fitting, options, counts)
    else:
        assert has_errors is not None
        fitted, validation = parts["fitted"], None
        if family not in ("default", *FEW_FAMILIES):
            validation = rows.subset(parts["validation"])
        elif protocol != "paper":  # in which what is fitted on both would be measured on one of them
            fitted = np.concatenate([fitted, parts["validation"]])
        predictor = fit(rows.subset(fitted), family, validation=validation, seed=seed, progress=fitting, **options)
        outcome = Outcome(predictor, _answers(predictor, rows.subset(has_errors)), counts)
    if choice:
        outcome.predictor.choice = "; ".join(filter(None, (choice, outcome.predictor.choice)))
    return outcome


def _check_number(rows: Rows, family: str, protocol: str) -> None:
    """Raise ``UserError`` for fewer rows than a family is fitted on, or an unknown protocol."""
    if family in FEW_FAMILIES:
        from ncp.predictors import few

        few.check_number(rows)
    split(len(rows), protocol, least=1 if family in FEW_FAMILIES else LEAST, first=rows.first)


def _choose(
    rows: Rows, family: str, seed: int, progress: Progress | None, given: dict[str, Any]
) -> tuple[str, str, dict[str, Any]]:
    """Which family ``auto`` is for these rows, why, and the options that it takes."""
    from ncp.predictors import auto, few

    _check_options(family, given, {f.name for f in fields(few.Options)} - {"seed"})
    if family != "auto":
        return family, "", given
    chosen, words = auto.choose(rows, few.Options(**given, seed=seed), progress)
    return chosen, words, given if chosen == "transfer" else {}


def _run_all_rows(
    rows: Rows,
    family: str,
    seed: int,
    folds: int,
    progress: Progress | None,
    options: dict[str, Any],
    counts: dict[str, int],
) -> Outcome:
    """Cross-validation for the errors, then one fit on everything."""
    tell = [part(progress, k, folds + 1, f"{k + 1}/{folds + 1}") for k in range(folds + 1)]
    fold_of_N = np.zeros(len(rows), dtype=np.int64)
    predicted_NM, std_NM = np.zeros_like(rows.targets), np.zeros_like(rows.targets)
    knows_noise = True
    for k, (fitted, held) in enumerate(evaluation.k_fold(len(rows), folds, seed, rows.first)):
        predictor = fit(rows.subset(fitted), family, seed=seed, progress=tell[k], **options)
        answers = _answers(predictor, rows.subset(held))
        fold_of_N[held], predicted_NM[held], std_NM[held] = k, answers.predicted, answers.std
        knows_noise = predictor.knows_noise
    predictor = fit(rows, family, seed=seed, progress=tell[folds], **options)
    if not knows_noise:  # what a fold's errors should be is known from the other folds
        squares_NM = np.square(predicted_NM - rows.targets)
        for k in range(folds):
            std_NM[fold_of_N == k] = np.sqrt(squares_NM[fold_of_N != k].mean(axis=0))
        predictor.noise_std.copy_(predictor.noise_std.new_tensor(np.sqrt(squares_NM.mean(axis=0))))
    return Outcome(predictor, HeldOut(rows.metrics, rows.targets, predicted_NM, std_NM, rows.good), counts)


def _answers(predictor: Predictor, rows: Rows) -> HeldOut:
    predicted, std = predictor.predict(rows.codes), predictor.predict_std(rows.codes)
    stack = [np.stack([answer[name] for name in rows.metrics], axis=1) for answer in (predicted, std)]
    return HeldOut(rows.metrics, rows.targets, stack[0], stack[1], rows.good)


def _describe(protocol: str, outcome: Outcome, seed: int, folds: int) -> str:
    counts, k = outcome.counts, len(outcome.held.measured)
    if protocol == "all-rows":
        return f"all rows fitted; errors from {folds}-fold cross-validation (seed {seed})"
    if protocol == "paper":
        return f"{counts['fitted']} rows fitted, best epoch chosen and errors measured on the same {k} others (seed {seed})"
    return f"{counts['fitted']} rows fitted, {counts['validation']} for validation, errors on {k} others (seed {seed})"


def _check_options(family: str, options: Mapping[str, Any], known: set[str]) -> None:
    unknown = [name for name in options if name not in known]
    if unknown:
        raise UserError(f"the {family} predictor has no option '{unknown[0]}'; its options: {', '.join(sorted(known))}")


def _counter(progress: Progress | None, total: int) -> Callable[[], None] | None:
    """A function to call after each of ``total`` steps."""
    if progress is None:
        return None
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if done % max(1, total // 200) == 0 or done == total:
            progress(done / total, f"step {done}/{total}")

    return tick
