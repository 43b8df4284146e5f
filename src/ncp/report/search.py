"""What a search leaves behind and what it shows: files, picture, table, drawing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ncp
from ncp import runs, terminal
from ncp.benchmark import settings
from ncp.commandline import command_line
from ncp.files import write_text
from ncp.numeric import several, shortest
from ncp.report.drawing import draw
from ncp.report.search_table import comparison, in_a_line, references
from ncp.terminal import console, relative

if TYPE_CHECKING:
    from ncp.search.result import Candidate, Result


def write_search(
    result: Result, folder: Path, options: Mapping[str, Any], seconds: Callable[[], float]
) -> dict[str, Path]:
    """Write ``architecture.yaml``, ``trajectory.csv``, ``result.json`` and ``search.png``; name -> path.

    The numbers are on disk before the picture is drawn.

    Args:
        result: of :func:`ncp.search.search`.
        folder: the run folder.
        options: the command's configuration as plain values.
        seconds: tells how long the command has been running.
    """
    from ncp.report import propagation

    table = result.trajectory.to_table()
    files = {"architecture": folder / "architecture.yaml", "trajectory": folder / "trajectory.csv"}
    write_text(files["architecture"], architecture_yaml(result))
    write_text(files["trajectory"], as_csv(table))
    content = summary(result, options)
    files["result"] = runs.write_result(folder, content | {"seconds": {"search": result.seconds, "total": seconds()}})
    trajectory = result.trajectory
    names, overlaps = [o.name for o in result.objectives], result.found.predicted.min_overlap
    search = propagation.DrawnWalk("", table, names, trajectory.best[1], overlaps)
    picture = propagation.search_figure(search, trajectory.objectives.space, title(result), subtitle(result, options))
    files["picture"] = picture.save(folder / "search.png")
    runs.write_result(folder, content | {"seconds": {"search": result.seconds, "total": seconds()}})
    return files


def title(result: Result) -> str:
    """What was searched for, in words."""
    names = [o.setting if o.metric == _main_metric(o.setting) else o.name for o in result.objectives]
    names = list(dict.fromkeys(names))
    return f"One architecture for {' and '.join(filter(None, (', '.join(names[:-1]), names[-1])))}"


def subtitle(result: Result, options: Mapping[str, Any]) -> str:
    """How it was searched, in words."""
    budget = options.get("budget") or {}
    limits = [f"{name} at most {_limit(value)}" for name, value in budget.items() if value is not None]
    limits += [f"{name} at least {value}" for name, value in _flat(options.get("floor") or {})]
    how = "; ".join(limits) or f"λ = {options.get('lam', 0.5):g}"
    starts = result.trajectory.starts
    ended = result.trajectory.walk.reason + ("" if result.kept else "; a limit is not kept")
    return f"strategy {result.strategy}, {several(starts, 'start')}; {how}; {ended}"


def _limit(value: Any) -> str:
    """A limit, or one for each of several machines."""
    values = value if isinstance(value, list | tuple) else [value]
    return " and ".join(shortest(one) for one in values)


def summary(result: Result, options: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``result.json`` without the seconds; its keys are described in docs/result.md."""
    space = result.trajectory.objectives.space
    found = result.found
    return {
        "command": "search",
        "version": ncp.__version__,
        "space": space.name,
        "objectives": [{"name": o.name, **asdict(o)} for o in result.objectives],
        "strategy": result.strategy,
        "limits": {"budget": dict(options.get("budget") or {}), "floor": dict(options.get("floor") or {})},
        "lam": options.get("lam"),
        "kappa": options.get("kappa"),
        "seed": options.get("seed"),
        "predictor": result.predictor,
        "judge": result.judge,
        "min_overlap": result.found.predicted.min_overlap,
        "judged_min_overlap": result.found.judged.min_overlap,
        **_candidate(space.name, found),
        "start": {**_reference(space.name, result.before), "given": options.get("start") is not None},
        "default": _reference(space.name, result.default),
        "gain": {name: gains(found, reference) for name, reference in references(result).items()},
        "walk_start": _described(space.decode(result.trajectory.walk.rounded[:1])[0]),
        "last": _reference(space.name, result.last),
        "best": _reference(space.name, result.best),
        "steps": len(result.trajectory) - 1,
        "chosen_step": result.trajectory.best[1],
        "starts": result.trajectory.starts,
        "queries": result.trajectory.queries,
        "reason": result.reason,
        "keeps_limits": result.kept,
        "notes": list(result.notes),
        "ranges": {name: found._asdict() for name, found in result.ranges.items()},
        "measured": [asdict(m) for m in result.measured],
        "machines": [machine(q) for q in result.trajectory.objectives.quantities if q.model is not None],
    }


def machine(quantity: Any) -> dict[str, Any]:
    """A measured machine, as ``machines`` of a result tells it."""
    told = asdict(quantity.model.card)
    return {"name": quantity.name, "file": quantity.file or None, **told}


