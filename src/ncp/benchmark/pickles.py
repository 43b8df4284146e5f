"""Read the release's pickles without running them.

A pickle is a program for a small stack machine, and the standard one lets the file call any function it can name. This
is another machine for the same programs: it knows the opcodes that build plain data (lists, tuples, dicts, numbers,
text, bytes) and one compound form, the reconstruction of a numeric numpy array, which it performs itself from checked
sizes. No name in the file is ever imported, no object of the file is ever called; every other opcode is refused where it
stands, before anything after it is read. Also refused: truncated files, sizes that the file cannot fill, and programs
whose values would take more memory than :data:`MAX_MEMORY` (everything that is pushed, kept or remembered is counted).

Values may be shared: a thousand bytes can describe a tuple whose text, hash or comparison never ends. The machine never
makes those (keys of dictionaries are text or numbers), and whoever reads the result must not either.

Source of the opcodes: the documentation of Python's ``pickletools`` (protocols 2 to 5).
"""

from __future__ import annotations

import pickletools
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ncp import files
from ncp.errors import UserError

MAX_BYTES = 256 * 2**20  # of a file; the largest of the release has 3 MB
MAX_MEMORY = 2**30  # bytes that all values may take; those of the release take 13 to 24 times their file
_PLACE = 16  # bytes that one place on the stack or in a list may come to take, lists growing ahead of what they hold
_ENTRY = 128  # of a dictionary
_KEYS = (str, int, float, bytes, bool, type(None))  # whose hash takes no longer than they are
_DTYPES = ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
# the names that a pickled numpy array mentions -> what they stand for here
_NAMES = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("numpy.core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy._core.multiarray", "_reconstruct"): "reconstruct",
}
_OPCODE_NAMES = {op.code.encode("latin-1")[0]: op.name for op in pickletools.opcodes}


class Refused(Exception):
    """Something in the file that this machine will not do."""


class Name:
    """A name that the file mentions; inert."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _DType:
    """A numpy dtype under reconstruction: ``order`` is ``<``, ``>`` or ``|``."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "|"


