"""ONNX files are hostile until checked: before onnxruntime makes a session, a file must be such a network as src.export writes.

The format can describe loops, functions, other files to read, and, in a few bytes, arrays that no machine holds. What may
stand in a file here: the operators of :data:`OPERATORS`, weights of which every number lies in the file, and arrays whose size
comes from the inputs' or is written out and bounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ncp import card, files
from ncp.errors import UserError, missing_extra
from ncp.inference import onnx_wire

_NETWORK = (
    "Add And AveragePool BatchNormalization Cast Clip Concat Conv ConvTranspose DequantizeLinear Div Equal Erf Exp Flatten "
    "Gather GatherND Gelu Gemm GlobalAveragePool HardSigmoid HardSwish Identity InstanceNormalization LayerNormalization "
    "LeakyRelu Less MatMul Max MaxPool Min Mod Mul Neg Not Pow QuantizeLinear ReduceMax ReduceMean ReduceSum Relu Reshape "
    "ScatterElements Shape Sigmoid Slice Softmax Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze Where"
)
_GROWING = "ConstantOfShape Expand Pad Range Resize"  # of which the arguments are checked
OPERATORS = frozenset((*_NETWORK.split(), "Constant", *_GROWING.split()))
"""Of the searched networks of all tasks, of whole detectors, of the baselines and heads; none runs a graph or reads a file."""
MADE = 2**27
"""Numbers of an array that an operator makes out of nothing; the map of KITTI's pillars has 13,713,408."""
REPEATS = 2**16  # of what is there already, where a shape is written out
ENLARGED = 64  # times a side, by Resize
BORDER = 256  # numbers added at a side of a map
WRITTEN = 2**24  # the product of sides that are written out
RANK = 16
FEW = 64  # numbers of an array that is looked into: a shape, scales, borders

_ITEM = {1: 4, 2: 1, 3: 1, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 16: 2}  # bytes of a number, by TensorProto.DataType
_KEEPS_SIZES = frozenset(["Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze"])


