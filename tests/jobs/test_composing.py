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
        (
            ("fit", "predictor=null"),
            "predictor needs one of its options, given was 'null'; options: auto, default, paper",
        ),
        (("search", "strategy="), "strategy needs one of its options, given was ''; options: evolution"),
        (("train", "recipe=null"), "recipe needs one of its options, given was 'null'"),
        (("train", "hydra/launcher=null"), "takes the name of one of its options, not null"),
        (("train", "data=foldr"), "no option 'foldr' for 'data'; options: ade20k, builtin, cityscapes, folder"),
        (("train", "ckpt_path="), "'ckpt_path' is empty; give a value, or leave it out"),
        (("train", "setting=seg,cls"), "setting=seg,cls gives several values"),
        (("train", "setting=[seg,cls]"), "setting=[seg,cls] gives several values"),
        (("train", "task=cls", "data.root=/x/set (1)"), "cannot read 'data.root=/x/set (1)' (mismatched input ' (')"),
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


def test_an_unknown_key_beside_values_that_must_be_given():
    with pytest.raises(UserError, match="unknown key 'setting'"):
        jobs.options("evaluate", "ckpt_path=x", "setting=seg")


def test_a_part_of_a_training_takes_every_key_that_it_has_and_none_may_be_written_out():
    given = jobs.options("train", "task=seg", "recipe.class_weights=[1,2]", "trainer.num_nodes=2", "debug=null")
    assert (given.recipe["class_weights"], given.trainer["num_nodes"]) == ([1, 2], 2)
    given = jobs.options("train", "task=cls", "recipe.optimizer={name:adam,betas:[0.8,0.9]}", "data.tiny=true")
    assert (given.recipe["optimizer"]["betas"], given.data["tiny"]) == ([0.8, 0.9], True)
