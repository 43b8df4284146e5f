"""Which way of running steps is chosen, and what is said where it is not the fast one."""

from types import SimpleNamespace

import pytest
import torch

from ncp.errors import UserError
from ncp.tasks.stepping import Eager, choice, choose
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


@pytest.mark.parametrize(
    ("other", "graphs", "refused", "reason"),
    [
        ({}, "auto", None, None),
        ({"compiled": "regional"}, "auto", None, "compile=regional has kernels of its own"),
        ({}, False, None, "steps are not recorded"),
        ({"world": 2}, "auto", None, "steps are not recorded"),
        ({}, "auto", "Failed to find C compiler", "Failed to find C compiler"),
    ],
)
def test_recorded_steps_take_triton_s_kernels_where_they_can_be_had(
    monkeypatch, caplog, other, graphs, refused, reason
):
    task, trainer = made(**other)
    asked = []
    monkeypatch.setattr(choice.triton, "refused", lambda device: asked.append(device) or refused)
    monkeypatch.setattr(choice.triton, "use", asked.append)
    with caplog.at_level("DEBUG"):
        choose(task, trainer, graphs, capture=object())
    assert (task in asked) == (reason is None)
    assert (reason or "are Triton's kernels in a step") in caplog.text
    if reason is None:
        asked.clear()
        choose(task, trainer, graphs, capture=object(), kernels=False)
        assert asked == []
        choose(task, trainer, graphs, capture=object(), kernels=True)
        assert task in asked
    else:
        with pytest.raises(UserError, match=rf"trainer\.kernels=true, but {reason}; leave it out"):
            choose(task, trainer, graphs, capture=object(), kernels=True)
