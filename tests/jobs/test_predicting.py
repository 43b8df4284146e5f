"""Looking at inputs, whatever the task: who looks, what is left when it is broken off, and that films are closed."""

import json
from types import SimpleNamespace

import pytest

from ncp.inference.inputs import Input
from ncp.inference.outputs import Results
from ncp.jobs import predicting

KINDS = {"cls": "Classes", "seg": "Segments", "det3d": "Scenes", "video": "Videos"}


class Reels:
    closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        type(self).closed = True


def looks(kind, until, error):
    """A task that finds something in every input, and fails after so many."""

    class Task:
        def __init__(self, network, asked, results):
            self.results, self.reels = results, Reels()

        def heads(self):
            return {f"{kind}.csv": ["class"]}

        def run(self, inputs, watch):
            for i, one in enumerate(inputs):
                if i == until:
                    raise error
                self.results.add(one, {"kind": kind})
                watch(one)

    return Task


def look(monkeypatch, tmp_path, task, until=99, error=None):
    for name, kind in KINDS.items():
        assert predicting.KINDS[name].__name__ == kind
        monkeypatch.setitem(predicting.KINDS, name, looks(name, until, error))
    Reels.closed = False
    inputs = [Input(tmp_path / f"{i}.png", f"{i}.png", f"{i}") for i in range(4)]
    results = Results(tmp_path / "out", inputs)
    network = SimpleNamespace(card=SimpleNamespace(task=task))
    return predicting.look(network, inputs, SimpleNamespace(), results)


def lines(tmp_path):
    return [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("task", KINDS)
def test_the_networks_task_decides_who_looks(monkeypatch, tmp_path, task):
    written = look(monkeypatch, tmp_path, task)
    assert [path.name for path in written] == ["predictions.jsonl", f"{task}.csv"]
    assert lines(tmp_path) == [{"file": f"{i}.png", "kind": task} for i in range(4)]
    assert Reels.closed


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("broken")], ids=["interrupted", "an error"])
def test_what_was_found_until_the_end_came_is_written(monkeypatch, tmp_path, error):
    with pytest.raises(type(error)):
        look(monkeypatch, tmp_path, "seg", until=2, error=error)
    assert [line["file"] for line in lines(tmp_path)] == ["0.png", "1.png"]
    assert Reels.closed
