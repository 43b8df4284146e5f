"""The page at the end of a discovery: what was tried, what was found, how sure that is, what it cost, how to repeat it.

The same in Markdown, with pictures beside it, and in one HTML file that can be sent to somebody.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import ncp
from ncp import terminal
from ncp.campaign.discovery import BEST, DEFAULT, FOUND, cost_of
from ncp.commandline import command_line
from ncp.files import read_bytes, write_text
from ncp.metrics.kitti_names import in_words
from ncp.report.drawing import draw
from ncp.terminal import duration

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ncp.campaign.discovery import Discovery

_MARKS = {FOUND: "D", DEFAULT: "s", BEST: "^"}
_TITLES = {"loop": "The loop, closed", "discovery": "A network designed for {}"}
PICTURE_LIMIT = 32 * 2**20  # bytes of a picture within the page


def write_page(discovery: Discovery, folder: Path, name: str) -> dict[str, Path]:
    """``NAME.png``, ``NAME.md`` and ``NAME.html``."""
    from ncp.report import style

    files = {"picture": style.save(comparison_figure(discovery, name), folder / f"{name}.png")}
    text = page(discovery, name)
    files["page"], files["html"] = folder / f"{name}.md", folder / f"{name}.html"
    write_text(files["page"], text)
    write_text(files["html"], as_html(text, folder))
    return files


def as_html(text: str, folder: Path) -> str:
    """A page of ours in Markdown as one HTML file, its pictures inside.

    The text may hold names from elsewhere: raw HTML in it stays text, and only pictures below ``folder`` are taken in.
    """
    from markdown_it import MarkdownIt

    def embedded(found: re.Match[str]) -> str:
        path = (folder / html.unescape(found[1])).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            return found[0]
        data = base64.b64encode(read_bytes(path, PICTURE_LIMIT)).decode()
        return f'src="data:image/png;base64,{data}"'

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    body = re.sub(r'src="([^":]+\.png)"', embedded, body)
    title = html.escape(text.partition("\n")[0].removeprefix("# "))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


_STYLE = (
    ":root{color-scheme:light dark}body{max-width:60rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 system-ui,sans-serif}"
    "img{max-width:100%;background:#fff;border-radius:4px}table{border-collapse:collapse}th,td{padding:.3rem .8rem;"
    "border-bottom:1px solid #8886;text-align:left}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;padding:.8rem;background:#8881;border-radius:4px}"
    "code{font-size:.9em;overflow-wrap:anywhere}code.language-text{white-space:pre;overflow-wrap:normal}"
)


def comparison_figure(discovery: Discovery, name: str = "discovery") -> Figure:
    """A panel a setting: metric over cost, sampled and compared."""
    from ncp.report import style

    title = "The loop: sampled, predicted, found, trained" if name == "loop" else "Sampled, predicted, found, compared"
    width = 4.6 * len(discovery.names) if len(discovery.names) > 1 else 7.0
    fig = style.figure(width, 4.2, title, _subtitle(discovery))
    for i, setting in enumerate(discovery.names):
        _panel(fig.add_subplot(1, len(discovery.names), i + 1), discovery, setting)
    handles, labels = fig.axes[0].get_legend_handles_labels()
    columns = len(labels) if len(discovery.names) > 1 else 3  # as many as find room
    fig.legend(handles, labels, fontsize=8.5, frameon=False, loc="lower center", ncols=columns)
    fig.subplots_adjust(left=0.07 if len(discovery.names) > 1 else 0.1, right=0.98, top=0.79, bottom=0.23, wspace=0.2)
    return fig


def _panel(ax: Axes, discovery: Discovery, name: str) -> None:
    from ncp.report import style

    table = discovery.tables[name]
    style.dress(
        ax,
        f"{name}: {table.main}{_direction(discovery, name)}",
        table.setting.unit(table.main),
        "million multiply-adds at 128 x 128",
    )
    ax.scatter(table.macs / 1e6, table.column(table.main), s=14, color=style.GREY, alpha=0.6, label="sampled")
    colours = {FOUND: style.VERMILION, DEFAULT: style.BLUE, BEST: style.GREEN}
    for candidate, scores in discovery.scores.items():
        if name not in scores:
            continue
        measured, macs = scores[name], discovery.macs[candidate] / 1e6
        colour, mark = colours.get(candidate, style.PURPLE), _MARKS.get(candidate, "P")
        ax.scatter([macs] * len(measured), measured, s=22, marker=mark, color=colour, alpha=0.5)
        mean, std = measured.mean(), measured.std(ddof=1) if len(measured) > 1 else 0.0
        ax.errorbar(macs, mean, std, fmt=mark, color=colour, ms=8, capsize=3, label=candidate)
    ax.scatter(
        discovery.macs[FOUND] / 1e6, discovery.predicted[name], s=70, marker="o", facecolors="none",
        edgecolors=style.VERMILION, label="found, predicted",
    )  # fmt: skip
    if "macs" in discovery.budget:
        limit = discovery.budget["macs"] / 1e6
        ax.axvline(limit, color=style.GREY, lw=1, ls=":", zorder=0)
        ax.text(limit, ax.get_ylim()[1], " limit", size=8, color=style.GREY, va="top")


def _subtitle(discovery: Discovery) -> str:
    sampled = max(len(table) for table in discovery.tables.values())
    if discovery.recorded:
        return f"{sampled} rows of the recorded table stand for trainings"
    repeats = len(next(iter(discovery.scores[FOUND].values())))
    again = "once" if repeats == 1 else f"{repeats} times (mean and deviation)"
    where = " in each setting" if len(discovery.names) > 1 else ""
    return f"{sampled} architectures trained{where}, the compared ones {again}"


def _time(discovery: Discovery) -> str:
    total, processor = (terminal.duration(sum(of.values())) for of in (discovery.seconds, discovery.cpu_seconds))
    return f"{total}, {processor} of processor time"


def verdict(discovery: Discovery, name: str) -> str:
    """In words how the found architecture does against the others."""
    judged = ", as the judge predicts them" if discovery.recorded else ""
    return f"{name}{judged}{_direction(discovery, name)}: " + ", ".join(against(discovery, name))


def _direction(discovery: Discovery, name: str) -> str:
    """Behind the name of a setting's main metric, where less of it is better."""
    return " (less is better)" if discovery.sign(name) < 0 else ""


