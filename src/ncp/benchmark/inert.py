"""What torch's own pickle (``data.pkl`` of a checkpoint) says, read without torch and without running anything.

The machine of :mod:`ncp.benchmark.pickles`, with the four forms that a checkpoint needs beside plain data: ordered dictionaries,
storages, tensors and parameters. A tensor is not made; what is kept of it is its type and its shape, once they are known to lie
within its storage (a shape may name more numbers than there are: a step of 0 shows one number as a million millions).

Values may share parts, and a few of them can unfold without end; how large and deep they are when they are unfolded is measured
here (:func:`measure`), so that whoever reads them afterwards may walk through them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

from ncp import files
from ncp.benchmark import pickles
from ncp.benchmark.pickles import Name, PickleMachine, Refused
from ncp.errors import UserError

LARGEST = 2_000_000
"""Values that a checkpoint may have when it is unfolded; those of ten thousand tensors are a tenth of it."""
DEEPEST = 32
"""Containers within containers; Lightning's counters have 7."""
TYPES = {
    **{"FloatStorage": 4, "DoubleStorage": 8, "HalfStorage": 2, "BFloat16Storage": 2},
    **{"LongStorage": 8, "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1},
}
"""Storages that are read, and the bytes of one number."""
_DIMENSIONS = 8


class Storage(NamedTuple):
    """A run of numbers: the name of its part of the file, its type (of ``TYPES``), how many there are."""

    key: str
    type: str
    number: int


class Shape(NamedTuple):
    """What is known of a tensor: its type (of ``TYPES``) and its sizes."""

    type: str
    sizes: tuple[int, ...]


def parse(data: bytes, name: str) -> tuple[Any, dict[str, Storage]]:
    """The values of a ``data.pkl`` with a :class:`Shape` for every tensor, and the storages by key.

    Args:
        data: the bytes.
        name: of the file, for messages.

    Raises:
        UserError: naming the file, for anything but plain values and tensors, and for values that are too many or too deep.
    """
    made: list[TorchMachine] = []

    def machine(given: bytes) -> TorchMachine:
        made.append(TorchMachine(given))
        return made[0]

    content = pickles.parse(data, name, machine)
    try:
        measure(content)
    except Refused as error:
        raise UserError(f"'{name}' is refused: {error}") from None
    return content, made[0].storages


def measure(content: Any) -> int:
    """The number of values in a tree that may share parts, counted as if it were unfolded.

    Raises:
        Refused: for more than ``LARGEST``, more than ``DEEPEST`` levels (a cycle has no end), or a value that is neither plain
            nor a :class:`Shape`.
    """
    known: dict[int, tuple[int, int]] = {}  # of a container: values, levels

    def look(value: Any, level: int) -> tuple[int, int]:
        if value is None or value.__class__ in (str, int, float, bool, Shape):
            return 1, 0
        if value.__class__ not in (dict, list, tuple):
            raise Refused(f"it holds {files.shown(value)}, neither a plain value nor a tensor")
        number, levels = known.get(id(value), (0, 0))
        if not number:
            if level >= DEEPEST:
                raise Refused(f"it holds more than {DEEPEST} levels of lists within lists")
            number, levels = 1, 1
            for item in value.values() if isinstance(value, dict) else value:
                inner, below = look(item, level + 1)
                number, levels = number + inner, max(levels, below + 1)
                if number > LARGEST:
                    raise Refused(f"it unfolds to more than {LARGEST:,} values")
            known[id(value)] = number, levels
        if level + levels > DEEPEST:
            raise Refused(f"it holds more than {DEEPEST} levels of lists within lists")
        return number, levels

    return look(content, 0)[0]


class View(NamedTuple):
    """Where the numbers of a tensor lie: in which storage, from which on, how many a side, and how far apart."""

    storage: Storage
    offset: int
    sizes: tuple[int, ...]
    steps: tuple[int, ...]


class TorchMachine(PickleMachine):
    """As its base, and knows storages, tensors and ordered dictionaries; no arrays."""

    names: ClassVar = {
        ("collections", "OrderedDict"): "dictionary",
        ("torch._utils", "_rebuild_tensor_v2"): "tensor",
        ("torch._utils", "_rebuild_parameter"): "parameter",
        **{("torch", name): f"type {name}" for name in TYPES},
    }

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.storages: dict[str, Storage] = {}

    def tensor(self, *given: Any) -> Any:
        """What is kept of a tensor: its shape."""
        found = self.view(*given)
        return Shape(found.storage.type, found.sizes)

    @staticmethod
    def view(storage: Any, offset: Any, sizes: Any, steps: Any, asks: Any, hooks: Any) -> View:
        """The arguments of a tensor, checked."""
        numbers = (offset, *sizes, *steps)
        if storage.__class__ is not Storage or any(n.__class__ is not int or not 0 <= n < 2**48 for n in numbers):
            raise Refused("a tensor whose sizes are no numbers")
        if asks.__class__ is not bool or hooks.__class__ is not dict or hooks or len(sizes) > _DIMENSIONS:
            raise Refused("a tensor with more than its numbers")
        if sizes.__class__ is not tuple or steps.__class__ is not tuple or len(sizes) != len(steps):
            raise Refused("a tensor whose sizes and steps do not agree")
        last = offset + sum((n - 1) * step for n, step in zip(sizes, steps, strict=True))
        if math.prod(sizes) > storage.number or (math.prod(sizes) and last >= storage.number):
            raise Refused(f"a tensor of shape {sizes} with {storage.number} numbers behind it")
        return View(storage, offset, sizes, steps)


def _persistent(m: TorchMachine) -> None:
    """``("storage", type, key, place, number)``: the numbers in another part of the file."""
    word, kind, key, place, number = m.pop()
    title = kind.kind.removeprefix("type ") if kind.__class__ is Name else ""
    plain = word == "storage" and key.__class__ is str and place.__class__ is str and number.__class__ is int
    if not plain or title not in TYPES or not 0 <= number < 2**48:
        raise Refused("a storage that is not one of numbers")
    storage = Storage(key, title, number)
    if m.storages.setdefault(key, storage) != storage:
        raise Refused(f"two storages called '{files.shown(key, 20)}'")
    m.new(storage)


def _reduce(m: TorchMachine) -> None:
    """An ordered dictionary, a tensor or a parameter."""
    arguments, function = m.pop(), m.pop()
    kind = function.kind if function.__class__ is Name else None
    if arguments.__class__ is not tuple:
        raise TypeError("arguments")
    if kind == "dictionary" and arguments == ():
        m.new({})
    elif kind == "tensor":
        m.new(m.tensor(*arguments))
    elif kind == "parameter":
        tensor, asks, hooks = arguments
        if tensor.__class__ not in (Shape, View) or asks.__class__ is not bool or hooks.__class__ is not dict or hooks:
            raise Refused("a parameter with more than its numbers")
        m.new(tensor)
    else:
        raise Refused("it calls something that is neither a dictionary nor a tensor")


def _build(m: TorchMachine) -> None:
    """The one thing that torch hangs on an ordered dictionary: the versions of the modules, which are left out."""
    state, target = m.pop(), m.stack[-1]
    if target.__class__ is not dict or state.__class__ is not dict or set(state) - {"_metadata"}:
        raise Refused("it sets the state of something that is not a dictionary of weights")


def _text(m: TorchMachine) -> None:
    """As torch reads it: names of files that are no UTF-8 come back as they were."""
    m.new(m.take(m.number(4)).decode("utf-8", "surrogatepass"))


_MORE: dict[str, Callable[[TorchMachine], None]] = {"Q": _persistent, "R": _reduce, "b": _build, "X": _text}
TorchMachine.handlers = {**PickleMachine.handlers, **{ord(code): handler for code, handler in _MORE.items()}}
