"""Triton's kernels for norms, run on a CPU by Triton's interpreter: how far they are from torch in double precision, as JSON.

A process of its own, since Triton looks for ``TRITON_INTERPRET=1`` when it is imported: ``python -m tests.triton_interpreted``.
"""

import copy
import json
import sys

import torch
from torch import nn

from ncp.models import build, kernels
from ncp.models.finish import finish
from ncp.models.kernels import norm as norms
from ncp.models.kernels.check import check
from ncp.spaces.multires import SPACE

# batch, channels, height, width: one part, two groups of columns, columns that are not full, parts that are combined first
SHAPES = {"small": (2, 8, 5, 3), "wide": (2, 72, 9, 7), "narrow": (4, 24, 40, 33), "many rows": (2, 64, 89, 185)}
KINDS = {
    "small": (torch.float32, torch.bfloat16, torch.float16),
    "wide": (torch.float32,),
    "narrow": (torch.bfloat16,),
    "many rows": (torch.float32,),
}
CLOSE = 1e-4  # to the ReLU's corner, where rounding decides


def arrays(shape, kind, seed):
    generator = torch.Generator().manual_seed(seed)
    channels = shape[1]
    y = torch.randn(shape, generator=generator) * torch.rand(1, channels, 1, 1, generator=generator) * 3
    y += 10 * torch.randn(1, channels, 1, 1, generator=generator)  # a mean far from nought
    shortcut, slope = (torch.randn(shape, generator=generator) for _ in range(2))
    return [one.to(kind).contiguous(memory_format=torch.channels_last) for one in (y, shortcut, slope)]


def norm_of(channels):
    generator = torch.Generator().manual_seed(channels)
    norm = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.3).train()
    with torch.no_grad():
        for value, low, high in (
            (norm.weight, -1, 2),
            (norm.bias, -1, 1),
            (norm.running_mean, -1, 1),
            (norm.running_var, 0.5, 2),
        ):
            value.copy_(low + (high - low) * torch.rand(channels, generator=generator))
    return norm


def apart(shape, added, kind):
    """Relative distances of everything that is written, from torch in double precision."""
    y, shortcut, slope = arrays(shape, kind, 0)
    norm = norm_of(shape[1])
    other = copy.deepcopy(norm).double()
    wide = [one.double().requires_grad_() for one in (y, shortcut)]
    before = other(wide[0]) + (wide[1] if added else 0)
    slope = torch.where(before.detach().abs() < CLOSE, 0, slope.double()).to(kind)
    torch.relu(before).backward(slope.double())
    given = [one.clone().requires_grad_() for one in (y, shortcut)]
    assert norms.fits(norm, given[0])
    out = norms.finish(norm, given[0], given[1] if added else None)
    out.backward(slope)
    pairs = {
        "out": (out, torch.relu(before)),
        "slope": (given[0].grad, wide[0].grad),
        "weight": (norm.weight.grad, other.weight.grad),
        "bias": (norm.bias.grad, other.bias.grad),
        "mean": (norm.running_mean, other.running_mean),
        "variance": (norm.running_var, other.running_var),
        "tracked": (norm.num_batches_tracked, other.num_batches_tracked),
    }
    if added:
        pairs["shortcut"] = (given[1].grad, wide[1].grad)
    return {name: distance(*pair) for name, pair in pairs.items()} | {"kind": str(out.dtype)}


def distance(found, wanted):
    found, wanted = found.detach().double(), wanted.detach().double()
    return float((found - wanted).norm() / wanted.norm())


def losses(own):
    """Of three steps of a small network."""
    torch.manual_seed(0)
    code = SPACE.decode(SPACE.round(SPACE.lower[None].astype(float)))[0]
    net = build(code, "cls", 4).train()
    if own:
        kernels.use(net)
    optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    x = torch.randn(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    found = []
    for _ in range(3):
        loss = nn.functional.cross_entropy(net(x), torch.arange(4))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def refused():
    """What is left to torch, by name: whether it is."""
    y = arrays(SHAPES["small"], torch.float32, 0)[0]
    norm = norm_of(8)
    frozen = nn.BatchNorm2d(8, momentum=None).train()
    cases = {
        "evaluation": (copy.deepcopy(norm).eval(), y),
        "channels first": (norm, y.contiguous()),
        "twelve channels": (norm_of(12), arrays((2, 12, 5, 3), torch.float32, 0)[0]),
        "no statistics": (nn.BatchNorm2d(8, track_running_stats=False).train(), y),
        "no weights": (nn.BatchNorm2d(8, affine=False).train(), y),
        "cumulative average": (frozen, y),
        "one number a channel": (norm, y[:1, :, :1, :1]),
        "double precision": (norm, y.double()),
        "another norm": (nn.InstanceNorm2d(8).train(), y),
    }
    return {name: kernels.finish(one, y, None) is None for name, (one, y) in cases.items()}


def bad_numbers():
    """Whether a number that is none stays one, as in torch."""
    y = arrays(SHAPES["small"], torch.float32, 0)[0]
    y[0, 3, 1, 1] = float("nan")
    out = finish(norm_of(8), y.clone(), None, kernels.finish)
    wanted = torch.relu(norm_of(8)(y))
    return bool(torch.equal(out.isnan(), wanted.isnan()))


def main():
    check(torch.device("cpu"))
    told = {
        "apart": {
            f"{name}, {'added' if added else 'alone'}, {str(kind)[6:]}": apart(SHAPES[name], added, kind)
            for name, kinds in KINDS.items()
            for added in (False, True)
            for kind in kinds
        },
        "losses": [losses(own) for own in (False, True)],
        "refused": refused(),
        "bad": bad_numbers(),
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