def against(discovery: Discovery, name: str) -> list[str]:
    """How the found architecture does against each other one, by the noise of repeated trainings.

    The noise is the pooled deviation of all architectures that were trained more than once; won and lost are outside of Student's
    95 % interval of the difference.
    """
    scores = {other: of[name] for other, of in discovery.scores.items() if name in of}
    found = scores.pop(FOUND)
    networks = {_text(discovery, other): values for other, values in ((FOUND, found), *scores.items())}  # each once
    again = [values for values in networks.values() if len(values) > 1]
    free = sum(len(values) - 1 for values in again)
    noise = (sum(((values - values.mean()) ** 2).sum() for values in again) / free) ** 0.5 if free else 0.0
    out = []
    for other, values in scores.items():
        if _text(discovery, other) == _text(discovery, FOUND):
            out.append(f"it is the {other} one itself")
            continue
        gap = found.mean() - values.mean()
        words = f"{gap:+.2f} against the {other}"
        if discovery.recorded:
            out.append(words)
        elif not free:
            out.append(f"{words} (one training each, the noise is not known)")
        elif noise == 0:
            out.append(f"{words} (trainings with other seeds ended alike, the noise is not known)")
        else:
            error = noise * (1 / len(found) + 1 / len(values)) ** 0.5
            out.append(f"{words} (standard error {error:.2f}: {_sure_of(discovery.sign(name) * gap, error, free)})")
    return out


def _text(discovery: Discovery, candidate: str) -> str:
    """What tells a candidate's network from others."""
    architecture = discovery.candidates[candidate]
    return architecture if isinstance(architecture, str) else str(architecture.text)


def _sure_of(gap: float, error: float, free: int) -> str:
    from scipy import stats

    reach = stats.t.ppf(0.975, free) * error
    return "won" if gap > reach else "lost" if gap < -reach else "too close to call"


