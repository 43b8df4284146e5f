"""Every kernel is compiled for NVIDIA's GPUs, which needs none, and reads maps in the widest pieces."""

import re

import pytest
import torch

triton = pytest.importorskip("triton", reason="Triton comes with torch on Linux alone")
if not torch.version.cuda:
    pytest.skip("this torch's Triton does not compile for NVIDIA's GPUs", allow_module_level=True)

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from ncp.models.kernels import maps, norm  # noqa: E402

KINDS = {**dict.fromkeys(("momentum", "eps"), "fp32"), "tracked": "*i64"}
READ = ("y", "shortcut", "out", "slope", "passed", "slope_y", "x", "same", "down", "up")  # maps
TILE = {"HIGH": 64, "WIDE": 64}
CASES = [
    *(
        (norm._moments, {**TILE}),
        (norm._combine, {"MOMENTS": True, **TILE}),
        (norm._combine, {"MOMENTS": False, **TILE}),
    ),
    *((norm._write, {"ADDED": added, "PARTS": parts, **TILE}) for added in (True, False) for parts in (1, 64)),
    (norm._write, {"ADDED": True, "PARTS": 1, "tracked": None, **TILE}),
    *((norm._sums, {"ADDED": added, **TILE}) for added in (True, False)),
    *((norm._slopes, {"ADDED": added, "PARTS": parts, **TILE}) for added in (True, False) for parts in (1, 64)),
    *((maps._stretch, TILE), (maps._gather, TILE), (maps._fold, TILE)),
    *((maps._add, {"ADDED": added, **TILE}) for added in (True, False)),
]


def compiled(kernel, constants, capability, low="*bf16"):
    numbers = {*norm._FREE, *maps._FREE}
    kinds, attributes = {}, {}
    for place, name in enumerate(kernel.arg_names):
        if name in constants:
            kinds[name] = "constexpr"
        elif name in numbers:
            kinds[name] = "i32"
        else:
            kinds[name] = KINDS.get(name, low if name in READ else "*fp32")
            if kinds[name].startswith("*"):
                attributes[(place,)] = [["tt.divisibility", 16]]
    source = ASTSource(fn=kernel, signature=kinds, constexprs=constants, attrs=attributes)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=norm.OPTIONS).asm["ptx"]


@pytest.mark.parametrize(("kernel", "constants"), CASES, ids=lambda one: getattr(one, "__name__", None))
def test_compiled_with_wide_reads(kernel, constants):
    code = compiled(kernel, constants, 90)
    reads = re.findall(r"ld\.global[\w.:]*", code)
    assert reads
    assert not [read for read in reads if "b16" in read], "a map is read number by number"
    assert [read for read in reads if "v4" in read]
    assert not re.findall(r"\b(?:atom|red)\.\w+", code)


def test_compiled_for_older_gpus():
    assert "ld.global" in compiled(norm._write, {"ADDED": True, "PARTS": 1, **TILE}, 80)
