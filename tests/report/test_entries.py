"""What can be compared, in every form, and what damaged files do: a line each, and the others go on."""

import json
import os
import random

import pytest
import recorded_results as recorded

from ncp.errors import UserError
from ncp.report import entries
from ncp.spaces.found import FOUND
from ncp.spaces.multires import SPACE

CODE = list(SPACE.default().code)


def lines(*given, **more):
    return entries.read(list(given), **more).items


def test_every_form_of_an_architecture_is_one_line(tmp_path):
    search = recorded.search(tmp_path / "search", seed=1)
    training = recorded.training(tmp_path / "training", seed=2)
    (tmp_path / "net.yaml").write_text(f"text: {SPACE.default().text}\n")
    given = [
        str(search),
        str(training / "result.json"),
        str(tmp_path / "net.yaml"),
        "ncp_seg",
        SPACE.default().text,
        CODE,
    ]
    read = lines(*given)
    wanted = [recorded.architecture(1)["code"], recorded.architecture(2)["code"], CODE,
              list(SPACE.parse(FOUND["ncp_seg"]).code), CODE, CODE]  # fmt: skip
    assert [list(entry.architecture.code) for entry in read] == wanted
    assert [bool(entry.search) for entry in read] == [True, False, False, False, False, False]
    assert [bool(entry.training) for entry in read] == [False, True, False, False, False, False]
    assert read[0].walk["rounded.seg.mIoU"].tolist() == [70, 71, 72, 73, 74, 75]
    assert [entry.name for entry in read][2:4] == ["net", "ncp_seg"]


def test_a_single_code_or_text_needs_no_list():
    for given in (CODE, SPACE.default().text):
        (entry,) = entries.read(given).items
        assert list(entry.architecture.code) == CODE


def test_a_multirun_gives_all_its_jobs_named_by_what_differs(tmp_path):
    for job in range(11):
        folder = recorded.training(tmp_path / str(job), seed=job)
        recorded.state(folder, overrides=["task=seg", f"seed={job}"])
    read = lines(str(tmp_path), "default")
    assert [entry.name for entry in read] == [*(f"seed={job}" for job in range(11)), "default"]
    assert [e.training.metrics["mIoU"] for e in read[:-1]] == [40.0 + job for job in range(11)]
    named = lines(str(tmp_path), "default", names=["mine", "start"])
    assert [entry.name for entry in named][::11] == ["mine: seed=0", "start"]
    assert [e.name for e in lines(str(tmp_path), "default", names=list("abcdefghijkl"))] == list("abcdefghijkl")