def page(discovery: Discovery, name: str = "discovery") -> str:
    """Markdown: what came of it, then every step with its picture, command and time."""
    title = _TITLES[name].format(terminal.markdown(", ".join(discovery.names)))
    lines = [f"# {title}", "", *_data(discovery), ""]
    for setting in discovery.names:
        lines += [*_in_short(discovery, setting), ""]
    if notes := list(dict.fromkeys(discovery.notes)):
        lines += ["What one must know beside it:", "", *(f"- {terminal.markdown(note)}" for note in notes), ""]
    lines += [
        f"{_subtitle(discovery)}.",
        "",
        f"![]({name}.png)",
        "",
        *_comparison(discovery),
        "",
        _limits(discovery),
        "",
    ]
    lines += [] if discovery.recorded else [_WON, ""]
    tried = "Draw rows of the recorded table" if discovery.recorded else "Sample and train"
    lines += [f"## 1. {tried}", "", *_sampled(discovery), ""]
    lines += [f"![samples of the data]({discovery.samples})", ""] if discovery.samples else []
    lines += _commands(discovery, "build")
    lines += ["## 2. Fit the predictors", "", *_fitted(discovery), "", *_commands(discovery, "fit")]
    searched = "Search one architecture" + (" for all" if len(discovery.names) > 1 else "")
    found = discovery.candidates[FOUND]
    lines += [f"## 3. {searched}", "", f"Found: `{found.text}`", "", "```text", draw(found), "```", ""]
    lines += [*_sure(discovery), "", *_commands(discovery, "search")]
    if not discovery.recorded:
        lines += ["## 4. Train it, and those to compare it with", "", *_commands(discovery, "compare")]
    if discovery.exports:
        lines += ["## 5. Take it along", "", *(f"- {kind}: `{path}`" for kind, path in discovery.exports.items()), ""]
        lines += _commands(discovery, "export")
        lines += ["What it sees in files of yours:", "", "```bash", _use(discovery.exports), "```", ""]
    lines += ["## What it cost", "", *_cost(discovery), f"ncp {ncp.__version__}"]
    return "\n".join(lines) + "\n"


_WON = (
    "*found* is what the search found; *default* the paper's default code, within the bounds; *best sampled* the best within "
    "the limit of those that were trained to learn from, trained anew like the others. Won and lost: with 95 % confidence, by "
    "the deviation of all repeated trainings (Student's t); how the validation set happened to be drawn is not part of it."
)


def _in_short(discovery: Discovery, name: str) -> list[str]:
    """What was found, and how it does against each other one."""
    table = discovery.tables[name]
    reached = _cell(discovery.scores[FOUND][name])
    how = "as the judge predicts it" if discovery.recorded else f"predicted {_predicted(discovery, name)}"
    cost = f"{discovery.macs[FOUND] / 1e6:,.1f} million multiply-adds"
    head = f"{name}: the found network reaches {reached} {table.main} ({how}) with {cost}"
    head += f". Against the others, in points of {table.main}{_direction(discovery, name)}:"
    return [terminal.markdown(head), "", *(f"- {terminal.markdown(words)}" for words in against(discovery, name))]


def _predicted(discovery: Discovery, name: str) -> str:
    return f"{discovery.predicted[name]:.2f} ± {discovery.std[name]:.2f}"


def _data(discovery: Discovery) -> list[str]:
    """What is trained and measured, a line a setting."""
    out = []
    for name, table in discovery.tables.items():
        words = in_words(table.main, table.setting.min_overlap)
        what = f": {words}" if words != table.main else ""
        what += f", of {table.setting.dataset}" if table.setting.dataset else ""
        out.append(f"{terminal.markdown(f'{name}: {table.main} ({table.setting.unit(table.main)}){what}')}  ")
    return out


def _cost(discovery: Discovery) -> list[str]:
    """Hours of the trainings, and the steps of this start."""
    out = []
    if discovery.training_hours:
        out += [
            f"The trainings took {duration(3600 * sum(discovery.training_hours.values()))} together, earlier starts included"
        ]
        if discovery.estimate:
            out[-1] += f"; expected beforehand, one after the other: {duration(3600 * discovery.estimate['hours'])}"
        out[-1] += ". The steps of this start:"
    out += ["", "| step | time | processor time |", "| --- | --: | --: |"]
    for step, seconds in discovery.seconds.items():
        out.append(f"| {step} | {duration(seconds)} | {duration(discovery.cpu_seconds[step])} |")
    return [*out, ""]


def _limits(discovery: Discovery) -> str:
    words = {"macs": "multiply-adds at 128 x 128", "params": "parameters"}
    limits = " and ".join(f"{limit:,.0f} {words.get(name, name)}" for name, limit in discovery.budget.items())
    seeds = "" if discovery.recorded else " The compared ones were trained with seeds that the sample did not have."
    beyond = [
        name
        for name, architecture in discovery.candidates.items()
        if discovery.macs[name] > discovery.budget.get("macs", float("inf"))
    ]
    over = f" ({', '.join(beyond)} {'is' if len(beyond) == 1 else 'are'} beyond it)" if beyond else ""
    return f"The limit of the search: {limits}{over}.{seeds}"


