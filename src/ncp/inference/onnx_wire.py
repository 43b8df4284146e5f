"""The frame of an ONNX file, walked before anything is made of it: a few bytes of a message can become hundreds in memory.

Protocol buffers are lists of fields: a number that says which field and of what kind, and then its bytes. The walk goes only
into the messages that a network needs. It refuses all other fields, so that what a runtime may know and this check does not
(functions, graphs within nodes, training) never reaches it.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from ncp.errors import UserError

FIELDS = 1_000_000  # of all messages together; a network of 200 nodes has some 10,000
STRUCTURE = 64 * 2**20  # bytes of everything but the weights' numbers; a network of 200 nodes has 300 kB
RAW = 9  # where a tensor has its numbers


class _Message(NamedTuple):
    """The fields of a message: plain ones, messages by the name of theirs, and what others are called when refused."""

    plain: frozenset[int] = frozenset()
    messages: Mapping[int, str] = MappingProxyType({})
    refused: Mapping[int, str] = MappingProxyType({})


_TEXTS = _Message(plain=frozenset(range(1, 5)))
_SUBGRAPH = "a graph within a node (as of Loop, If and Scan)"
_KINDS = {
    "model": _Message(
        frozenset({1, 2, 3, 4, 5, 6}),
        {7: "graph", 8: "texts", 14: "texts"},
        {20: "a training", 25: "functions of its own"},
    ),
    "graph": _Message(
        frozenset({2, 10}),
        {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value", 16: "texts"},
        {14: "quantisation", 15: "sparse weights"},
    ),
    "node": _Message(frozenset({1, 2, 3, 4, 6, 7, 8}), {5: "attribute", 9: "texts"}),
    "attribute": _Message(
        frozenset({1, 2, 3, 4, 7, 8, 9, 13, 20, 21}),
        {5: "tensor"},
        {6: _SUBGRAPH, 10: "lists of tensors", 11: _SUBGRAPH, 22: "sparse weights", 23: "sparse weights"},
    ),
    "tensor": _Message(
        frozenset({1, 2, 4, 5, 7, 8, RAW, 10, 11, 12, 14}),
        {16: "texts"},
        {13: "numbers that lie in another file"},
    ),
    "value": _Message(frozenset({1, 3}), {2: "type", 4: "texts"}),
    "type": _Message(frozenset({6}), {1: "array"}),
    "array": _Message(frozenset({1}), {2: "shape"}),
    "shape": _Message(frozenset(), {1: "texts"}),
    "texts": _TEXTS,
}


class _Bad(ValueError):
    """The bytes are no protocol buffer."""


def check(content: bytes, where: str) -> None:
    """Walk the frame of an ONNX file.

    Args:
        content: of the file.
        where: the file, for messages.

    Raises:
        UserError: where it is none, holds what no network of src.export does, or more structure than the limits.
    """
    try:
        _Walk(content, where).message("model", 0, len(content))
    except _Bad as error:
        raise UserError(f"{where} cannot be read as ONNX ({error})") from None


class _Walk:
    def __init__(self, content: bytes, where: str) -> None:
        self.content, self.where = content, where
        self.fields = self.structure = 0

    def message(self, kind: str, at: int, end: int) -> None:
        """One message; the depth is that of ``_KINDS``, where no message lies within itself."""
        about = _KINDS[kind]
        while at < end:
            start = at
            tag, at = self.number(at, end)
            field, wire = tag >> 3, tag & 7
            if field == 0:
                raise _Bad(f"byte {start:,} begins nothing that the format has")
            at, inside = self.value(wire, at, end)
            weights = kind == "tensor" and field == RAW
            if wire != 2 or field not in about.messages:
                self.count(at - start - (at - inside if weights else 0))
            if field in about.messages:
                if wire != 2:
                    raise _Bad(f"the field {field} of a {kind} is no message")
                self.count(inside - start)
                self.message(about.messages[field], inside, at)
            elif field not in about.plain:
                what = about.refused.get(field, f"what this project does not know (field {field} of a {kind})")
                raise UserError(
                    f"{self.where} holds {what}; networks of src.export have plain operators and their own weights only"
                )

    def count(self, size: int) -> None:
        """A field with ``size`` bytes of structure."""
        self.fields += 1
        self.structure += size
        if self.fields > FIELDS or self.structure > STRUCTURE:
            raise UserError(
                f"{self.where} holds more than {FIELDS:,} entries, or {STRUCTURE:,} bytes beside its weights; a network of "
                "src.export has far fewer"
            )

    def value(self, wire: int, at: int, end: int) -> tuple[int, int]:
        """Where a value ends, and where its content begins."""
        if wire == 0:
            return self.number(at, end)[1], at
        if wire == 2:
            size, at = self.number(at, end)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise _Bad(f"byte {at:,} begins nothing that the format has")
        if size > end - at:
            raise _Bad(f"it ends within a part of {size:,} bytes")
        return at + size, at

    def number(self, at: int, end: int) -> tuple[int, int]:
        """A number of seven bits a byte, and where it ends."""
        out = 0
        for shift in range(0, 70, 7):
            if at >= end:
                raise _Bad("it ends within a number")
            byte = self.content[at]
            at += 1
            out |= (byte & 127) << shift
            if byte < 128:
                return out, at
        raise _Bad(f"a number of more than ten bytes ends at {at:,}")
