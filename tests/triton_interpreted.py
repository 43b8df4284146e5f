"""Triton's kernels, run on a CPU by Triton's interpreter: how far they are from torch in double precision, as JSON.

A process of its own, since Triton looks for ``TRITON_INTERPRET=1`` when it is imported: ``python -m tests.triton_interpreted``.
"""

import copy
import json
import sys

import torch
from torch import nn

from ncp.models import build, kernels
from ncp.models.finish import finish
from ncp.models.kernels import maps
from ncp.models.kernels import norm as norms
from ncp.models.kernels.check import check
from ncp.spaces.multires import SPACE

# batch, channels, height, width: one part, two groups of columns, columns that are not full, parts that are combined first
SHAPES = {"small": (2, 8, 5, 3), "wide": (2, 72, 9, 7), "narrow": (4, 24, 40, 33), "many rows": (2, 64, 33, 35)}
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
    assert (norms._Plan(y).parts > norms.MOST_PARTS) == (shape in (SHAPES["narrow"], SHAPES["many rows"]))
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


def small_net():
    torch.manual_seed(0)
    code = SPACE.decode(SPACE.round(SPACE.lower[None].astype(float)))[0]
    return build(code, "seg", 4).train()


def losses(own):
    """Of two steps of a small network."""
    net = small_net()
    if own:
        kernels.use(net)
    optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    x = torch.randn(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(4 * 8 * 8).reshape(4, 8, 8) % 4
    found = []
    for _ in range(2):
        loss = nn.functional.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def checkpointed():
    """Relative distances of slopes and statistics where blocks run again for the backward pass, from where they do not."""
    found = []
    for again in (False, True):
        net = kernels.use(small_net())
        net.set_grad_checkpointing(again)
        net(lasting(4, 3, 32, 32)).square().sum().backward()
        found.append([one.grad for one in net.parameters()] + list(net.buffers()))
    return max(distance(a, b) for a, b in zip(*found, strict=True))


def slopes_of_slopes():
    """What is said where someone wants the slope of a slope, which no kernel knows, by name."""
    y, fine, coarse = (lasting(2, 8, *size).requires_grad_() for size in ((8, 6), (8, 6), (4, 3)))
    ways = {
        "norm": norms.finish(norm_of(8), y, fine),
        "sum": maps.merge(fine, None, coarse),
        "join": maps.join((fine, coarse), (8, 6)),
    }
    return {name: told_of(out, fine) for name, out in ways.items()}


def told_of(out, x):
    (slope,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
    try:
        slope.square().sum().backward()
    except RuntimeError as error:
        return str(error)
    return "nothing"


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
    found = {name: kernels.finish(one, y, None) is None for name, (one, y) in cases.items()}
    fine, coarse = lasting(2, 8, 8, 6), lasting(2, 8, 4, 3)
    others = {
        "a sum of other channels": maps.merge(fine, None, lasting(2, 16, 4, 3)),
        "a sum of an odd size": maps.merge(lasting(2, 8, 9, 6), None, coarse),
        "a sum of two kinds of numbers": maps.merge(fine, None, coarse.bfloat16()),
        "a join of an odd factor": maps.join((lasting(2, 8, 9, 6), lasting(2, 8, 3, 2)), (9, 6)),
        "a join of unlike factors": maps.join((fine, lasting(2, 8, 4, 1)), (8, 6)),
        "a join at the coarsest": maps.join((fine, coarse), (4, 3)),
        "a join channels first": maps.join((fine.contiguous(), coarse), (8, 6)),
    }
    return found | {name: one is None for name, one in others.items()}


def lasting(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator).to(memory_format=torch.channels_last)


def of_maps(name, given, own, torchs, kind):
    """Relative distances of what is written and of its slopes."""
    low = [x.detach().to(kind, copy=True).requires_grad_() for x in given]
    wide = [x.detach().double().requires_grad_() for x in low]
    out, wanted = own(*low), torchs(*wide)
    slope = lasting(*out.shape).to(kind)
    out.backward(slope)
    wanted.backward(slope.double())
    assert out.dtype == kind, name
    assert out.is_contiguous(memory_format=torch.channels_last), name
    pairs = [(out, wanted), *((a.grad, b.grad) for a, b in zip(low, wide, strict=True))]
    return {str(place): distance(*pair) for place, pair in enumerate(pairs)}


def repeated(x):
    return nn.functional.interpolate(x, scale_factor=2, mode="nearest")


def joined(*branches):
    size = branches[0].shape[-2:]
    return torch.cat(
        [nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in branches], 1
    )


def sums_and_joins():
    """Of sums and joins, by name and kind of numbers."""
    fine = [lasting(2, 72, 6, 10), lasting(2, 72, 6, 10) + 1]
    cases = {
        "two": ([fine[0], lasting(2, 72, 3, 5)], lambda a, b: maps.merge(a, None, b), lambda a, b: a + repeated(b)),
        "three": ([*fine, lasting(2, 72, 3, 5)], maps.merge, lambda a, b, c: a + b + repeated(c)),
        "join": (
            [lasting(2, c, 8 // f, 16 // f) for c, f in ((8, 1), (72, 2), (16, 4), (24, 8))],
            lambda *branches: maps.join(branches, (8, 16)),
            joined,
        ),
    }
    kinds = {"two": (torch.float16, torch.bfloat16), "three": (torch.float32,), "join": (torch.float32, torch.bfloat16)}
    return {
        f"{name}, {str(kind)[6:]}": of_maps(name, *case, kind) for name, case in cases.items() for kind in kinds[name]
    }


def bad_numbers():
    """Whether a number that is none stays one, as in torch."""
    y = arrays(SHAPES["small"], torch.float32, 0)[0]
    y[0, 3, 1, 1] = float("nan")
    out = finish(norm_of(8), y.clone(), None, kernels.finish)
    wanted = torch.relu(norm_of(8)(y))
    return bool(torch.equal(out.isnan(), wanted.isnan()))


def main():
    check(torch.device("cpu"))
    norms.MOST_PARTS = 4  # so that not much is much
    told = {
        "apart": {
            f"{name}, {'added' if added else 'alone'}, {str(kind)[6:]}": apart(SHAPES[name], added, kind)
            for name, kinds in KINDS.items()
            for added in (False, True)
            for kind in kinds
        },
        "maps": sums_and_joins(),
        "losses": [losses(own) for own in (False, True)],
        "checkpointed": checkpointed(),
        "slopes of slopes": slopes_of_slopes(),
        "refused": refused(),
        "bad": bad_numbers(),
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
