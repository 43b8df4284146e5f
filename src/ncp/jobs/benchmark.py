"""The tables of trained architectures: ``ncp benchmark action=stats``; also import, query, best, export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from ncp import benchmark, progress, runs, spaces, terminal
from ncp.benchmark import light, modes, relations, settings, statistics, store
from ncp.errors import UserError
from ncp.files import write_text
from ncp.numeric import finite
from ncp.report import benchmark as report
from ncp.spaces import found

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ncp.benchmark.collection import Benchmark
    from ncp.benchmark.table import Record, Table


Count = Annotated[int, Meta(ge=1, le=10**9)]
SOURCES = (
    "give source=<clone of the release of NAS-Bench-MR>/data, the file of TransNAS-Bench-101 (.pth) or a folder of CSV files "
    "from it, or one table (.pkl, .csv, .parquet)"
)
"""What can be imported, for a message."""


@dataclass
class Options:
    """``conf/benchmark.yaml``, where each is explained."""

    action: str | None = None
    setting: str | None = None
    source: str | None = None
    store: str | None = None
    rows: str | None = None
    architecture: Any = None
    epoch: int | None = None
    mode: str | int | None = None
    predict: bool = True
    k: Count = 10
    metric: str | None = None
    max_macs: float | None = None
    max_params: float | None = None
    losses: Any = None
    to: str | None = None
    group: str | None = None


@dataclass
class Answer:
    """What an action found.

    Attributes:
        result: plain values for ``result.json``.
        tables: title -> table for the terminal.
        files: name -> table, written as CSV into the run folder.
        figures: name -> picture, written as PNG.
        lines: further lines for the terminal.
        written: the files in the run folder.
    """

    result: dict[str, Any]
    tables: dict[str, report.Rows] = field(default_factory=dict)
    files: dict[str, report.Rows] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)


def run(options: Options, folder: Path | None = None) -> Answer:
    """Import the released tables, look up architectures in them, and compute the paper's statistics.

    Args:
        options: ``options.action`` says what to do.
        folder: where the files go; None for a new run folder.

    Raises:
        UserError: for an unknown action, or from the action itself.
    """
    answer = answer_to(options)
    answer.written = write_answer(answer, runs.made(folder, "benchmark"))
    return answer


def answer_to(options: Options) -> Answer:
    """Perform ``options.action`` without writing anything into a run folder."""
    action = options.action
    if action not in ACTIONS:
        given = "none was given" if action is None else f"given was '{action}'"
        raise UserError(f"action must be one of {', '.join(ACTIONS)}; {given}")
    return ACTIONS[action](replace(options, setting=None if options.setting == "all" else options.setting))


def import_tables(options: Options) -> Answer:
    """``action=import source=...``: the release, or one file, into the store."""
    if options.source is None:
        raise UserError(f"what to import? {SOURCES}")
    if not Path(options.source).expanduser().exists():
        raise UserError(f"there is no file or folder '{options.source}'; {SOURCES}")
    only = [options.setting] if options.setting else []
    with progress.bar("import") as tell:
        tables = benchmark.import_release(options.source, options.store, only, tell)
    refused = [["Setting", "Row", "Reason"]]
    for name, table in tables.items():
        refused += [[name, str(r.row), r.reason] for r in table.provenance.refused]
    result = {
        name: {
            "rows": len(table),
            "refused": len(table.provenance.refused),
            "flags": {flag: int(mask.sum()) for flag, mask in table.flags.items()},
            "rules": table.provenance.rules,
            "sha256": table.provenance.sha256,
        }
        for name, table in tables.items()
    }
    rules = [f"{name}: {rule}" for name, table in tables.items() for rule in table.provenance.rules.values()]
    rules += [
        f"{name}: no {table.main} is above 1: are these fractions? Tables hold percent points"
        for name, table in tables.items()
        if table.setting.as_fractions(table.main, float(table.column(table.main).max()))
    ]
    where = f"the tables are in {options.store or benchmark.folder()}"
    return Answer(
        {"imported": result}, {"Imported": report.imports(tables)}, {"refused": refused}, lines=[*rules, where]
    )


def stats(options: Options) -> Answer:
    """``action=stats``: Table 6, Figure 4 and Figure 5 (b) of whatever tables there are, or of one setting's table alone."""
    rows = options.rows or "paper"
    title = "Table 6: main metric of each setting, percent points"
    if options.setting:
        from ncp.benchmark.collection import Benchmark

        chosen = benchmark.load(settings.get(options.setting).name, options.store)
        tables = Benchmark({chosen.name: chosen})
        points = ", percent points" if chosen.setting.unit(chosen.main) == "%" else ""
        title = f"Main metric of {chosen.name}{points}"
    else:
        tables = _tables(options)
    summaries = statistics.table6(tables, rows, _losses(options), list(tables) if options.setting else ())
    answer = Answer({"table6": {s.setting: vars(s) for s in summaries}})
    answer.tables[title] = answer.files["table6"] = report.table6(summaries)
    if len(tables.paper) > 1:
        correlation = statistics.figure4(tables, rows)
        title = f"Rank correlation of the main metrics of {len(tables.paper)} settings"
        answer.result["figure4"] = _correlation_data(correlation)
        answer.tables[f"Figure 4: {title.lower()} over {correlation.rows:,} architectures"] = report.correlation(
            correlation
        )
        answer.files["figure4"] = report.correlation(correlation)
        answer.figures["figure4"] = report.correlation_figure(correlation, title)
    if "seg" in tables:
        rankings = statistics.figure5b(tables["seg"])
        answer.result["figure5b"] = _correlation_data(rankings.correlation)
        answer.files["figure5b"] = report.correlation(rankings.correlation)
        answer.figures["figure5b"] = report.rankings_figure(rankings, "Rankings of the architectures of seg")
    return answer