def _candidate(space: str, candidate: Candidate) -> dict[str, Any]:
    """One architecture: what it is and costs, and what the search's predictors and the judge say of it."""
    predicted, judged = candidate.predicted, candidate.judged
    return {
        "architecture": _described(candidate.architecture),
        "predicted": predicted.value,
        "std": predicted.std,
        "doubt": predicted.doubt,
        "noise": predicted.noise,
        "judged": judged.value,
        "judged_doubt": judged.doubt,
        "judged_noise": judged.noise,
        "extrapolated": not candidate.known,
        "cost": {**costs(space, candidate.architecture, candidate.macs, candidate.params), **candidate.others},
    }


def _reference(space: str, candidate: Candidate) -> dict[str, Any]:
    content = _candidate(space, candidate)
    return {**content.pop("architecture"), **content}


def gains(found: Candidate, reference: Candidate) -> dict[str, dict[str, float]]:
    """Setting -> metric -> how much more the judge gives to ``found``."""
    return {
        setting: {metric: value - reference.judged.value[setting][metric] for metric, value in metrics.items()}
        for setting, metrics in found.judged.value.items()
    }


def costs(space: str, architecture: Any, macs: int, params: int) -> dict[str, Any]:
    """``macs`` and ``params``, exact; ``flops_g`` and ``params_m`` in the paper's convention (Table 3), where it has one."""
    out: dict[str, Any] = {"macs": macs, "params": params, "flops_g": None, "params_m": None}
    if space == "multires":
        from ncp.spaces.cost import paper_units

        flops_g, params_m = paper_units(architecture)
        out |= {"flops_g": float(flops_g), "params_m": float(params_m)}
    return out


def architecture_yaml(result: Result) -> str:
    """An architecture file, as ``arch=file arch.path=...`` and ``start=...`` read it."""
    objectives = ", ".join(o.name for o in result.objectives)
    return (
        f"# found by ncp {ncp.__version__} for {objectives}; train it with\n"
        f"#   {runs.invocation('train')} setting={result.objectives[0].setting} arch=file arch.path=THIS_FILE\n"
        f"space: {result.trajectory.objectives.space.name}\n"
        f"text: {result.architecture.text}\n"
        f"code: [{', '.join(map(str, result.architecture.code))}]\n"
    )


def as_csv(table: Mapping[str, Any]) -> str:
    """A table of equally long columns as CSV with a header."""
    return terminal.csv_text([table, *zip(*(column.tolist() for column in table.values()), strict=True)])


def show(result: Result, files: Mapping[str, Path], brief: bool = False) -> None:
    """Print the table, the drawing, where the files are and the command that trains the architecture.

    ``brief`` prints one line instead, for one search among many.
    """
    from ncp.search.ranges import in_words, price_in_words

    out = console()
    if brief:
        out.print(f"  {in_a_line(result)}, {result.macs / 1e9:.3f} G multiply-adds, {result.seconds:.2f} s")
        _say_notes(result)
        return
    out.print()
    out.print(comparison(result, title(result), _kappa(result)))
    _say_notes(result)
    out.print()
    out.print(draw(result.architecture))
    terminal.fields({"code": result.architecture.text}, 7)
    if free := in_words(result.ranges):
        price = price_in_words(result.trajectory.objectives)
        terminal.fields({"free": f"{free}; each alone {price} (all: ranges in result.json)"}, 7)
    several = len({one.limit for one in result.measured}) > 1
    for one in result.measured:
        kept = ("keeps" if one.keeps else "misses") + (f" budget.{one.limit}" if several else " the limit")
        terminal.say(f"measured here: {one.milliseconds:.4g} ms (predicted {one.predicted:.4g}), {kept}: {one.text}")
    out.print()
    terminal.fields({name: relative(files[name]) for name in ("picture", "result", "trajectory", "architecture")}, 13)
    for key, name in dict.fromkeys(words for o in result.objectives for words in _trained_as(o.setting)):
        path = {"arch.path": relative(files["architecture"])}
        terminal.fields({"train it": command_line("train", **{key: name}, arch="file", **path)}, 13)


def _kappa(result: Result) -> float | None:
    return result.kappa if any(d > 0 for metrics in result.doubt.values() for d in metrics.values()) else None


def _say_notes(result: Result) -> None:
    for note in (*result.notes, *([] if result.kept else [f"a limit is not kept: {result.trajectory.broken}"])):
        terminal.say(f"note: {note}", style="yellow")


def _described(architecture: Any) -> dict[str, Any]:
    return {"code": list(architecture.code), "text": architecture.text}


def _main_metric(setting: str) -> str | None:
    return settings.SETTINGS[setting].main if setting in settings.SETTINGS else None


def _trained_as(setting: str) -> list[tuple[str, str]]:
    """``task=NAME`` where a task alone means this setting, else ``setting=NAME``; nothing of what is not trained here."""
    known = settings.SETTINGS.get(setting)
    if known is None or not (known.real or known.builtin):
        return []
    return [("task", known.task) if settings.full_name(known.task) == known.name else ("setting", known.name)]


def _flat(floor: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for key, value in floor.items():
        out += _flat(value, f"{prefix}{key} ") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return out
