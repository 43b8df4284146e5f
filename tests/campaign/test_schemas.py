"""Strict JSON of a stated shape, or one line that names the file."""

import msgspec
import pytest

from ncp.campaign import schemas
from ncp.errors import UserError


class Card(msgspec.Struct):
    name: schemas.Name = ""
    count: schemas.Count = 0
    seconds: schemas.Positive = 0.0
    facts: schemas.Facts = {}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "it is empty"),
        (b"  \n", "it is empty"),
        (b"{", "truncated"),
        (b"\xff", "malformed"),
        (b"[]", "object"),
        (b'{"seconds": NaN}', "malformed"),
        (b'{"seconds": Infinity}', "malformed"),
        (b'{"seconds": 1e999}', "range"),
        (b'{"seconds": -1}', "0.0"),
        (b'{"count": 1.5}', "int"),
        (b'{"count": true}', "int"),
        (b'{"count": 1' + b"0" * 100 + b"}", "int"),
        (b'{"count": 1' + b"0" * 5000 + b"}", "range"),
        (b'{"name": "a\\u001b[31m"}', "pattern|matching"),
        (b'{"name": "' + b"x" * 201 + b'"}', "length"),
        (b'{"facts": {"a": {"b": 1}}}', "object"),
        (b'{"facts": ' + b"[" * 100_000, "facts|recursion|truncated"),
    ],
)
def test_what_is_refused_is_named(raw, words):
    with pytest.raises(UserError, match=rf"^'a\.json' cannot be used: .*({words})") as error:
        schemas.decode(raw, Card, "'a.json'")
    assert len(str(error.value)) < 400
    assert "\x1b" not in str(error.value)


def test_what_is_more_is_left_out_and_what_is_less_has_its_default():
    assert schemas.decode(b'{"name": "x", "of a later version": [1]}', Card, "it") == Card("x")


def test_the_order_of_keys_does_not_matter():
    assert schemas.encode({"b": 1, "a": {"d": 2, "c": 3}}) == schemas.encode({"a": {"c": 3, "d": 2}, "b": 1})
