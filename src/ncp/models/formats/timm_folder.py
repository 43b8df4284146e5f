"""A trained classifier as a folder that timm and Hugging Face's hub read: config.json, model.safetensors, README.md.

>>> import timm, ncp.models                                                   # doctest: +SKIP
>>> timm.create_model("local-dir:FOLDER", pretrained=True)                   # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from ncp import card, files, tensorfile
from ncp.errors import UserError
from ncp.models.export import signature_of
from ncp.spaces import cost
from ncp.spaces.multires import Architecture

WEIGHTS, CONFIG, README = "model.safetensors", "config.json", "README.md"
_SAID = ("trained", "step", "data", "setting", "licence")  # of the metadata, in the card's table


def write(net: nn.Module, about: card.NetworkCard | None, facts: Mapping[str, str], folder: Path) -> Path:
    """Write the folder.

    Args:
        net: made by :func:`ncp.models.build` for ``cls``.
        about: its card; None for a network without training.
        facts: the file's metadata: ``metrics.NAME``, ``step``, ``data``, ``setting``, ``licence``.
        folder: where to.

    Raises:
        UserError: for a network of another task or project, or a folder that cannot be written.
    """
    import timm
    from timm.models._hub import save_config_for_hf

    import ncp.models.registry  # noqa: F401  the networks appear in timm

    signature = signature_of(net)
    if signature is None:
        raise UserError("format=timm writes networks of the space; a baseline is timm's own: save its state_dict")
    if signature.task != "cls":
        raise UserError(
            f"format=timm writes classifiers (task=cls), this is of task={signature.task}; use format=python, onnx or torchexport"
        )
    made = timm.create_model(
        "ncp_multires", code=signature.architecture, num_classes=signature.classes, in_chans=signature.in_channels
    )
    made.load_state_dict(net.state_dict())
    told = {} if about is None else _input(about)
    if "licence" in facts:
        told["license"] = facts["licence"]
    config = {"label_names": list(about.classes)} if about is not None else {}
    tensors = {name: value.contiguous() for name, value in made.state_dict().items()}
    tensorfile.write(folder / WEIGHTS, tensors, {**facts, "format": "pt"}, "the weights of this network")
    with files.writing(folder / CONFIG) as scratch:
        save_config_for_hf(made, str(scratch), model_config={**config, "pretrained_cfg": told}, data_config=told)
    files.write_text(folder / README, text_of(signature.architecture, about, signature.classes, facts, folder.name))
    return folder


def _input(about: card.NetworkCard) -> dict[str, object]:
    return {
        "input_size": (about.channels, *about.size),
        "mean": tuple(about.mean),
        "std": tuple(about.std),
        "crop_pct": about.use.share,
        "interpolation": "bilinear",
    }


def text_of(
    architecture: str, about: card.NetworkCard | None, classes: int, facts: Mapping[str, str], name: str
) -> str:
    """The model card, in Markdown with the header that the hub reads."""
    size = about.size if about is not None else (224, 224)
    found = cost.count([Architecture.parse(architecture).code], size, "classification", classes)
    metrics = {key.removeprefix("metrics."): value for key, value in facts.items() if key.startswith("metrics.")}
    said = {key: facts[key] for key in _SAID if key in facts}
    rows = [
        ("architecture", f"`{architecture}`"),
        ("parameters", f"{int(found.params[0]) / 1e6:.2f} M"),
        (f"multiply-adds at {size[0]} x {size[1]}", f"{int(found.macs[0]) / 1e9:.2f} G"),
        *((f"{key}, validation", value) for key, value in metrics.items()),
        *said.items(),
    ]
    shown = ", ".join(about.classes[:20]) + (", ..." if len(about.classes) > 20 else "") if about is not None else ""
    lines = [
        "---",
        "tags:",
        "- image-classification",
        "- timm",
        "library_name: timm",
        f"license: {facts.get('licence', 'other')}",
        "---",
        f"# {name}",
        "",
        "An image classifier whose architecture was designed by network coding propagation"
        " ([Ding et al., ICLR 2022](https://openreview.net/forum?id=KEQl-MZ5fg7)).",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {card.line(key)} | {card.line(value).replace('|', chr(92) + '|')} |" for key, value in rows),
        "",
        *([f"Classes ({classes}): {card.line(shown)}.", ""] if shown else []),
        *(
            []
            if "licence" in facts
            else [
                "The weights' licence follows from the data that they were trained on; say which above before you publish them.",
                "",
            ]
        ),
        "```python",
        "import timm",
        "import ncp.models  # pip install ncp-nas",
        "",
        'net = timm.create_model("local-dir:FOLDER", pretrained=True).eval()  # or hf-hub:USER/NAME',
        "data = timm.data.resolve_model_data_config(net)",
        "transform = timm.data.create_transform(**data, is_training=False)",
        "```",
        "",
    ]
    return "\n".join(lines)
