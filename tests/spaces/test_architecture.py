"""An architecture in every form in which one is written: read, written, refused, expanded into blocks."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from ncp.errors import UserError
from ncp.spaces.architecture import Architecture, BlockSpec
from ncp.spaces.dimensions import NAMES
from ncp.spaces.multires import SPACE

# one architecture in all the forms in which it is written
CODE = (40, 48, 1, 4, 8, 3, 1, 2, 104, 56, 1, 3, 1, 1, 56, 32, 88, 2, 1, 1, 3, 4, 8, 64, 128, 128, 16)
TEXT = "40_48-1_1_4_8-3_2_1_2_104_56-1_3_3_1_1_56_32_88-2_4_1_1_3_4_8_64_128_128-16"
BLOCKS = [
    [1, [4], [8]],
    *[[2, [1, 2], [104, 56]]] * 3,
    [3, [3, 1, 1], [56, 32, 88]],
    *[[4, [1, 1, 3, 4], [8, 64, 128, 128]]] * 2,
]
ROW = {
    "mIoU": 76.0,
    "input_channel": [40, 48],
    "inverted_residual_setting": BLOCKS,
    "last_channel": 16,
    "embedding": list(CODE),
}
FORMS = {
    "numbers": list(CODE),
    "tuple": CODE,
    "array": np.array(CODE),
    "floats": np.array(CODE, dtype=np.float32),
    "31 numbers": [40, 48, 1, 1, 4, 8, 3, 2, *CODE[6:10], 1, 3, *CODE[11:17], 2, 4, *CODE[18:]],
    "text": TEXT,
    "27 in text": "_".join(map(str, CODE)),
    "commas": str(list(CODE)),
    "row": ROW,
    "row of the release's README": {
        "input_channel": [40, 48],
        "network_setting": BLOCKS,
        "last_channel": 16,
    },
    "26 numbers and last_channel": {"embedding": list(CODE[:-1]), "last_channel": 16},
    "mapping with text": {"text": TEXT},
    "mapping with code and text": {"code": list(CODE), "text": TEXT},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(form):
    architecture = Architecture.parse(FORMS[form])
    assert architecture.code == CODE
    assert all(type(value) is int for value in architecture.code)
    assert architecture.text == str(architecture) == TEXT


@pytest.mark.parametrize(
    "content",
    [
        {"code": list(CODE)},
        {"text": TEXT},
        {"architecture": {"code": list(CODE), "text": TEXT}},
        list(CODE),
    ],
)
def test_yaml_files(tmp_path, content):
    path = tmp_path / "architecture.yaml"
    path.write_text(yaml.safe_dump(content))
    assert Architecture.parse(path).code == Architecture.parse(str(path)).code == CODE


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "no YAML"), ("code: [1, 2]", "27 numbers"), ("3", "an architecture is")],
)
def test_bad_yaml_names_the_file(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        Architecture.parse(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file():
    with pytest.raises(UserError, match="there is no file"):
        Architecture.parse(Path("no/such/file.yaml"))


def test_what_is_written_is_read_back():
    for architecture in SPACE.sample(300, np.random.default_rng(0)):
        assert Architecture.parse(architecture.text) == architecture
        assert hash(Architecture.parse(list(architecture.code))) == hash(architecture)


def test_names_are_those_of_the_paper():
    assert NAMES == (
        "i1", "i2", "b1", "n1_1", "c1_1", "b2", "n2_1", "n2_2", "c2_1", "c2_2", "b3", "n3_1", "n3_2", "n3_3", "c3_1",
        "c3_2", "c3_3", "b4", "n4_1", "n4_2", "n4_3", "n4_4", "c4_1", "c4_2", "c4_3", "c4_4", "o1",
    )  # fmt: skip
    architecture = Architecture(CODE)
    assert [architecture[name] for name in NAMES] == list(CODE)
    with pytest.raises(UserError, match="unknown dimension 'c5'"):
        architecture["c5"]


@pytest.mark.parametrize("name", NAMES)
def test_every_dimension_refuses_what_is_outside(name):
    at = NAMES.index(name)
    depth = name[0] in "bn"
    for value in [0, 5, -1, 2.5] if depth else [0, 4, 136, 12, -8, 64.5]:
        code = list(CODE)
        code[at] = value
        with pytest.raises(UserError) as error:
            Architecture.parse(code)
        message = str(error.value)
        assert message.startswith(f"{name} must be")
        assert ("1..4" if depth else "8..128 in steps of 8") in message
        assert str(value) in message


@pytest.mark.parametrize("bad", [None, "x", float("nan"), float("inf"), True, [8]])
def test_values_that_are_no_numbers(bad):
    with pytest.raises(UserError, match=r"i2 must be an integer in 8\.\.128"):
        Architecture((40, bad, *CODE[2:]))


def changed(form, at, value):
    out = list(FORMS[form])
    out[at] = value
    return out


REFUSED = {
    "26 numbers": (list(CODE[:-1]), "given were 26; .*last_channel"),
    "26 numbers in a row": ({"embedding": list(CODE[:-1])}, "given were 26; .*last_channel"),
    "28 numbers": ([*CODE, 8], "given were 28"),
    "none": ([], "given were 0"),
    "letters": ("40_48-a_1", "'a' in the architecture"),
    "empty text": ("", "given were 0"),
    "wrong branch count": (changed("31 numbers", 7, 3), "branch count of stage 2 and must be 2, given was 3"),
    "another type": (3.5, r"given was 3\.5 \(a number\)"),
    "an empty mapping": ({}, "no keys"),
    "a mapping without": ({"mIoU": 3}, "given were mIoU"),
    "code and text": ({"code": [48, *CODE[1:]], "text": TEXT}, "'code' and 'text' .* i1 is 48 .* 40"),
    "embedding and blocks": (
        {**ROW, "embedding": [*CODE[:2], 2, *CODE[3:]]},
        "'embedding' and 'blocks' .* b1 is 2 .* 1",
    ),
    "last_channel and embedding": ({**ROW, "last_channel": 24}, "o1 is 16 .* 24"),
    "no blocks of a stage": (
        {**FORMS["row of the release's README"], "network_setting": BLOCKS[1:]},
        "none with 1 branch",
    ),
    "blocks that differ": (
        {
            **FORMS["row of the release's README"],
            "network_setting": [*BLOCKS[:-1], [4, [1, 1, 3, 1], [8, 64, 128, 128]]],
        },
        "blocks of stage 4 differ",
    ),
    "blocks out of order": (
        {**FORMS["row of the release's README"], "network_setting": BLOCKS[::-1]},
        "ordered",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_say_what_is_wrong(case):
    given, message = REFUSED[case]
    with pytest.raises(UserError, match=message) as error:
        Architecture.parse(given)
    assert "\n" not in str(error.value)


def test_expansion_into_blocks():
    blocks = Architecture(CODE).blocks
    assert blocks == tuple(BlockSpec(tuple(units), tuple(channels)) for _, units, channels in BLOCKS)
    assert [len(b.units) for b in blocks] == [1, 2, 2, 2, 3, 4, 4]


def test_architectures_do_not_change():
    with pytest.raises(AttributeError):
        SPACE.default().code = CODE


def test_a_few_aliases_do_not_unfold_without_end(tmp_path):
    path = tmp_path / "x.yaml"
    levels = "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(12))
    path.write_text(f"a: &a [1]\n{levels}code: *m\n")
    with pytest.raises(UserError, match="aliases"):
        Architecture.parse(path)


def test_a_file_that_names_a_file_opens_no_second_one(tmp_path):
    good = tmp_path / "good.yaml"
    good.write_text(f"text: {SPACE.default().text}\n")
    (tmp_path / "x.yaml").write_text(f'"{good}"\n')
    (tmp_path / "y.yaml").write_text(f'architecture: {{text: "{good}"}}\n')
    (tmp_path / "z.yaml").write_text(f'code: "{good}"\n')
    assert Architecture.parse(good) == SPACE.default()
    for name in "xyz":
        with pytest.raises(UserError, match="is not a whole number"):
            Architecture.parse(tmp_path / f"{name}.yaml")