def _comparison(discovery: Discovery) -> list[str]:
    mains = [terminal.markdown(f"{name}: {discovery.tables[name].main}") for name in discovery.names]
    heads = ["architecture", "M MACs", "M parameters", *mains]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " --: |" * (len(heads) - 1)]
    for candidate, scores in discovery.scores.items():
        cells = [_cell(scores[name]) if name in scores else "" for name in discovery.names]
        lines.append(f"| {' | '.join([terminal.markdown(candidate), *_sizes(discovery, candidate), *cells])} |")
    cells = [_predicted(discovery, name) for name in discovery.names]
    return [*lines, f"| {' | '.join(['found, as predicted', *_sizes(discovery, FOUND), *cells])} |"]


def _sizes(discovery: Discovery, candidate: str) -> list[str]:
    """Millions of multiply-adds and, of an architecture of the space, of parameters."""
    architecture = discovery.candidates[candidate]
    known = not isinstance(architecture, str)
    space = next(iter(discovery.tables.values())).space
    params = f"{cost_of(space, architecture, 'params') / 1e6:.2f}" if known else ""
    return [f"{discovery.macs[candidate] / 1e6:.1f}", params]


def _sampled(discovery: Discovery) -> list[str]:
    out = []
    for name, table in discovery.tables.items():
        values = table.column(table.main)
        within = discovery.keeps(table)
        sign = discovery.sign(name)
        top = sign * (sign * values[within]).max() if within.any() else 0.0
        best = f", the best within the limit {top:.2f}" if within.any() else ", none within the limit"
        out.append(
            f"- {terminal.markdown(name)}: {len(table)} architectures, {table.main} {values.min():.2f} to "
            f"{values.max():.2f}{best}"
        )
    return out


def _fitted(discovery: Discovery) -> list[str]:
    out = []
    for name in discovery.names:
        errors = discovery.errors[name]
        out.append(
            f"- {terminal.markdown(name)}, on rows it did not see: mean absolute error {errors['mae']:.2f}, "
            f"Kendall's tau {errors.get('kendall', float('nan')):.2f}"
        )
        out += [f"  - {terminal.markdown(line)}" for line in discovery.fitted.get(name, [])]
    return out


def _sure(discovery: Discovery) -> list[str]:
    return [
        f"- {terminal.markdown(name)}: predicted {_predicted(discovery, name)} "
        "(one standard deviation of a training's result)"
        for name in discovery.names
    ]


def _commands(discovery: Discovery, kind: str) -> list[str]:
    """Pictures and commands of the steps of a kind."""
    steps = [step for step in discovery.commands if step.split()[0] == kind]
    if not steps:
        return []
    pictures = [f"![{step}]({discovery.pictures[step]})" for step in steps if step in discovery.pictures]
    return [
        *(line for picture in pictures for line in (picture, "")),
        "```bash",
        *(discovery.commands[s] for s in steps),
        "```",
        "",
    ]


def _cell(values: np.ndarray) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"


def show(discovery: Discovery, files: dict[str, Path]) -> None:
    """The comparison as a table, and where the page is."""
    title = "As its judge sees them" if discovery.recorded else "Trained anew"
    table = terminal.table(f"{title}; the search kept {_kept(discovery)}", boxed=True)
    table.add_column("architecture")
    table.add_column("M MACs", justify="right")
    for name in discovery.names:
        table.add_column(f"{name} {discovery.tables[name].main}", justify="right")
    for candidate, scores in discovery.scores.items():
        cells = [_cell(scores[name]) if name in scores else "" for name in discovery.names]
        table.add_row(candidate, f"{discovery.macs[candidate] / 1e6:.1f}", *cells)
    terminal.console().print(table)
    for name in discovery.names:
        terminal.say(verdict(discovery, name))
    page, picture = (terminal.relative(files[name]) for name in ("page", "picture"))
    terminal.say(f"{_time(discovery)}; page: {page} (and .html); picture: {picture}")
    if discovery.exports:
        shown = {kind: terminal.relative(path) for kind, path in discovery.exports.items()}
        terminal.fields({"use it:": _use(shown)})


def _use(exports: Mapping[str, str]) -> str:
    """The command that uses the found network."""
    return command_line("predict", input="FOLDER", out="seen", ckpt=next(iter(exports.values())))


def _kept(discovery: Discovery) -> str:
    return ", ".join(f"{name} at most {limit:.3g}" for name, limit in discovery.budget.items())