class _Array:
    """A numpy array under reconstruction."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: np.ndarray | None = None


_MARK = object()


def read(path: str | Path) -> Any:
    """The plain data in a pickle file; numpy arrays come as read-only arrays.

    Raises:
        UserError: when the file is missing, too large, truncated or corrupt, or holds anything but plain data and numeric
            arrays; says which opcode or name, at which byte.
    """
    return parse(files.read_bytes(path, MAX_BYTES), files.printable(path))


def parse(data: bytes, name: str = "the pickle", machine: Callable[[bytes], PickleMachine] | None = None) -> Any:
    """The same for bytes; ``name`` is used in messages, ``machine`` makes another machine for them."""
    works = (machine or PickleMachine)(data)
    try:
        return works.run()
    except Refused as error:
        raise UserError(f"'{name}' is refused at byte {works.at}: {error}; nothing in it was run") from None
    except (IndexError, struct.error, KeyError, TypeError, ValueError, AttributeError):
        raise UserError(
            f"'{name}' is corrupt or truncated (at byte {works.at} of {len(data)}); fetch the file again"
        ) from None


class PickleMachine:
    """The stack machine. ``at`` is the byte of the opcode in work, ``position`` that of the next one.

    A malformed program ends in one of the exceptions that :func:`parse` translates.
    """

    handlers: ClassVar[Mapping[int, Callable[[Any], None]]] = {}  # by opcode; filled below
    names: ClassVar[Mapping[tuple[str, str], str]] = _NAMES

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = self.position = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.left = MAX_MEMORY

    def run(self) -> Any:
        """The one value that the program leaves behind."""
        data, handlers = self.data, self.handlers
        if len(data) < 2 or data[0] != 0x80:
            raise Refused("it is not a pickle of protocol 2 to 5")
        while True:
            self.at = self.position
            code = data[self.at]
            if code == 0x2E:  # STOP
                (result,) = self.stack
                return _finished(result)
            handler = handlers.get(code)
            if handler is None:
                raise Refused(f"opcode {_OPCODE_NAMES.get(code, hex(code))} is not plain data")
            self.position += 1
            handler(self)

    def kind_of(self, module: str, name: str) -> str | None:
        """What a name in the file stands for; None where it is not on the list."""
        return self.names.get((module, name))

    def take(self, n: int) -> bytes:
        """The next ``n`` bytes of the file."""
        end = self.position + n
        if n < 0 or end > len(self.data):
            raise ValueError("truncated")
        out = self.data[self.position : end]
        self.position = end
        return out

    def byte(self) -> int:
        """The next byte."""
        value = self.data[self.position]
        self.position += 1
        return value

    def number(self, n: int) -> int:
        """An unsigned number of ``n`` bytes."""
        return int.from_bytes(self.take(n), "little")

    def spend(self, amount: int) -> None:
        """Account for bytes of memory."""
        self.left -= amount
        if self.left < 0:
            raise Refused(f"its values take more than {MAX_MEMORY:,} bytes of memory")

    def push(self, value: Any) -> None:
        """Push a value that exists already."""
        self.left -= _PLACE
        if self.left < 0:
            self.spend(0)
        self.stack.append(value)

    def new(self, value: Any) -> None:
        """Push a value that takes memory."""
        self.spend(sys.getsizeof(value) + _PLACE)
        self.stack.append(value)

    def pop(self) -> Any:
        """The top value; a mark is not a value."""
        item = self.stack.pop()
        if item is _MARK:
            raise ValueError("mark")
        return _finished(item)

    def since_mark(self) -> list[Any]:
        """Pop everything above the last mark, and the mark."""
        stack = self.stack
        i = len(stack) - 1
        while stack[i] is not _MARK:  # IndexError below the bottom is caught by the check
            i -= 1
            if i < 0:
                raise ValueError("no mark")
        items = [_finished(item) for item in stack[i + 1 :]]
        del stack[i:]
        return items

    def top(self, kind: type) -> Any:
        """The top value, left in place, which must be a ``kind``."""
        if self.stack[-1].__class__ is not kind:
            raise TypeError("wrong container")
        return self.stack[-1]


def _finished(value: Any) -> Any:
    """The finished form of a value that leaves the stack."""
    if value.__class__ is _Array and value.array is not None:
        return value.array
    return value


def _proto(m: PickleMachine) -> None:
    if not 2 <= (version := m.byte()) <= 5:
        raise Refused(f"pickle protocol {version} is not one of 2 to 5")


def _put_pairs(m: PickleMachine, keys: list[Any], values: list[Any]) -> None:
    for key in keys:
        if key.__class__ not in _KEYS:
            raise Refused(f"a dictionary with {files.shown(key)} as a key; keys are text or numbers")
    m.spend(_ENTRY * len(keys))
    m.top(dict).update(zip(keys, values, strict=True))


def _pair(m: PickleMachine) -> None:
    value, key = m.pop(), m.pop()
    _put_pairs(m, [key], [value])


def _pairs(m: PickleMachine) -> None:
    items = m.since_mark()
    _put_pairs(m, items[::2], items[1::2])


def append(m: PickleMachine) -> None:
    """One item more of a list."""
    item = m.pop()
    m.spend(_PLACE)
    m.top(list).append(item)


def _appends(m: PickleMachine) -> None:
    items = m.since_mark()
    m.spend(_PLACE * len(items))
    m.top(list).extend(items)


def _tuple(n: int) -> Callable[[PickleMachine], None]:
    def build(m: PickleMachine) -> None:
        m.new(tuple(reversed([m.pop() for _ in range(n)])))

    return build


def _put(m: PickleMachine, key: int) -> None:
    if m.stack[-1] is _MARK:
        raise ValueError("mark")
    m.spend(_ENTRY)
    m.memo[key] = m.stack[-1]


def _long(m: PickleMachine) -> None:
    if (size := m.byte()) > 8:
        raise Refused(f"an integer of {size} bytes")
    m.new(int.from_bytes(m.take(size), "little", signed=True))


def _global(m: PickleMachine, module: str, name: str) -> None:
    kind = m.kind_of(module, name)
    if kind is None:
        asked = f"{files.shown(module, 60)}.{files.shown(name, 60)}"
        raise Refused(f"it asks for '{asked}', which is not on the list of allowed names")
    m.new(Name(kind))


def _text_global(m: PickleMachine) -> None:
    lines = []
    for _ in range(2):
        end = m.data.index(b"\n", m.position, m.position + 1000)
        lines.append(m.take(end - m.position).decode())
        m.position += 1
    _global(m, lines[0], lines[1])


def _stack_global(m: PickleMachine) -> None:
    name, module = m.pop(), m.pop()
    if module.__class__ is not str or name.__class__ is not str:
        raise TypeError("a name must be text")
    _global(m, module, name)


def _reduce(m: PickleMachine) -> None:
    """The two calls in a pickled array: ``_reconstruct(ndarray, (0,), b"b")`` and ``dtype("f4", False, True)``."""
    arguments, function = m.pop(), m.pop()
    kind = function.kind if function.__class__ is Name else None
    if kind == "reconstruct":
        base, shape, code = arguments
        plain = shape.__class__ is tuple and code.__class__ is bytes
        if base.__class__ is Name and base.kind == "ndarray" and plain and shape == (0,) and code == b"b":
            m.spend(_ENTRY)  # of the array's own head
            m.new(_Array())
            return
    elif kind == "dtype" and arguments[0].__class__ is str:
        if arguments[0] in _DTYPES:
            m.new(_DType(arguments[0]))
            return
        raise Refused(f"an array of '{files.shown(arguments[0], 20)}'; numeric arrays are read")
    raise Refused("it calls something that is not the reconstruction of a numeric array")


def _build(m: PickleMachine) -> None:
    """The states of a dtype and of an array, as numpy writes them."""
    state, target = m.pop(), m.stack[-1]
    if target.__class__ is _DType:
        _version, order, *rest = state
        if order.__class__ is not str or order not in ("<", ">", "|", "=") or any(p is not None for p in rest[:3]):
            raise Refused("a structured array; plain numeric arrays are read")
        target.order = order
    elif target.__class__ is _Array:
        _version, shape, dtype, fortran, content = state
        if dtype.__class__ is not _DType or content.__class__ is not bytes or shape.__class__ is not tuple:
            raise Refused("an array whose content is not numbers")
        if len(shape) > 8 or any(n.__class__ is not int or n < 0 for n in shape):
            raise ValueError("shape")
        order = "=" if dtype.order == "|" else dtype.order
        flat = np.frombuffer(content, dtype=np.dtype(order + dtype.code))
        target.array = flat.reshape(shape, order="F" if fortran is True else "C")  # ValueError unless the sizes agree
    else:
        raise Refused("it sets the state of something that is not an array")


PickleMachine.handlers = {
    ord(code): handler
    for code, handler in {
        "\x80": _proto,
        "\x95": lambda m: m.take(8),  # FRAME: a length that says nothing new
        "(": lambda m: m.push(_MARK),
        "]": lambda m: m.new([]),
        "}": lambda m: m.new({}),
        ")": lambda m: m.new(()),
        "N": lambda m: m.push(None),
        "\x88": lambda m: m.push(True),
        "\x89": lambda m: m.push(False),
        "K": lambda m: m.push(m.byte()),
        "M": lambda m: m.new(m.number(2)),
        "J": lambda m: m.new(int.from_bytes(m.take(4), "little", signed=True)),
        "\x8a": _long,
        "G": lambda m: m.new(struct.unpack(">d", m.take(8))[0]),
        "X": lambda m: m.new(m.take(m.number(4)).decode()),
        "\x8c": lambda m: m.new(m.take(m.byte()).decode()),
        "B": lambda m: m.new(m.take(m.number(4))),
        "C": lambda m: m.new(m.take(m.byte())),
        "a": append,
        "e": _appends,
        "s": _pair,
        "u": _pairs,
        "t": lambda m: m.new(tuple(m.since_mark())),
        "\x85": _tuple(1),
        "\x86": _tuple(2),
        "\x87": _tuple(3),
        "q": lambda m: _put(m, m.byte()),
        "r": lambda m: _put(m, m.number(4)),
        "\x94": lambda m: _put(m, len(m.memo)),
        "h": lambda m: m.push(m.memo[m.byte()]),
        "j": lambda m: m.push(m.memo[m.number(4)]),
        "c": _text_global,
        "\x93": _stack_global,
        "R": _reduce,
        "b": _build,
    }.items()
}
