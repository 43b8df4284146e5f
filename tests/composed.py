"""The real configurations, composed in this process."""

from pathlib import Path
from typing import Any

from ncp import configs, jobs
from ncp.jobs import composing

CONF = configs.shipped()
ROOT = Path(__file__).resolve().parents[1]
# enough of a training to see everything happen: 8 steps of 2 small scenes
SMALL_SEG = (
    "task=seg", "arch=narrow", "data.scenes=7", "data.val_scenes=3", "data.crop=[32,32]", "data.eval_size=[32,64]",
    "recipe.batch=2", "recipe.length=8", "recipe.eval_every=4", "recipe.save_every=3", "recipe.log_every=2",
    "callbacks.progress=false",
)  # fmt: skip


def compose(*words: str, name: str = "train") -> Any:
    """The typed options of a command line: ``conf/<name>.yaml`` with words as they are typed."""
    return jobs.options(name, *words)


def config_of(*words: str, name: str = "train", with_hydra: bool = False) -> Any:
    """The configuration that Hydra composes for a command line; on request with Hydra's own part."""
    return composing.compose(name, words, with_hydra=with_hydra)
