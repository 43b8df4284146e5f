"""The real configuration, composed in this process."""

from pathlib import Path
from typing import Any

import hydra

CONF = Path(__file__).resolve().parents[1] / "conf"
# enough of a training to see everything happen: 8 steps of 2 small scenes
SMALL_SEG = (
    "task=seg", "arch=narrow", "data.scenes=7", "data.val_scenes=3", "data.crop=[32,32]", "data.eval_size=[32,64]",
    "recipe.batch=2", "recipe.length=8", "recipe.eval_every=4", "recipe.save_every=3", "recipe.log_every=2",
    "callbacks.progress=false",
)  # fmt: skip


def compose(*overrides: str, name: str = "train", with_hydra: bool = False) -> Any:
    """``conf/<name>.yaml`` with overrides as on the command line; on request with Hydra's own part."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose(name, overrides=list(overrides), return_hydra_config=with_hydra)
