"""From the words of a command line to what Hydra composes."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from ncp import overrides
from ncp.benchmark import settings
from ncp.errors import UserError


def parsed(text):
    return OverridesParser.create().parse_override(f"key={text}").value()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(VALUES)
def test_hydra_reads_what_render_writes(value):
    text = overrides.render(value)
    if "\n" in text or "\r" in text or "\x00" in text:  # not typed on a command line
        return
    read = parsed(text)

    def plain(item):
        if isinstance(item, dict):
            return {str(k): plain(v) for k, v in item.items()}
        if isinstance(item, list):
            return [plain(v) for v in item]
        return getattr(item, "text", item) if type(item).__name__ == "QuotedString" else item

    assert plain(read) == value


def test_a_setting_stands_for_its_built_in_set_or_for_real_data():
    assert overrides.expand(overrides.adapt(["setting=seg"]), None) == [
        "setting={name:seg}",
        "task=seg",
        "data=builtin/seg",
    ]
    real = overrides.expand(overrides.adapt(["setting=cls-10c", "data.root=/x"]), None)
    assert real[:4] == ["setting={name:cls-10c}", "task=cls", "data=imagenet", "recipe=imagenet"]
    assert {"++data.classes_kept=50", "++recipe.length=10", "data.root=/x"} <= set(real[4:])


@pytest.mark.parametrize(("short", "name"), settings.SHORT.items())
def test_a_task_is_short_for_its_first_setting(short, name):
    long = overrides.expand([f"setting={{name:'{name}'}}", "seed=2"], None)
    assert overrides.expand([f"task={short}", "seed=2"], None) == long
    assert overrides.expand(overrides.adapt([f"setting={short}", "seed=2"]), None) == long


def test_what_contradicts_the_setting_is_refused():
    with pytest.raises(UserError, match=r"of task=seg, given was task=cls"):
        overrides.expand(overrides.adapt(["setting=seg", "task=cls"]), None)
    with pytest.raises(UserError, match=r"own data, given was data=kitti"):
        overrides.expand(overrides.adapt(["setting=seg", "data=kitti"]), None)
    with pytest.raises(UserError, match="no built-in set"):
        overrides.expand(overrides.adapt(["setting=ade20k"]), None)
    with pytest.raises(UserError, match="a table alone"):
        overrides.expand(overrides.adapt(["setting=nas-bench-201"]), None)


@pytest.mark.parametrize(
    "words",
    [
        ["setting=seg", "task=cls", "data=builtin/cls", "recipe=builtin/cls"],
        ["setting=seg", "data=builtin/cls"],
        ["setting=cls-50-100", "task=seg", "data=imagenet"],
        ["setting=seg", "data=builtin/seg", "data.root=/x"],
    ],
)
def test_data_beside_a_setting_does_not_switch_the_checks_off(words):
    adapted = overrides.adapt(words)
    assert not overrides.is_expanded(adapted)
    with pytest.raises(UserError, match=r"setting=|no data\.root"):
        overrides.expand(adapted, None)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["setting=seg,cls"], "add --multirun"),
        (["setting=cls", "setting=seg"], "given were setting=cls and setting=seg"),
        (["setting=seg", "++data._target_=ncp.data.digits.Digits"], "setting=seg has its own data"),
        (["task=seg", "task._target_=ncp.tasks.classification.Classification"], "setting=seg has its own task"),
        (["setting=cls-10-1000", "data.root=/x", "data.classes_kept=50"], r"means data\.classes_kept=10, given was 50"),
        (["setting=seg-4x", "data.root=/x", "data.crop=[64,64]"], r"means data\.crop=\[128,256\]"),
    ],
)
def test_nothing_else_is_trained_under_a_settings_name(words, line):
    with pytest.raises(UserError, match=line):
        overrides.expand(overrides.adapt(words), "cls")


@pytest.mark.parametrize(
    "words",
    [
        ["setting=seg", "setting=seg"],
        ["setting=cls-10-1000", "data.root=/x", "data.classes_kept=10", "data.subset_seed=3"],
        ["setting=seg-4x", "data.root=/x", "data.crop=[128, 256]", "data.eval_batch=1"],
        ["setting=seg", "data.crop=[32,32]"],  # of the built-in set, which has no published name
    ],
)
def test_what_says_the_same_or_how_alone_is_taken(words):
    assert overrides.expand(overrides.adapt(words), None)[1].startswith("task=")


def test_a_table_alone_needs_its_source():
    words = overrides.adapt(["setting=nas-bench-201", "source=table"])
    assert overrides.is_of_table(words)
    assert not overrides.is_of_table(words[:1])
    assert not overrides.is_of_table(overrides.adapt(["setting=seg", "source=table"]))


def test_what_the_setting_changes_is_never_lost():
    words = overrides.adapt(["setting=cls-50-100", "task=cls", "data=imagenet", "recipe=imagenet", "data.root=/x"])
    assert not overrides.is_expanded(words)
    assert {"++data.classes_kept=50", "++data.images_kept=100"} <= set(overrides.expand(words, None))


@pytest.mark.parametrize("name", [n for n, s in settings.SETTINGS.items() if s.builtin])
@pytest.mark.parametrize(
    "more", [[], ["data.root=/x"], ["recipe=builtin/video"], ["debug=tiny"], ["debug=tiny", "data.root=/x"]]
)
def test_expanded_words_are_known_as_such(name, more):
    expanded = overrides.expand(overrides.adapt([f"setting={name}", *more, "seed=3"]), None)
    assert overrides.is_expanded(expanded)
    assert overrides.adapt(expanded) == expanded


@pytest.mark.parametrize("word", ["+setting=seg", "++setting=seg", "setting='seg'", "setting={name:'seg'}"])
def test_other_ways_to_write_a_setting_mean_the_same(word):
    assert "data=builtin/seg" in overrides.expand(overrides.adapt([word]), "cls")


@pytest.mark.parametrize(
    "word",
    ["setting.name=seg", "setting=${oc.env:HOME}", "setting={task:seg}", "setting={name:seg,task:cls}", "~setting"],
)
def test_what_names_no_setting_is_refused(word):
    with pytest.raises(UserError, match="setting takes a setting's name"):
        overrides.adapt([word])


def test_no_root_means_the_built_in_set():
    assert overrides.expand(overrides.adapt(["setting=seg", "data.root=null"]), None) == overrides.expand(
        overrides.adapt(["setting=seg"]), None
    )


def test_the_settings_own_data_may_be_said():
    assert "data=cityscapes" in overrides.expand(overrides.adapt(["setting=seg", "data=cityscapes"]), None)


def test_another_recipe_takes_the_place_of_the_settings():
    words = overrides.expand(overrides.adapt(["setting=cls-10c", "recipe=builtin/video"]), None)
    assert [word for word in words if "recipe" in word] == ["recipe=builtin/video"]


def test_what_a_debug_option_shortens_stays_short():
    words = overrides.expand(overrides.adapt(["setting=cls-10c", "data.root=/x", "debug=tiny"]), None)
    assert "++data.classes_kept=50" in words
    assert not [word for word in words if word.startswith("++recipe.")]
    assert "++recipe.length=10" in overrides.expand(overrides.adapt(["setting=cls-10c", "data.root=/x"]), None)


def test_what_a_sample_shortens_stays_short():
    words = overrides.expand(overrides.adapt(["setting=transnas-micro/segmentsemantic", "sample=scenes"]), None)
    assert "++recipe.batch=16" in words
    assert not [word for word in words if word.startswith(("++recipe.length", "++recipe.eval_every"))]
    assert overrides.is_expanded(words)


def test_data_without_a_setting_stays_as_it_is():
    assert overrides.expand(["task=seg", "data=ade20k"], "cls") == ["task=seg", "data=ade20k"]


def test_every_setting_of_a_sweep_is_named():
    assert overrides.adapt(["setting=seg,cls-10c"]) == ["setting={name:seg},{name:cls-10c}"]
    assert overrides.adapt(["setting=choice(seg,video)"]) == ["setting={name:seg},{name:video}"]


@pytest.mark.parametrize(
    "typed",
    [
        ["setting=cls-10c", "data.root=/x", "seed=3"],
        # what the built-in set has anyway is typed all the same, so that another value beside it reads apart
        ["setting=cls-10c", "data.size=32"],
        # and beside real data, of which the setting does not say so, it decides
        ["setting=cls-10c", "data.root=/x", "data.size=32", "recipe.length=12"],
        ["setting=cls-10c", "debug=overfit"],
        ["setting=cls-10c"],
    ],
)
def test_words_are_shown_as_they_were_typed(typed):
    assert overrides.shown(overrides.expand(overrides.adapt(typed), None)) == typed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("experiment=seg", "setting=seg data.root="),
        ("+experiment=cls-10c", "setting=cls-10c"),
        ("experiment=loop", "sample=small"),
        ("training=cls", "setting=cls"),
        ("data=builtin/seg-4x", "setting=seg-4x"),
        ("recipe=builtin/cls-10c", "setting=cls-10c"),
        ("data=cityscapes-4x", "setting=seg-4x"),
        ("recipe=imagenet-10", "setting=cls-10c"),
    ],
)
def test_old_spellings_are_refused_with_the_new_one(old, new):
    with pytest.raises(UserError) as error:
        overrides.adapt([old])
    assert new in str(error.value)


def test_open_keys_need_no_plus():
    given = ["floor.seg.mIoU=77", "floor={seg:{mIoU:77}}", "bounds.c=[8,16]", "lam=1", "+floor.x=1", "floor=null"]
    assert overrides.adapt(given, ["floor", "bounds"]) == [
        "++floor.seg.mIoU=77", "++floor={seg:{mIoU:77}}", "++bounds.c=[8,16]", "lam=1", "+floor.x=1", "floor=null",
    ]  # fmt: skip


@pytest.mark.parametrize("word", ["setting=", "task=", "data=", "recipe=", "data.root=", "setting=seg,", "task=,cls"])
def test_an_empty_word_is_a_variable_that_was_not_set(word):
    with pytest.raises(
        UserError, match=f"'{word}' lacks a value; give one as {word.split('=')[0]}=..., or leave it out"
    ):
        overrides.adapt([word])


@pytest.mark.parametrize("word", ["setting=seg,cls", "task=seg,cls", "data.root=/a,/b", "setting=choice(seg,cls)"])
def test_several_settings_are_a_multirun(word):
    with pytest.raises(UserError, match=r"gives several values; one run for each of them: --multirun"):
        overrides.refuse_several(overrides.adapt([word]))
    overrides.refuse_several(["data.root='/a,b'", "setting={name:seg}", "seed=1,2", "task=seg"])


def test_a_folder_of_options_is_that_of_the_task():
    assert overrides.of_task("folder", "seg") == "folder/seg"
    assert overrides.of_task("builtin", "video") == "builtin/video"
    assert overrides.of_task("cityscapes", "seg") == "cityscapes"
    assert overrides.of_task("folder/cls", "cls") == "folder/cls"
    assert overrides.of_task("nothing", "cls") == "nothing"  # Hydra says that there is none
    with pytest.raises(UserError, match="needs a task: task=cls, det3d, seg, video; none was given"):
        overrides.of_task("folder", None)


def test_a_setting_may_say_where_its_data_lies(tmp_path, monkeypatch):
    (tmp_path / "setting").mkdir()
    (tmp_path / "setting" / "mine.yaml").write_text(
        "name: mine\ntask: seg\nmetrics: [mIoU]\nreal:\n  data: folder\n  change: {data: {root: /data/a, crop: [64, 64]}}\n"
    )
    monkeypatch.setenv("NCP_CONFIG", str(tmp_path))
    words = overrides.expand(overrides.adapt(["setting=mine"]), None)
    assert words[:4] == ["setting={name:mine}", "task=seg", "data=folder/seg", "++data.root=/data/a"]
    assert overrides.is_expanded(words)
    assert overrides.shown(words) == ["setting=mine"]
    elsewhere = overrides.expand(overrides.adapt(["setting=mine", "data.root=/data/b"]), None)
    assert overrides.value_of(elsewhere, "data.root") == "/data/b"
    assert overrides.expand(overrides.adapt(["setting=mine", "data=folder"]), None)[2] == "data=folder/seg"