def check(content: bytes, where: str) -> None:
    """Refuse a file that is no network such as src.export writes; takes memory in proportion to the file.

    Args:
        content: of the file.
        where: the file, for messages.

    Raises:
        UserError: where the package onnx is missing, and for all that the file may not hold.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise missing_extra("onnx", "export") from None
    onnx_wire.check(content, where)
    try:
        model = onnx.ModelProto.FromString(content)
    except (DecodeError, ValueError, RecursionError) as error:
        raise UserError(f"{where} cannot be read as ONNX ({files.first_line(error)})") from None
    if not model.graph.node:
        raise UserError(f"{where} cannot be read as ONNX (it has no operators)")
    _Graph(model.graph, where).check()


class _Graph:
    """The check of a graph, node by node in its order.

    Attributes:
        few: names of constants of at most :data:`FEW` numbers, and these.
        shapes: names of what an operator Shape says of an array.
        sizes: names of whole numbers that are about as large as the sides of arrays.
        rests: names of rests of a division by a number in the file, and how large they are at most.
    """

    def __init__(self, graph: Any, where: str) -> None:
        self.graph, self.where = graph, where
        self.few: dict[str, np.ndarray] = {}
        self.names: set[str] = set()
        self.shapes: set[str] = set()
        self.sizes: set[str] = set()
        self.rests: dict[str, int] = {}
        self.made = 0

    def check(self) -> None:
        for value in self.graph.input:
            self._input(value)
        for tensor in self.graph.initializer:
            self._constant(tensor, tensor.name)
        self.names |= {value.name for value in self.graph.input}
        for node in self.graph.node:
            self._node(node)

    def _refuse(self, text: str) -> UserError:
        return UserError(f"{self.where} {text}")

    def _input(self, value: Any) -> None:
        sides = [d.dim_value for d in value.type.tensor_type.shape.dim if d.HasField("dim_value")]
        if len(sides) > RANK or min(sides, default=1) < 0 or math.prod(sides) > card.LARGEST:
            raise self._refuse(
                f"reads an input '{files.shown(value.name, 40)}' of {sides[:RANK]}; it has at most {card.LARGEST:,} numbers"
            )

    def _constant(self, tensor: Any, name: str) -> None:
        """All numbers of a constant lie in the file."""
        from onnx import numpy_helper

        told = f"has a constant '{files.shown(name, 40)}'"
        sides = list(tensor.dims)
        if name in self.names:
            raise self._refuse(f"{told} twice")
        if tensor.data_type not in _ITEM:
            raise self._refuse(f"{told} of the type {tensor.data_type}; they are numbers and truth values")
        if len(sides) > RANK or min(sides, default=1) < 0:
            raise self._refuse(
                f"{told} of the shape {sides[:RANK]}; a side has at least 0 numbers, and {RANK} are most"
            )
        count = math.prod(sides)
        if tensor.HasField("raw_data"):
            held, left = divmod(len(tensor.raw_data), _ITEM[tensor.data_type])
        else:
            held, left = len(tensor.float_data) + len(tensor.int32_data) + len(tensor.int64_data), 0
            held += len(tensor.double_data)
        if held != count or left:
            raise self._refuse(f"{told} of the shape {sides}, which is {count:,} numbers, and holds {held:,}")
        self.names.add(name)
        if count <= FEW and tensor.data_type in (1, 6, 7):
            self.few[name] = numpy_helper.to_array(tensor).reshape(-1)

    def _node(self, node: Any) -> None:
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            kind = ".".join(str(part) for part in (node.domain, node.op_type) if part)  # bytes, where they are no UTF-8
            raise self._refuse(
                f"has the operator '{files.shown(kind, 60)}'; allowed are those that src.export writes: "
                f"{', '.join(sorted(OPERATORS))}"
            )
        attributes = {one.name: one for one in node.attribute}
        if len(attributes) < len(node.attribute) or any(one.ref_attr_name for one in node.attribute):
            raise self._refuse(f"has an operator {node.op_type} whose settings are given twice, or by a function")
        outputs = [name for name in node.output if name]
        if self.names.intersection(outputs) or len(set(outputs)) < len(outputs):
            raise self._refuse(f"writes '{files.shown(outputs[0], 40)}' twice")
        if node.op_type == "Constant":
            if [*attributes] != ["value"] or len(outputs) != 1:
                raise self._refuse("has an operator Constant of another kind than one array")
            self._constant(attributes["value"].t, outputs[0])
            return
        for one in attributes.values():
            if one.HasField("t"):
                self._constant(one.t, f"{outputs[0] if outputs else ''}:{one.name}")
        self._growth(node, attributes)
        self._follow(node)
        self.names.update(outputs)

    def _growth(self, node: Any, attributes: dict[str, Any]) -> None:
        """What an operator makes is bounded by what is there, or by numbers in the file."""
        kind = node.op_type
        borders = [abs(n) for key in ("pads", "output_padding") if key in attributes for n in attributes[key].ints]
        if kind == "ConvTranspose":
            borders += [
                n * BORDER // ENLARGED for key in ("strides",) if key in attributes for n in attributes[key].ints
            ]
            borders += [BORDER + 1] if "output_shape" in attributes else []
        if kind == "Pad":
            found = self._few(node, 1)
            bound = self.rests.get(self._name(node, 1), BORDER + 1)
            borders += [bound] if found is None else [abs(int(n)) for n in found]
        if max(borders, default=0) > BORDER:
            raise self._refuse(
                f"has an operator {kind} that widens a map by {max(borders):,}; allowed are {BORDER}, written out or the rest of "
                "a division"
            )
        if kind in ("ConstantOfShape", "Expand"):
            self._shape(node, 0 if kind == "ConstantOfShape" else 1)
        elif kind == "Range":
            step = self._few(node, 2)
            if step is None or len(step) != 1 or not step[0] >= 1 or not self._is_size(node, 1):
                raise self._refuse("has an operator Range that does not go along a side in steps of 1 or more")
        elif kind == "Resize":
            self._resize(node)

    def _shape(self, node: Any, at: int) -> None:
        kind, found = node.op_type, self._few(node, at)
        if found is None:
            if self._name(node, at) not in self.shapes:
                raise self._refuse(
                    f"has an operator {kind} of a shape that is worked out; allowed is one that is written out, or an array's"
                )
            return
        count, most = math.prod(max(abs(int(n)), 1) for n in found), REPEATS
        if kind == "ConstantOfShape":
            self.made += count
            count, most = self.made, MADE
        if count > most:
            raise self._refuse(f"has operators {kind} that make {count:,} numbers; allowed are {most:,}")

    def _resize(self, node: Any) -> None:
        scales = self._few(node, 2)
        if self._name(node, 3):
            fine = self._is_size(node, 3)
        else:
            fine = (
                scales is not None
                and bool((scales > 0).all())
                and math.prod(max(float(n), 1) for n in scales) <= ENLARGED**2
            )
        if not fine:
            raise self._refuse(
                f"has an operator Resize to a size without a bound; allowed are {WRITTEN:,} numbers of a map, "
                f"sides of other maps, and {ENLARGED} times a side"
            )

    def _follow(self, node: Any) -> None:
        """Which results are sides of arrays again: a half, one more, one and a rest more, the lesser of two; products are not."""
        kind, inputs = node.op_type, [name for name in node.input if name]
        bound = self._bound(node, inputs)
        if bound is not None:
            self.rests.update(dict.fromkeys(node.output, bound))
        if kind == "Shape":
            whole = not any(one.name in ("start", "end") and one.i for one in node.attribute)
            (self.shapes if whole else self.sizes).update(node.output)
            self.sizes.update(node.output)
        elif kind in _KEEPS_SIZES:
            taken = range(len(inputs)) if kind == "Concat" else [0]
            if inputs and all(self._is_size(node, at) for at in taken):
                self.sizes.update(node.output)
        elif kind == "Min" and any(name in self.sizes for name in inputs):
            self.sizes.update(node.output)
        elif kind in ("Add", "Sub") and len(inputs) == 2 and any(name in self.rests for name in inputs):
            if all(name in self.rests or name in self.sizes for name in inputs):
                self.sizes.update(node.output)
        elif kind in ("Add", "Sub", "Div") and len(inputs) == 2 and any(name in self.few for name in inputs):
            if kind == "Div" and not (inputs[1] in self.few and (self.few[inputs[1]] >= 1).all()):
                return
            if all(self._is_size(node, at) for at in (0, 1)):
                self.sizes.update(node.output)

    def _bound(self, node: Any, inputs: Sequence[str]) -> int | None:
        """Up to which whole number what an operator writes can go: a rest, and rests beside each other; None for any."""
        if (
            node.op_type == "Mod"
            and len(inputs) == 2
            and not any(one.name == "fmod" and one.i for one in node.attribute)
        ):
            by = self.few.get(inputs[1])
            return (
                int(by.max()) - 1
                if by is not None and by.size and bool((by >= 1).all() and (by <= BORDER).all())
                else None
            )
        if node.op_type not in ("Cast", "Concat", "Identity", "Reshape", "Squeeze", "Unsqueeze"):
            return None
        taken = inputs if node.op_type == "Concat" else inputs[:1]
        found = [
            self.rests.get(name, int(np.abs(self.few[name]).max(initial=0)) if name in self.few else None)
            for name in taken
        ]
        return max(found) if found and None not in found else None  # type: ignore[type-var]

    def _name(self, node: Any, at: int) -> str:
        return str(node.input[at]) if at < len(node.input) else ""

    def _few(self, node: Any, at: int) -> np.ndarray | None:
        return self.few.get(self._name(node, at))

    def _is_size(self, node: Any, at: int) -> bool:
        found = self._few(node, at)
        if found is None:
            return self._name(node, at) in self.sizes
        sides = np.maximum(np.abs(found.astype(np.float64)), 1)
        return bool((sides <= card.LONGEST).all() and sides.prod() <= WRITTEN)
