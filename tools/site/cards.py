"""Cards of the predictors and networks that come with the package, as pages of the site: made from the files, not written.

    python -m tools.site.cards

writes ``docs/cards`` anew; a test holds the pages to it.
"""

from __future__ import annotations

from pathlib import Path

import ncp.predictors
from ncp import spaces
from ncp.benchmark import settings
from ncp.predictors.base import Predictor
from ncp.spaces import found

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "cards"
MADE = "Made by `python -m tools.site.cards` from what the package holds; do not edit.\n"
KINDS = {
    "gp": "a sparse Gaussian process for each metric; it tells its own doubt",
    "mlp": "the paper's network of fully connected layers; it tells no doubt of its own",
}
FAMILIES = {
    "default": "What every search asks unless told otherwise (`predictors=default`).",
    "paper": "What the paper's strategies ask (`strategy=paper`, `predictors=paper`).",
}
NETWORKS = {
    "default": "Where every search starts: all depths 2, all channels 64 (the paper's initial code).",
    "ncp_cls": "What the public release calls the classification network; its cost is not that of the paper's Table 3.",
    "ncp_seg": "The paper's network for segmentation (Table 3, Seg).",
    "ncp_video": "The paper's network for video recognition (Table 3, Video).",
    "ncp_det3d": "The paper's network for 3D detection (Table 3, 3dDet).",
}


def _overview(predictors: dict[str, dict[str, Predictor]]) -> str:
    count = sum(map(len, predictors.values()))
    lines = [
        "# Cards\n",
        MADE,
        f"{count} predictors and {len(NETWORKS)} named networks come with the package. Their cards say what they were",
        "made of, how far off they are on rows that they did not see, and under which terms they may be used.\n",
        "- [Predictors](predictors.md)",
        "- [Named networks](networks.md)\n",
        "Mean absolute error of each setting's main metric, in percent points, on rows that were not fitted:\n",
        "| setting | metric | default | paper |",
        "| --- | --- | --: | --: |",
    ]
    for name, default in predictors["default"].items():
        metric = settings.get(name).main
        errors = [family[name].card.errors[metric]["mae"] for family in predictors.values()]
        lines.append(f"| `{name}` | {metric} | {' | '.join(f'{error:.2f}' for error in errors)} |")
        assert default.setting == name
    lines.append("\n```{toctree}\n:hidden:\n\npredictors\nnetworks\n```")
    return "\n".join(lines) + "\n"


def _card(family: str, predictor: Predictor) -> list[str]:
    card = predictor.card
    setting = settings.get(card.setting)
    lines = [
        f"### {card.setting}, {family}\n",
        f"- **Predicts** {', '.join(card.metrics)} of {setting.dataset}, in percent points",
        f"- **For** architectures of the space `{card.space}`",
        f"- **Is** {KINDS[card.kind]}",
        f"- **Fitted on** {card.rows:,} rows: {card.protocol}",
        f"- **Source** {card.source}",
        f"- **Terms** {card.licence}",
    ]
    if predictor.min_overlap:
        overlaps = ", ".join(f"{name} {value:g}" for name, value in predictor.min_overlap.items())
        lines.append(f"- **Overlap (IoU) from which a box counts** {overlaps}")
    told = ("mae", "rmse", "spearman", "kendall", "calibration")
    lines += ["", "| metric | mean abs. error | root mean square | Spearman | Kendall | error / stated deviation |"]
    lines += ["| --- | --: | --: | --: | --: | --: |"]
    for metric, errors in card.errors.items():
        lines.append(f"| {metric} | " + " | ".join(f"{errors[k]:.2f}" if k in errors else "-" for k in told) + " |")
    return [*lines, ""]


def _predictors(predictors: dict[str, dict[str, Predictor]]) -> str:
    lines = [
        "# Predictors\n",
        MADE,
        "A predictor answers for a whole training without making it. Use it to rank architectures and to see what a change",
        "would bring. Do not take its figure for a measurement, and do not use it for another data set, another recipe, or",
        "networks outside of its space. It tells how trainings by the benchmark's recipes end; yours may end elsewhere.\n",
        'In Python: `ncp.predictors.load("seg")`, `ncp.predictors.load("seg", family="paper")`; the card is `.card`.\n',
    ]
    for family, members in predictors.items():
        lines += [f"## {family}\n", FAMILIES[family] + "\n"]
        for predictor in members.values():
            lines += _card(family, predictor)
    return "\n".join(lines)


def _networks() -> str:
    space = spaces.get("multires")
    shown = {"cls-50-1000": "top1", "seg": "mIoU", "video": "top1", "3ddet": "moderate"}
    judges = {name: ncp.predictors.load(name) for name in shown}
    lines = [
        "# Named networks\n",
        MADE,
        "Architectures, not weights: `arch=NAME` trains one, `start=NAME` starts a search from one, and timm makes one by",
        "its name. Multiply-adds are at 128 x 128 pixels with a per-pixel head of 19 classes. What is expected of each was",
        "not measured: the default predictors say it, ± one standard deviation of a training's result.\n",
    ]
    for name, text in found.FOUND.items():
        architecture = found.get(name)
        cost = space.cost([architecture.code])
        lines += [f"## {name}\n", f"{NETWORKS[name]}\n", f"    {text}\n"]
        lines += ["| multiply-adds | parameters | " + " | ".join(f"{s} {m}" for s, m in shown.items()) + " |"]
        lines += ["| --: | --: |" + " --: |" * len(shown)]
        expected = [
            f"{judges[s].predict(architecture)[m][0]:.1f} ± {judges[s].predict_std(architecture)[m][0]:.1f}"
            for s, m in shown.items()
        ]
        lines += [f"| {cost.macs[0] / 1e9:.3f} G | {cost.params[0] / 1e6:.3f} M | {' | '.join(expected)} |\n"]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """File name -> text."""
    held = {path.stem for path in (Path(ncp.predictors.__file__).parent / "weights" / "default").glob("*.safetensors")}
    names = [name for name in settings.SETTINGS if name in held]
    assert set(names) == held
    predictors = {family: {name: ncp.predictors.load(name, family) for name in names} for family in FAMILIES}
    return {"index.md": _overview(predictors), "predictors.md": _predictors(predictors), "networks.md": _networks()}


def main() -> None:
    """Write them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
