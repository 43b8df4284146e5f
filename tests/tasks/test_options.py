"""What a training is told: read from the configurations of every setting, and copied without sharing."""

import subprocess
import sys

import pytest
from composed import compose

from ncp.benchmark import settings
from ncp.campaign.options import BuildOptions
from ncp.errors import UserError
from ncp.tasks import run
from ncp.tasks.options import Callbacks, TrainOptions, changed


@pytest.mark.parametrize("name", [n for n, s in settings.SETTINGS.items() if s.real or s.builtin])
def test_every_settings_recipe_is_one(name):
    root = [] if settings.get(name).builtin else ["data.root=/somewhere"]
    recipe = compose(f"setting={name}", *root).chosen_recipe
    assert recipe.batch >= 1
    assert 0 <= recipe.rate()(0.5) <= recipe.rate()(0.0) * 1e3


def test_wrong_recipes_are_refused_before_data_is_read():
    for word, line in (
        ("recipe.length=0", "recipe.length must be positive"),
        ("recipe.batch=x", "recipe.batch must be a whole"),
    ):
        options = compose("setting=seg", "data.root=/nowhere", word)
        with pytest.raises(UserError, match=line):
            run.assemble(options, None)
    with pytest.raises(UserError, match="recipe is missing: this data brings none; give recipe=NAME"):
        _ = TrainOptions().chosen_recipe


def test_copies_share_nothing():
    first = TrainOptions(data={"size": [1, 2]}, recipe={"keep": (1, 2)})
    build = BuildOptions(data={"size": [1, 2]}, count=3)
    one = build.training(seed=5)
    one.data["size"].append(3)
    plain = first.plain(drop=("ckpt_path",))
    plain["data"]["size"].append(3)
    assert first.data == build.data == {"size": [1, 2]}
    assert (type(one), one.seed) == (TrainOptions, 5)
    assert "ckpt_path" not in plain
    assert plain["callbacks"] == {"progress": True, "pictures": True, "picture_samples": 4}
    assert changed(first, callbacks=Callbacks(progress=False)).data is first.data


def test_options_need_no_torch():
    code = "import sys; from ncp import jobs; jobs.options('train', 'setting=seg').chosen_recipe; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