def query(options: Options) -> Answer:
    """``action=query architecture=...``: what is known about one architecture, predicted where it was never trained."""
    if options.architecture is None:
        raise UserError(
            "which architecture? give architecture= its 27 numbers, its 31-number text or an architecture.yaml"
        )
    if isinstance(options.architecture, int):  # 64_64_2_... is a number to Hydra
        raise UserError(_one_number(options.architecture, options.setting))
    options = replace(options, architecture=_asked(options))
    asked = options.predict and options.epoch is None
    tables = _no_rows() if asked and not _imported(options) else _tables(options)
    if options.setting:
        chosen = tables[options.setting]
        tables = type(tables)({chosen.name: chosen}, tables.source)
    predictors = _predictors(tables, options) if options.epoch is None else {}
    if options.mode is not None:
        return _values(tables, options, options.mode)
    answers = tables.query(options.architecture, predictors, options.epoch)
    if options.metric is not None:
        answers = _only(answers, options.metric)
    first = next(iter(answers.values()))
    return Answer(
        {"records": report.as_data(answers)},
        {first.architecture.text: report.brief(answers.values())},
        {"records": report.records(answers.values())},
    )


def _one_number(given: int, setting: str | None) -> str:
    """What to write in the place of a number, in the forms of the space that is meant."""
    space = spaces.get(settings.get(setting).space if setting else spaces.of_form(found.get("default")))
    example = space.default()
    code = ",".join(map(str, example.code[:3]))
    return (
        f"architecture={given} was read as one number; one of the space {space.name} is written {example.text}, or by its code, "
        f"[{code},...] of {space.dim} numbers"
    )


def _asked(options: Options) -> Any:
    """The architecture that a query means, read in the setting's space, else in the one in whose form it is written.

    Raises:
        UserError: naming what is wrong with it, whether there are tables or not; where no table of its space is imported.
    """
    given = found.named("multires", runs.found_architecture(options.architecture))
    usual = spaces.of_form(found.get("default"))
    space = settings.get(options.setting).space if options.setting else spaces.of_form(given)
    if space == usual and not options.setting:  # or of a space that only its tables know
        return given
    architecture = spaces.parsed(spaces.get(space), given)
    names = [name for name, setting in settings.SETTINGS.items() if setting.space == space]
    names = [options.setting] if options.setting else names
    if space != usual and not any(store.file_of(name, options.store) for name in names):
        benchmark.load(names[0], options.store)  # says how it is imported
    return architecture


def _only(answers: Mapping[str, Record], metric: str) -> dict[str, Record]:
    """The records that have a metric, with that one alone.

    Raises:
        UserError: where none has it, naming the metrics that there are.
    """
    found = {
        name: replace(each, metrics={metric: each.metrics[metric]}, std=_one(each.std, metric))
        for name, each in answers.items()
        if metric in each.metrics
    }
    if not found:
        known = dict.fromkeys(name for each in answers.values() for name in each.metrics)
        raise UserError(
            f"metric is one of {', '.join(known)} here, given was '{metric}'; further columns of the tables are read with "
            "mode=best"
        )
    return found


def _one(std: Mapping[str, float] | None, metric: str) -> dict[str, float] | None:
    return None if std is None else {name: value for name, value in std.items() if name == metric}


