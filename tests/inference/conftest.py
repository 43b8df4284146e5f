"""One tiny training a task, made when a test first asks for it."""

from collections.abc import Callable, Iterator

import pytest
import torch
from composed import compose
from tiny_runs import COMMON, OPTIONS, Trained, written

from ncp.tasks import run as tasks


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Trained]]:
    """From a task to its training."""
    made: dict[str, Trained] = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def get(task: str) -> Trained:
        if task not in made:
            folder = tmp_path_factory.mktemp(task)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
                run = tasks.assemble(compose(f"task={task}", *OPTIONS[task], *COMMON), folder)
                tasks.fit(run)
            run.task.cpu().float().eval()
            made[task] = Trained(run, folder, written(run, folder / "inputs"))
        return made[task]

    yield get
    torch.set_num_threads(threads)
