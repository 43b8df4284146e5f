"""Detection and video on two processes: the very steps of one process, every frame and video scored once."""

import json
from pathlib import Path

import ddp_other_tasks
import ddp_worker
import pytest
import torch
from composed import compose

from ncp.tasks import run as tasks
from ncp.tasks.detection import EVALUATIONS, RESULTS

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp")
    script = Path(ddp_other_tasks.__file__)
    return ddp_worker.launch(script, folder, tuple(ddp_other_tasks.TASKS))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(ddp_other_tasks.TASKS))
def test_two_processes_take_the_very_steps_of_one(results, tmp_path, name):
    run = tasks.assemble(compose(*ddp_other_tasks.TASKS[name], *ddp_other_tasks.EXACT), tmp_path)
    tasks.fit(run)
    metrics = tasks.evaluate(run)
    for rank in (0, 1):
        theirs = torch.load(results / f"{name}-{rank}.pt", weights_only=True)
        for key, value in run.task.network.state_dict().items():
            assert torch.allclose(value.double(), theirs["weights"][key].double(), rtol=0, atol=1e-9), key
        assert theirs["metrics"] == pytest.approx(metrics, abs=1e-9, nan_ok=True)
    if name == "det3d":  # three frames on two processes; an evaluation of a kept step among them
        contents = [json.loads((folder / EVALUATIONS).read_text()) for folder in (tmp_path, results / name)]
        assert contents[0]["evaluations"].keys() == contents[1]["evaluations"].keys() == {"1", "2"}
        ours, other = (sorted((folder / RESULTS / "data").iterdir()) for folder in (tmp_path, results / name))
        assert [path.name for path in ours] == [path.name for path in other]
        assert len(ours) == 3