def _values(tables: Benchmark, options: Options, mode: str | int) -> Answer:
    """``mode=best``, ``largest``, ``final``, ``list`` or an epoch: a metric of the architecture in each table that has it."""
    answers = tables.query(options.architecture)
    asked = {name: options.metric or tables[name].main for name in answers}
    having = [name for name, metric in asked.items() if metric in modes.metrics(tables[name])]
    if not having and len(asked) > 1:
        known = dict.fromkeys(metric for name in asked for metric in modes.metrics(tables[name]))
        raise UserError(f"metric is one of {', '.join(known)} here, given was '{options.metric}'")
    found: dict[str, Any] = {}
    mistakes: dict[str, UserError] = {}
    for name in having or asked:
        try:
            value = modes.value(tables[name], answers[name].architecture, asked[name], mode)
        except UserError as error:
            mistakes[name] = error
        else:
            found[name] = {"metric": asked[name], "value": value, "unit": _unit(tables[name].setting, asked[name])}
    if not found:
        raise next(iter(mistakes.values()))
    left = [f"{name} (of {asked[name]} its table has {_told(tables[name], asked[name])})" for name in mistakes]
    lines = [f"note: left out, without mode={mode}: {', '.join(left)}"] if left else []
    text = next(iter(answers.values())).architecture.text
    units = any(each["unit"] for each in found.values())
    rows = [["Setting", "Metric", f"Value ({mode})", *(["Unit"] if units else [])]]
    for name, each in found.items():
        numbers = each["value"] if isinstance(each["value"], list) else [each["value"]]
        shown = ", ".join(f"{number:.6g}" for number in numbers)
        rows.append([name, each["metric"], shown, *([each["unit"]] if units else [])])
    return Answer({"architecture": text, "mode": mode, "values": found}, {text: rows}, {"values": rows}, lines=lines)


def _unit(setting: settings.Setting, metric: str) -> str:
    """The unit of a column, where the setting knows it: a column that is none of its metrics may be anything."""
    return setting.unit(metric) if metric in setting.metrics or metric in setting.units else ""


def _told(table: Table, metric: str) -> str:
    """What a table has of a metric: for a note on what it lacks."""
    epochs = [f"{epoch}" for epoch in table.epochs if f"{metric}@{epoch}" in table.columns]
    return ", ".join([*modes.told(table, metric), *epochs])


def best(options: Options) -> Answer:
    """``action=best setting=seg``: the best trained architectures, within limits of cost."""
    if not options.setting:
        raise UserError("best in which setting? give setting=seg, for example")
    table = benchmark.load(options.setting, options.store)
    limits = {"max_macs": options.max_macs, "max_params": options.max_params}
    answers = table.best(options.metric, options.k, rows=options.rows or "all", **limits)
    title = f"The best {len(answers)} of {table.name} by {options.metric or table.main}"
    return Answer(
        {"records": report.as_data(answers)},
        {title: report.brief(answers)},
        {"records": report.records(answers)},
        lines=[f"{number:>3}  {record.architecture.text}" for number, record in enumerate(answers, start=1)],
    )


def relate(options: Options) -> Answer:
    """``action=relations group=transnas-micro``: how the tasks of a group go together, and how early ranks are settled."""
    from ncp.report import relations as pictures

    tables = _tables(options)
    groups = dict.fromkeys(name.partition("/")[0] for name in tables if "/" in name)
    if options.group not in groups:
        given = "none was given" if options.group is None else f"given was '{options.group}'"
        raise UserError(f"group is one of {', '.join(groups) or 'none: no table of a group is imported'}; {given}")
    names = [name for name in tables if name.startswith(f"{options.group}/")]
    found = relations.relations(tables, names)
    correlation = statistics.Correlation(found.labels, found.spearman, len(found.values), "all")
    answer = Answer({"pairs": [dict(zip(("a", "b", "spearman", "kendall"), row, strict=False))
                               for row in pictures.pairs(found)[1:]]})  # fmt: skip
    answer.tables[f"Tasks of {options.group}: rank correlation of the main metrics"] = answer.files["relations"] = (
        pictures.pairs(found)
    )
    answer.figures["relations"] = pictures.relations_figure(found, f"How the tasks of {options.group} go together")
    answer.figures["correlation"] = report.correlation_figure(
        correlation, f"Rank correlation of tasks, {options.group}"
    )
    curves = [relations.convergence(tables[n], metric) for n in names for metric in relations.converging(tables[n])]
    if curves:
        answer.files["convergence"] = pictures.epochs(curves)
        answer.figures["convergence"] = pictures.convergence_figure(curves, f"When ranks are settled, {options.group}")
    else:
        source = tables[names[0]].provenance.source
        answer.lines.append(f"how early ranks are settled cannot be told: {source} holds no values by epoch")
    answer.result["convergence"] = [
        {
            "setting": each.setting,
            "metric": each.metric,
            "epochs": each.epochs,
            "spearman": each.spearman,
            "kendall": each.kendall,
        }
        for each in curves
    ]
    return answer


