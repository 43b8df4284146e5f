"""Which way of running steps is chosen, and what is said where it is not the fast one."""

from types import SimpleNamespace

import pytest
import torch

from ncp.errors import UserError
from ncp.tasks.stepping import Eager, choose
from ncp.tasks.stepping.choice import against
from ncp.tasks.stepping.graphs import Graphs


def made(device="cuda", static=True, world=1, scaler=None, compiled=None):
    task = SimpleNamespace(
        static=static, name="seg", compiled_as=compiled, loss=None, trained=lambda: [], part=lambda: None,
        recipe=SimpleNamespace(momentum_schedule=None),
    )  # fmt: skip
    trainer = SimpleNamespace(
        strategy=SimpleNamespace(root_device=torch.device(device)), world_size=world, precision="16-mixed",
        precision_plugin=SimpleNamespace(scaler=scaler), accumulate_grad_batches=1, gradient_clip_val=None,
        gradient_clip_algorithm=None,
    )  # fmt: skip
    return task, trainer


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"device": "cpu"}, "there is no GPU"),
        ({"static": False}, "task=seg does something else in each step"),
        ({"world": 2}, "2 devices exchange gradients"),
        ({"scaler": object()}, "use bf16-mixed"),
        ({"compiled": "reduce-overhead"}, "makes graphs of its own"),
    ],
)
def test_reasons_are_logged_or_refused(other, reason, caplog):
    task, trainer = made(**other)
    with caplog.at_level("DEBUG"):
        assert isinstance(choose(task, trainer, "auto"), Eager)
    assert reason in caplog.text
    with pytest.raises(UserError, match=r"trainer\.graphs=true, but"):
        choose(task, trainer, True)


def test_graphs_are_taken_where_nothing_is_in_the_way():
    task, trainer = made()
    assert against(task, trainer) is None
    assert isinstance(choose(task, trainer, "auto", capture=object()), Graphs)
    assert isinstance(choose(task, trainer, False, capture=object()), Eager)
