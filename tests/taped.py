"""A device's graphs on a CPU: what torch's operators do is written on a tape, which is run again on the same memory.

As with CUDA graphs, inputs and results stay where they were when the work was recorded, Python does not run again, its numbers
are fixed, and nothing may wait for the device. Recording leaves no trace in what it worked on.
"""

import contextlib

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = ("_local_scalar_dense", "lift_fresh", "nonzero", "masked_select", "equal", "is_nonzero")


class Tape(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls = []
        self.made = set()  # memory that came into being meanwhile
        self.before = {}  # the memory of what was there -> its content

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        if name in WAITS:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        given = set()
        for one in tree_leaves((args, kwargs)):
            if isinstance(one, torch.Tensor):
                storage = one.untyped_storage()
                given.add(storage._cdata)
                if storage._cdata not in self.made and storage._cdata not in self.before:
                    self.before[storage._cdata] = (storage, storage.clone())
        out = func(*args, **kwargs)
        results = [one for one in tree_leaves(out) if isinstance(one, torch.Tensor)]
        for one in results:
            if one.untyped_storage()._cdata not in self.before:
                self.made.add(one.untyped_storage()._cdata)
        # what may be a view (such as a conversion) is one where it shares memory with what was given
        shown = bool(results) and all(one.untyped_storage()._cdata in given for one in results)
        self.calls.append((func, args, kwargs, results, shown))
        return out

    def undo(self):
        for storage, content in self.before.values():
            storage.copy_(content)

    def run(self):
        with torch.no_grad():
            for func, args, kwargs, kept, shown in self.calls:
                returns = func._schema.returns
                if shown and any(one.alias_info is not None and not one.alias_info.is_write for one in returns):
                    continue  # a view: it shows whatever lies there now
                out = func(*args, **kwargs)
                for old, new in zip(kept, [o for o in tree_leaves(out) if isinstance(o, torch.Tensor)], strict=True):
                    if old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class TapedGraphs:
    """A :class:`ncp.models.capture.Capture`; counts what was recorded and run."""

    def __init__(self):
        self.recorded, self.run, self.warm = 0, 0, 0

    @contextlib.contextmanager
    def aside(self):
        self.warm += 1
        yield

    def record(self, work):
        tape = Tape()
        try:
            with torch.random.fork_rng(devices=[]), tape:
                out = work()
        finally:
            tape.undo()
        self.recorded += 1

        def replay():
            self.run += 1
            tape.run()

        return replay, out
