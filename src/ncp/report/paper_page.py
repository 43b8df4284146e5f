"""``docs/paper.md``: all claims and tables of the paper on one page, made by the command and checked in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ncp import files, runs, terminal
from ncp.report.paper import brief, counts, judged_by, trainings

if TYPE_CHECKING:
    from ncp.paper.claims import Checked
    from ncp.paper.tables import Done

HEAD = """# The paper, claim by claim

Made by `{command} all=true page=docs/paper.md`; do not edit. Everything on this page is measured on what is public:
the benchmark's released tables (about nine tenths of their rows) and predictors fitted to them. Nothing was trained for it: what
only a training can tell is marked so, with the command that would.

*Faithful* is the paper's strategy with the paper's predictor, from the paper's start, and returns the last code (Algorithm 1).
*Default* is this project's search (`strategy=robust`) for the same objectives at no more than the cost that the paper prints.
"""


def write(done: Sequence[Done], claims: Sequence[Checked], path: Path, seeds: int, picture: Path | None = None) -> Path:
    """Write the page, and beside it a picture and the trainings' commands under the page's name.

    Args:
        done: the tables.
        claims: what was measured.
        path: of the page.
        seeds: how many starts or seeds the claims were measured with.
        picture: Figure 7, a PNG; None for none.
    """
    parts = [HEAD.format(command=runs.invocation("paper"))]
    if picture is not None:
        beside = files.write_bytes(path.with_suffix(".png"), files.read_bytes(picture))
        parts.append(f"![Efficiency and performance on four tasks: printed networks, and found ones]({beside.name})\n")
    parts += [*_claims(claims, seeds), *_figures(), *_tables(done, beside_of(path))]
    if done:
        files.write_text(beside_of(path), terminal.csv_text(trainings(done)))
    return files.write_text(path, "\n".join(parts))


def _claims(claims: Sequence[Checked], seeds: int) -> list[str]:
    from ncp.report.benchmark import as_markdown

    if not claims:
        return []
    rows = [["Name", "Where", "Claim", "Verdict", "Measured"]]
    rows += [
        [each.claim.name, each.claim.where, each.claim.text, each.measured.verdict, each.measured.text]
        for each in claims
    ]
    return [
        f"## Claims\n\n{len(claims)} claims: {counts(claims)}. Spreads (±) are standard deviations over {seeds} starts or seeds "
        f"unless something else is said. One alone: `{runs.invocation('paper')} claims=[NAME]`.\n",
        as_markdown(rows),
    ]


def beside_of(page: Path) -> Path:
    """The file of commands beside a page."""
    return page.with_name(f"{page.stem}_trainings.csv")


def _figures() -> list[str]:
    from ncp.report import paper_figures
    from ncp.report.benchmark import as_markdown

    return [
        f"## Figures\n\nAll in one style; one alone: `{runs.invocation('paper')} figure=9`.\n",
        as_markdown(paper_figures.described()),
    ]


def _tables(done: Sequence[Done], commands: Path) -> list[str]:
    from ncp.paper import tables
    from ncp.report.benchmark import as_markdown

    if not done:
        return []
    parts = [
        "## Tables\n\nG: billions of multiply-adds as the paper's table counts them, M: millions of parameters. The paper's "
        f"figures are of trained networks; {judged_by(done[0])}. Seconds are CPU seconds on one core. All columns: "
        f"`{runs.invocation('paper')} table=3` writes `table3.csv`.\n\n"
        "The last column says which training a row depends on. † marks printed figures: those of a training that nobody can "
        f"repeat here. The name is that of the rows in [{commands.name}]({commands.name}) whose commands would train the "
        f"network in every setting that has a figure, such as `{runs.invocation('train')} setting=seg arch=ncp_seg "
        "data.root=DATA`; without one the network is not known, and of a found one the faithful row below is the nearest.\n"
    ]
    for each in done:
        parts += [f"### Table {each.table.number}: {each.table.title}\n", as_markdown(brief(each))]
        if each.table.number == 4:
            parts += [
                "Kept as it is (-F) → transferred (-T), printed | here; on the diagonal a task's own network:\n",
                as_markdown(tables.matrix(each)),
            ]
    return parts