def export(options: Options) -> Answer:
    """``action=export setting=seg to=seg.csv``: a table as CSV, as Parquet, or for installations without pyarrow."""
    if not options.setting or not options.to:
        raise UserError("export what, and where to? give setting=seg to=seg.csv (or .parquet)")
    table, path = benchmark.load(options.setting, options.store), Path(options.to)
    writers = {".csv": table.to_csv, ".parquet": table.to_parquet, light.ENDING: table.to_safetensors}
    ending = next((ending for ending in writers if path.name.endswith(ending)), None)
    if ending is None:
        raise UserError(f"to= must end in {', '.join(writers)}, given was '{path}'")
    writers[ending](path)
    return Answer(
        {"exported": str(path), "rows": len(table)}, lines=[f"{len(table):,} rows of {table.name} are in {path}"]
    )


ACTIONS = {"import": import_tables, "stats": stats, "query": query, "best": best, "relations": relate, "export": export}


def write_answer(answer: Answer, folder: Path) -> list[Path]:
    """Write result, tables and pictures of an answer into a run folder; the files' paths."""
    files = [runs.write_result(folder, answer.result)]
    for name, rows in answer.files.items():
        if len(rows) > 1:
            files.append(folder / f"{name}.csv")
            write_text(files[-1], report.as_csv(rows))
    for name, figure in answer.figures.items():
        files.append(folder / f"{name}.png")
        figure.savefig(files[-1])
    return files


def show(answer: Answer, brief: bool = False) -> None:
    """Print an answer and where its files are."""
    out = terminal.console()
    for title, rows in answer.tables.items():
        out.print(report.as_rich(rows, title), end="\n\n")
    for line in [*answer.lines, *(f"  {terminal.relative(path)}" for path in answer.written)]:
        terminal.say(line)


def _imported(options: Options) -> bool:
    """Whether there are tables at all."""
    place = Path(options.store).expanduser() if options.store else benchmark.folder()
    return bool(store.tables_in(place))


def _no_rows() -> Benchmark:
    """Tables of the paper's settings without a row, so that all is predicted."""
    import numpy as np

    from ncp.benchmark.collection import Benchmark
    from ncp.benchmark.table import Table

    made = {}
    for name in settings.PAPER:
        setting = settings.get(name)
        codes = np.empty((0, spaces.get(setting.space).dim), dtype=np.int64)
        made[name] = Table(setting, codes, {metric: np.empty(0) for metric in setting.metrics})
    return Benchmark(made)


def _tables(options: Options) -> Benchmark:
    tables: Benchmark = benchmark.load(None, options.store)
    return tables


def _predictors(tables: Benchmark, options: Options) -> dict[str, Any]:
    """Predictors of the settings in which the architecture was never trained; none where no such predictor is bundled."""
    missing = []
    for name, table in tables.items():
        try:
            missing += [] if options.architecture in table else [name]
        except UserError:  # of another space
            continue
    if not missing or not options.predict:
        return {}
    from ncp import predictors

    found = {}
    for name in missing:
        try:
            found[name] = predictors.load(name)
        except UserError:
            continue
    return found


def _losses(options: Options) -> dict[str, float]:
    """Prediction losses for Table 6: given ones, or those on the bundled predictors' cards (``losses=cards``)."""
    losses = {} if options.losses is None else options.losses
    if losses != "cards":
        if not isinstance(losses, dict):
            raise UserError(f"losses is cards, or an error of each setting such as {{seg: 0.7}}; given was {losses!r}")
        return {settings.get(str(name)).name: finite(f"losses.{name}", loss, least=0) for name, loss in losses.items()}
    from ncp import predictors

    out = {}
    for name in settings.PAPER:
        card = predictors.load(name).card
        error = card.errors.get(settings.get(name).main, {}).get("mae")
        if error is not None:
            out[name] = float(error)
    return out


def _correlation_data(correlation: statistics.Correlation) -> dict[str, Any]:
    return {
        "labels": correlation.labels,
        "matrix": correlation.matrix,
        "rows": correlation.rows,
        "rule": correlation.rule,
    }