def test_a_baseline_has_no_code_and_is_a_line_all_the_same(tmp_path):
    folder = recorded.training(tmp_path / "r", architecture={"text": "resnet50", "code": None})
    (entry,) = lines(str(folder))
    assert entry.architecture is None
    assert entry.training.cost.params == 2_000_000


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "nothing to compare"),
        (None, "nothing to compare"),
        (["nowhere"], "neither a run folder nor a file nor an architecture; known names: default, ncp_cls"),
        (["nowhere/result.json"], "no result at 'nowhere/result.json'"),
        ([8], "27 numbers"),
        (["1_2_3"], "27 numbers"),
        ([{"a": 1}], "needs one of: code"),
        (["x" * 5000], "File name too long"),
        (["a\0b.json"], "cannot be read|no result"),
        ([SPACE.default().text, "|nor_conv_1x1~0|+|skip_connect~0|none~1|+|none~0|none~1|none~2|"], ""),
    ],
)
def test_what_is_nothing_is_told_in_one_line(given, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if message == "":
        read = entries.read(given)
        assert len(read.items) == 1
        assert len(read.left_out) == 1
        return
    with pytest.raises(UserError, match=message) as raised:
        entries.read(given)
    assert "\n" not in str(raised.value)


def test_names_must_fit(tmp_path):
    with pytest.raises(UserError, match="1 names were given for 2 runs"):
        lines("default", "ncp_seg", names=["a"])


def result_of(folder, change):
    content = json.loads((folder / "result.json").read_text())
    change(content)
    (folder / "result.json").write_text(json.dumps(content))


DAMAGE = {
    "cut off": lambda f: (f / "result.json").write_text((f / "result.json").read_text()[:-30]),
    "empty": lambda f: (f / "result.json").write_text(""),
    "no text": lambda f: (f / "result.json").write_bytes(b"\xff\xfe\x00{"),
    "deep": lambda f: (f / "result.json").write_text("[" * 100_000),
    "a list": lambda f: (f / "result.json").write_text("[1, 2]"),
    "a folder": lambda f: ((f / "result.json").unlink(), (f / "result.json").mkdir()),
    "a pipe": lambda f: ((f / "result.json").unlink(), os.mkfifo(f / "result.json")),
    "no architecture": lambda f: result_of(f, lambda c: c.pop("architecture")),
    "a wrong code": lambda f: result_of(f, lambda c: c["architecture"].update(code=[1, 2, 3])),
    "a huge code": lambda f: result_of(f, lambda c: c["architecture"].update(code=[10**30] * 27)),
    "a code of words": lambda f: result_of(f, lambda c: c["architecture"].update(code=["x"] * 27)),
    "metrics of words": lambda f: result_of(f, lambda c: c.update(metrics={"mIoU": "good"}, predicted={"seg": "good"})),
    "metrics that are not finite": lambda f: result_of(
        f, lambda c: c.update(metrics={"mIoU": float("nan")}, predicted={"seg": {"mIoU": float("inf")}})
    ),
    "another space": lambda f: result_of(f, lambda c: c.update(space="../../etc")),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["search", "training"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_result_is_named_and_the_others_go_on(damage, kind, tmp_path):
    good = recorded.search(tmp_path / "good")
    bad = getattr(recorded, kind)(tmp_path / "bad")
    DAMAGE[damage](bad)
    read = entries.read([str(good), str(bad)])
    assert len(read.items) == 1
    ((given, reason),) = read.left_out.items()
    assert given == str(bad)
    assert "bad" in reason
    assert "\n" not in reason
    with pytest.raises(UserError, match="bad"):
        entries.read([str(bad)])


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_job_leaves_the_multirun_readable(damage, tmp_path):
    for job in range(3):
        recorded.training(tmp_path / "sweep" / str(job), seed=job)
    DAMAGE[damage](tmp_path / "sweep" / "1")
    (tmp_path / "sweep" / "2" / "run.json").write_text("[" * 100_000)
    read = entries.read([str(tmp_path / "sweep")])
    assert [e.training.metrics["mIoU"] for e in read.items] == [40.0, 42.0]
    assert list(read.left_out) == [str(tmp_path / "sweep" / "1")]


def test_no_altered_value_is_a_traceback(tmp_path):
    """Every value of a result in turn becomes something else: read as it is, or refused in one line that names the file."""
    rng = random.Random(0)
    odd = [
        None,
        True,
        -1,
        10**100,
        float("nan"),
        "",
        "x",
        "\x1b[31m",
        [],
        {},
        [[]],
        {"a": 1},
        [1] * 40,
        -1e300,
        "9" * 3000,
    ]

    def places(node, path=()):
        if path:
            yield path
        for key in node if isinstance(node, dict) else range(min(2, len(node))) if isinstance(node, list) else ():
            yield from places(node[key], (*path, key))

    for kind in ("search", "training"):
        folder = getattr(recorded, kind)(tmp_path / kind)
        original = (folder / "result.json").read_text()
        for path in places(json.loads(original)):
            content = json.loads(original)
            node = content
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] = rng.choice(odd)
            (folder / "result.json").write_text(json.dumps(content))
            read = entries.read(["default", str(folder)])
            assert len(read.items) + len(read.left_out) == 2
            assert all(kind in reason and "\n" not in reason for reason in read.left_out.values()), (
                path,
                read.left_out,
            )


def test_a_text_in_a_result_opens_no_file(tmp_path):
    (tmp_path / "other.yaml").write_text(f"text: {SPACE.default().text}\n")
    assert entries.read([str(tmp_path / "other.yaml")]).items[0].architecture == SPACE.default()
    (tmp_path / "run").mkdir()
    result = {"architecture": {"text": str(tmp_path / "other.yaml"), "code": None}}
    (tmp_path / "run" / "result.json").write_text(json.dumps(result))
    with pytest.raises(UserError, match="is not a whole number"):
        entries.read([str(tmp_path / "run")])
