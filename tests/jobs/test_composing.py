"""Configurations composed in this process, also from within a command that Hydra runs."""

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra

from ncp import configs, jobs
from ncp.errors import UserError


def test_a_command_may_compose_another_one():
    with hydra.initialize_config_dir(str(configs.shipped()), version_base="1.3"):
        running = GlobalHydra.instance().hydra
        inner = jobs.options("search", "objectives=[seg]", "lam=0.25")
        assert GlobalHydra.instance().hydra is running
    assert inner.lam == 0.25
    assert jobs.options("search", "lam=0.75").lam == 0.75
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("search", "objective=[seg]"), "unknown key 'objective'; did you mean 'objectives'?"),
        (("serach",), "unknown command 'serach'"),
        (("search", "a==b"), "a==b"),
        (("train", "setting=sgm"), "unknown setting 'sgm'"),
    ],
)
def test_mistakes_in_python_are_one_line_too(words, line):
    with pytest.raises(UserError) as error:
        jobs.options(*words)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_words_within_a_word_need_no_quotes():
    given = jobs.options("discover", "full=[recipe.length=20000, data.crop=[64,64]]", "full=['recipe.batch=4']")
    assert given.full == ["recipe.batch=4"]
    assert jobs.options("discover", "full=[recipe.length=20000, data.crop=[64,64]]").full == [
        "recipe.length=20000",
        "data.crop=[64,64]",
    ]
    assert jobs.options("discover", "full=[]").full == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("evaluate", "ckpt_path=x", "setting=seg"), "unknown key 'setting'"),  # some keys of which have no value
        (("evaluate", "ckpt_path=x", "trainer.devics=3"), "did you mean 'trainer.devices'?"),
        (("train", "setting=seg", "recipe=null"), "not null"),
        (("train", "setting=seg,cls"), "add --multirun"),
    ],
)
def test_mistakes_beside_values_that_must_be_given(words, line):
    with pytest.raises(UserError) as error:
        jobs.options(*words)
    assert line in str(error.value)
