"""The paper done here: ``ncp paper table=3``, ``figure=9``, ``claims=true``, ``all=true``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

import ncp
from ncp import progress, runs, terminal
from ncp.errors import UserError

if TYPE_CHECKING:
    from ncp.paper.claims import Checked, Claim
    from ncp.paper.judging import Judges
    from ncp.paper.searches import SearchResults
    from ncp.paper.tables import Done


@dataclass
class Options:
    """``conf/paper.yaml``, where each is explained."""

    table: Any = None
    figure: Any = None
    claims: Any = None
    all: bool = False
    seeds: Annotated[int, Meta(ge=2, le=1000)] = 10
    seed: Annotated[int, Meta(ge=0)] = 0
    exact: bool = True
    store: str | None = None
    page: str | None = None


@dataclass
class Outcome:
    """What was done, and name -> file of what was written.

    Attributes:
        tables, claims: in order.
        files: by name.
        searches: CPU seconds of all searches.
        missing: settings without an imported table, for which there was no exact judge.
        notes: what could not be done.
    """

    tables: list[Done] = field(default_factory=list)
    claims: list[Checked] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    searches: float = 0.0
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Do tables, figures and claims of the paper.

    Args:
        options: which.
        folder: where the files go; None for a new run folder.

    Raises:
        UserError: for a table, figure or claim that there is not, or where nothing was asked for.
    """
    from ncp.paper import printed, tables
    from ncp.paper.judging import Judges
    from ncp.paper.searches import SearchResults
    from ncp.report import paper as report
    from ncp.search.run import one_thread

    numbers = _numbers("table", options.table, tables.NUMBERS, options.all)
    figures = _numbers("figure", options.figure, printed.FIGURES, options.all)
    chosen = _claims(options)
    if not numbers and not figures and not chosen:
        raise UserError("nothing was asked for; give table=3, figure=9, claims=true or all=true")
    folder = runs.made(folder, "paper")
    out = Outcome()
    found, judges = SearchResults(options.seed), Judges(options.store, options.exact)
    with progress.bar("paper", after=1.0) as tell, one_thread():
        parts = len(numbers) + len(figures) + bool(chosen)
        for i, number in enumerate(numbers):
            done = tables.do(number, found, judges, progress.part(tell, i, parts))
            out.tables.append(done)
            out.files[f"table {number}"] = report.write_table(done, folder)
        for i, number in enumerate(figures, start=len(numbers)):
            tell(i / parts, f"figure {number}")
            _draw(number, found, judges, folder, out, options.all)
        if chosen:
            from ncp.paper import claims

            lab = claims.Lab(found, judges, options.seeds, options.seed)
            out.claims = claims.check(chosen, lab, progress.part(tell, parts - 1, parts))
            out.files["claims"] = report.write_claims(out.claims, folder)
    out.searches, out.missing = found.seconds, list(judges.missing)
    if options.all or options.page:
        from ncp.report import paper_page

        page = Path(options.page).expanduser() if options.page else folder / "paper.md"
        out.files["page"] = paper_page.write(out.tables, out.claims, page, options.seeds, out.files.get("figure7"))
    out.files["result"] = runs.write_result(folder, _content(out, options))
    return out


def _draw(number: int, found: SearchResults, judges: Judges, folder: Path, out: Outcome, everything: bool) -> None:
    """A figure into its file; where everything is asked for, one of a table that is not imported is only told of."""
    from ncp.report import paper_figures, style

    try:
        drawn = paper_figures.draw(number, found, judges)
    except UserError as error:
        if not everything:
            raise
        out.notes.append(str(error))
        return
    for name, picture in drawn.items():
        out.files[name] = style.save(picture, folder / f"{name}.png")


def _numbers(name: str, given: Any, known: Sequence[int], everything: bool) -> list[int]:
    """One number, a list or the word all; all of them where everything is asked for."""
    if given == "all":
        return list(known)
    listed = given if isinstance(given, list) else [] if given is None else [given]
    for value in listed:
        if isinstance(value, bool) or value not in known:
            raise UserError(
                f"{name} is one of {', '.join(map(str, known))}, a list of them, or all, given was {value!r}"
            )
    return list(known) if everything else list(dict.fromkeys(listed))


def _claims(options: Options) -> tuple[Claim, ...]:
    """Those that are asked for; the part is imported only where there are some."""
    given = True if options.all else options.claims
    if not given:
        return ()
    from ncp.paper import claims

    return claims.wanted(given)


def _content(out: Outcome, options: Options) -> dict[str, Any]:
    return {
        "command": "paper",
        "version": ncp.__version__,
        "tables": {str(done.table.number): len(done.lines) for done in out.tables},
        "claims": {
            each.claim.name: {
                "verdict": each.measured.verdict,
                "text": each.measured.text,
                "figures": each.measured.figures,
            }
            for each in out.claims
        },
        "missing": out.missing,
        "seed": options.seed,
        "seconds": {"search": out.searches, "total": runs.seconds()},
    }


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print the tables in short and where the files are."""
    from ncp.report import paper as report

    for done in outcome.tables:
        report.show_table(done)
    if outcome.claims:
        report.show_claims(outcome.claims)
    if outcome.missing:
        terminal.say(
            f"note: no exact judge of {', '.join(outcome.missing)}: import their tables with {runs.invocation('benchmark')} "
            "action=import source=...",
            style="yellow",
        )
    for note in outcome.notes:
        terminal.say(f"note: {note}", style="yellow")
    terminal.say(f"all searches took {outcome.searches:.1f} CPU seconds")
    width = max(map(len, outcome.files)) + 2
    terminal.fields({name: terminal.relative(path) for name, path in outcome.files.items()}, width)
