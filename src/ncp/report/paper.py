"""The paper done here, as files and for a terminal: tables as CSV and in short, claims, the page that is checked in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncp import files, runs, terminal

if TYPE_CHECKING:
    from ncp.paper.claims import Checked
    from ncp.paper.tables import Done, Line

FIXED = ("objective", "source", "architecture", "macs", "params", "flops_g", "params_m")


def rows(done: Done) -> list[list[Any]]:
    """``tableN.csv``: a row a network; of each figure its value, our predictor's doubt, and the exact process' two."""
    exact = [name for name in done.names if any(name in line.exact for line in done.lines)]
    transfer = any(line.before is not None for line in done.lines)
    head: list[Any] = [*FIXED, *done.names, *(f"doubt.{name}" for name in done.names)]
    head += [f"{kind}.{name}" for name in exact for kind in ("exact", "exact_doubt")]
    head += [*(("before", "exact_before") if transfer else ()), "queries", "seconds", "note", "training", "train"]
    return [head, *(_cells(line, done, exact, transfer) for line in done.lines)]


def _cells(line: Line, done: Done, exact: Sequence[str], transfer: bool) -> list[Any]:
    out: list[Any] = [line.objective, line.source, line.architecture.text if line.architecture is not None else None]
    out += [line.macs, line.params, _rounded(line.flops_g), _rounded(line.params_m)]
    out += [_rounded(line.figures.get(name)) for name in done.names]
    out += [_rounded(line.doubts.get(name)) for name in done.names]
    out += [_rounded(value) for name in exact for value in line.exact.get(name, (None, None))]
    out += [_rounded(line.before), _rounded(line.before_exact)] if transfer else []
    return [*out, line.queries, _rounded(line.seconds), line.note, *_trained(line)]


def _trained(line: Line) -> tuple[str, str]:
    """The row's name among the trainings, where it has some, and their commands."""
    return line.row if line.trainings else "", "; ".join(line.trainings.values())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def brief(done: Done) -> list[list[str]]:
    """For a terminal and the page: main metrics alone; of what was found here the exact process' figures where there are some."""
    from ncp.benchmark import settings

    names = [name for name in done.names if _main(name, settings.SETTINGS)]
    timed = all(not row.figures for row in done.table.rows)
    head = ["Objective", "Source", "G", "M", *(_short(name) for name in names)]
    head += ["before"] if any(line.before is not None for line in done.lines) else []
    head += ["queries", "seconds"] if timed else []
    head.append("Training")
    out, printed = [head], {row.name: row.figures for row in done.table.rows}
    for line in done.lines:
        cells = [line.objective, line.source, _number(line.flops_g, 2), _number(line.params_m, 2)]
        own = printed[line.objective] if done.table.number == 4 else names  # a transfer is about one task
        cells += [_figure(line, name) if name in own else "" for name in names]
        if "before" in head:
            before = line.before if line.before_exact is None else line.before_exact
            cells.append(_number(before, 2))
        cells += [f"{line.queries:,}" if line.queries else "", _number(line.seconds, 3)] if timed else []
        cells.append(_training(line))
        out.append(cells)
    return out


def _training(line: Line) -> str:
    """Which training alone tells the figures: `†` where they are printed ones of it; its name, or why there is none."""
    printed = "† " if line.source == "paper" and line.figures else ""
    return printed + (line.row if line.trainings else line.note)


def _figure(line: Line, name: str) -> str:
    if line.source == "paper":
        return _number(line.figures.get(name), 2)
    if name in line.exact:
        return f"{line.exact[name].value:.2f} ± {line.exact[name].doubt:.2f}"
    return f"{line.figures[name]:.2f} ± {line.doubts[name]:.2f}" if name in line.figures else ""


def _main(name: str, known: Any) -> bool:
    setting, _, metric = name.rpartition(".")
    return setting in known and known[setting].main == metric


def _short(name: str) -> str:
    return name.replace("cls-50-1000", "cls").replace(".", " ")


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def trainings(done: Sequence[Done]) -> list[list[str]]:
    """The commands that train every network that is known, a row a network and setting, of all tables."""
    out = [["row", "table", "objective", "source", "setting", "command"]]
    for each in done:
        for line in each.lines:
            out += [
                [line.row, str(each.table.number), line.objective, line.source, setting, command]
                for setting, command in line.trainings.items()
            ]
    return out


def judged_by(done: Done) -> str:
    """Who gave the figures of what was found here, in words."""
    if any(line.exact for line in done.lines):
        return "found here: expected by an exact process on all rows of each table, ± its own doubt"
    return "found here: expected by the default predictors, ± their own doubt (no table is imported for an exact judge)"


def write_table(done: Done, folder: Path) -> Path:
    """``tableN.csv``."""
    return files.write_text(folder / f"table{done.table.number}.csv", terminal.csv_text(rows(done)))


def show_table(done: Done) -> None:
    """Print a table in short."""
    from ncp.paper import tables
    from ncp.report.benchmark import as_rich

    title = f"Table {done.table.number}: {done.table.title}"
    terminal.console().print(as_rich(brief(done), title))
    terminal.say(judged_by(done), style="dim")
    if done.table.number == 4:
        terminal.console().print(as_rich(tables.matrix(done), "Kept (-F) → transferred (-T): printed | here"))
    terminal.say()


# ---- claims


def claims_rows(claims: Sequence[Checked]) -> list[list[str]]:
    """A row a claim."""
    head = [["Where", "Claim", "Verdict", "Measured", "Command"]]
    return head + [
        [each.claim.where, each.claim.text, each.measured.verdict, each.measured.text, command(each)] for each in claims
    ]


def command(checked: Checked) -> str:
    """The command that measures a claim."""
    return f"{runs.invocation('paper')} claims=[{checked.claim.name}]"


def counts(claims: Sequence[Checked]) -> str:
    """How many there are of each verdict, in words."""
    from ncp.paper.claims import VERDICTS

    number = {verdict: sum(each.measured.verdict == verdict for each in claims) for verdict in VERDICTS}
    return ", ".join(f"{count} {verdict}" for verdict, count in number.items() if count)


def write_claims(claims: Sequence[Checked], folder: Path) -> Path:
    """``claims.csv``."""
    return files.write_text(folder / "claims.csv", terminal.csv_text(claims_rows(claims)))


def show_claims(claims: Sequence[Checked]) -> None:
    """Print verdicts and what was measured."""
    for each in claims:
        terminal.say(f"{each.measured.verdict.upper()}: {each.claim.text} ({each.claim.where})")
        terminal.say(f"  {each.measured.text}", style="dim")
    terminal.say(f"{len(claims)} claims: {counts(claims)}")
    terminal.say()
