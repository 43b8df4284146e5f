"""Checkpoints from elsewhere: whatever is in them, the answer is a network or one line that names the file; nothing runs."""

import copy
import io
import json
import os
import pickle
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import altered
import numpy as np
import pytest
import torch
from composed import compose
from safetensors import safe_open

from ncp.benchmark import inert, torch_files
from ncp.errors import UserError
from ncp.spaces.multires import SPACE, Architecture
from ncp.tasks import checkpoint, export, parts, resuming
from ncp.tasks import run as tasks

SOME = int(os.environ.get("NCP_ALTERED", "40"))  # variants for each reader
TINY = ("task=cls", "debug=tiny", "callbacks.progress=false", "trainer.accelerator=cpu")
SPACE_LARGEST = Architecture(tuple(int(n) for n in SPACE.upper)).text
CPU = {"accelerator": "cpu", "devices": 1}
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The checkpoint of a training of one step."""
    folder = tmp_path_factory.mktemp("good")
    run = tasks.assemble(compose(*TINY), folder)
    tasks.fit(run)
    return folder / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def content(good):
    return torch.load(good, weights_only=True)


@pytest.fixture(scope="module")
def longer(good, tmp_path_factory):
    """A training of two steps that would go on from the checkpoint."""
    return tasks.assemble(compose(*TINY, "recipe.length=2"), tmp_path_factory.mktemp("longer"))


@pytest.fixture
def save(tmp_path):
    def save(content) -> Path:
        path = tmp_path / "received" / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, path)
        return path

    return save


def restore(path, folder, **data):
    return tasks.restore(
        SimpleNamespace(ckpt_path=str(path), data=data, task={}, trainer=CPU, logger={"kind": "csv"}), folder
    )


def take(path, longer):
    """Go on from a checkpoint, up to the first step; in copies, and with gradients of nought."""
    found = checkpoint.read(path)
    resuming.check(found, longer.task)
    kept = found.for_lightning()
    task = copy.deepcopy(longer.task)
    task.load_state_dict(kept["state_dict"])
    optimiser = task.configure_optimizers()
    for parameter in task.network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.load_state_dict(kept["optimizer_states"][0])
    optimiser.step()
    json.dumps(kept[checkpoint.KEY])


def start_from(path, longer):
    network = copy.deepcopy(longer.task.network)
    parts.load_pretrained(network, path, lambda weights, network: weights, longer.task.about["architecture"])


def refusal(do) -> str | None:
    """The one line that an action ends with; None where it ends well."""
    try:
        do()
    except UserError as error:
        text = str(error)
        assert "last.ckpt" in text
        assert len(text) < 1000
        assert "\n" not in text
        assert "\x1b" not in text
        return text
    return None


TENSORS = (
    torch.zeros(2), torch.zeros(()), torch.zeros(0), torch.full((8,), float("nan")), torch.zeros(8, dtype=torch.int64),
    torch.full((8, 3, 3, 3), float("inf")), torch.zeros(8, 3, 3, 3, dtype=torch.float64),
)  # fmt: skip


def one_altered(content, part, rng):
    """A copy of a checkpoint in which one value at any depth of ``content[part]`` is another, of another type or gone."""
    everywhere = list(altered.places(content[part], (part,)))
    depths = sorted({len(path) for path in everywhere})
    depth = rng.choice(depths)
    at = [path for path in everywhere if len(path) == depth]
    path = at[rng.integers(len(at))]
    values = (*altered.ODD, *TENSORS)
    which = rng.integers(len(values) + 1)
    return altered.removed(content, path) if which == len(values) else altered.replaced(content, path, values[which])


@pytest.mark.parametrize("part", ["ncp", "state_dict", "optimizer_states", "loops"])
def test_a_checkpoint_with_one_value_altered(part, content, longer, save):
    rng = np.random.default_rng(1)
    ends = []
    for _ in range(SOME // (4 if part != "loops" else 10)):
        path = save(one_altered(content, part, rng))
        doings = (
            lambda path=path: export.from_checkpoint(path),
            lambda path=path: start_from(path, longer),
            lambda path=path: take(path, longer),
        )
        ends += [refusal(do) for do in doings]
    refused = [text for text in ends if text]
    if part == "loops":  # Lightning's counters, which are made anew: only what no pickle of ours holds is refused
        assert all("is refused" in text for text in refused)
    else:
        assert refused


def test_an_evaluation_of_an_altered_configuration(content, save, tmp_path):
    rng = np.random.default_rng(2)
    ends = []
    for _ in range(SOME // 10):
        other = {**content, "ncp": {**content["ncp"]}}
        changed = one_altered({"config": content["ncp"]["config"]}, "config", rng)
        other["ncp"].pop("config")
        path = save({**other, "ncp": {**other["ncp"], **changed}})
        ends.append(refusal(lambda path=path: restore(path, tmp_path)))
    assert any(ends)


# ---- classes and references in a configuration


@pytest.mark.parametrize("part", ["data", "task"])
def test_a_class_that_the_file_names_is_not_imported(part, content, longer, save, tmp_path, monkeypatch):
    name = {"data": "Digits", "task": "Classification"}[part]
    changed = copy.deepcopy(content)
    changed["ncp"]["config"][part]["_target_"] = f"received.checkpoints.augment.{name}"
    path = save(changed)
    mark = tmp_path / "mark"
    kind = content["ncp"]["config"][part]["_target_"].rpartition(".")[0]
    path.with_name("augment.py").write_text(f"open({str(mark)!r}, 'w').close()\nfrom {kind} import {name}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = refusal(lambda: restore(path, tmp_path))
    assert f"{part}._target_='received.checkpoints.augment.{name}' is not one of this project's classes" in text
    for do in (export.from_checkpoint, lambda path: start_from(path, longer), lambda path: take(path, longer)):
        assert refusal(lambda do=do: do(path)) is None  # they need no class of the file's
    assert not mark.exists()
    assert not any(module.startswith("received") for module in sys.modules)


def test_the_command_ends_with_code_2_and_one_line(content, save, tmp_path, monkeypatch, capfd):
    from ncp import cli

    changed = copy.deepcopy(content)
    changed["ncp"]["config"]["data"]["_target_"] = "received.checkpoints.augment.Digits"
    path = save(changed)
    path.with_name("augment.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("NCP_OUTPUTS", str(tmp_path / "out"))
    monkeypatch.setattr(sys, "argv", ["ncp evaluate", f"ckpt_path={path}"])
    with pytest.raises(SystemExit) as end:
        cli.command("evaluate")()
    assert end.value.code == 2
    out, err = capfd.readouterr()
    lines = [line for line in (out + err).splitlines() if line.strip()]
    assert "is not one of this project's classes" in " ".join(lines)
    assert "Traceback" not in out + err
    assert not (tmp_path / "mark").exists()


def test_references_are_never_resolved(content, save, tmp_path, monkeypatch, caplog, capfd):
    monkeypatch.setenv("SOME_SECRET", "hunter2")
    for part, key in (("data", "size"), ("data", "_target_"), ("task", "_target_"), ("arch", "kind"), ("data", "root")):
        more = ("${now:%Y}", "${..seed}", "$SOME_SECRET", "???") if key == "size" else ()
        for text in ("${oc.env:SOME_SECRET}", *more):
            changed = copy.deepcopy(content)
            changed["ncp"]["config"][part][key] = text
            path = save(changed)
            said = refusal(lambda path=path: restore(path, tmp_path))
            assert said is not None or (part, key) == ("arch", "kind")  # the text of the architecture counts
            said = f"{said} {refusal(lambda path=path: export.from_checkpoint(path))}"
            assert "hunter2" not in said + caplog.text + "".join(capfd.readouterr())
    assert not any("hunter2" in file.read_text(errors="replace") for file in tmp_path.rglob("*.*") if file.is_file())


def test_no_path_is_made_or_opened_because_the_file_names_it(content, save, tmp_path):
    changed = copy.deepcopy(content)
    (tmp_path / "a.yaml").write_text("architecture: {code: [1]}\n")
    changed["ncp"]["architecture"] = str(tmp_path / "a.yaml")
    path = save(changed)
    for do in (lambda: export.from_checkpoint(path), lambda: restore(path, tmp_path)):
        assert f"in the architecture '{tmp_path / 'a.yaml'}' is not a whole number" in refusal(do)  # it was not opened
    changed = copy.deepcopy(content)
    changed["ncp"]["config"]["data"]["cache"] = str(tmp_path / "made")
    refusal(lambda: restore(save(changed), tmp_path))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        *(("data", "workers", 257), ("data", "workers", 10**6), ("data", "size", 10**6), ("data", "eval_batch", 10**6)),
        *(("data", "crop", [10**6, 10**6]), ("recipe", "length", 10**8), ("recipe", "batch", 2**62)),
    ],
)
def test_a_few_digits_ask_neither_for_all_memory_nor_for_a_million_processes(part, key, value, content, save):
    changed = copy.deepcopy(content)
    changed["ncp"]["config"][part][key] = value
    assert f"holds {value if isinstance(value, int) else value[0]}; at most" in refusal(
        lambda: checkpoint.read(save(changed))
    )
    changed = copy.deepcopy(content)
    changed["ncp"]["config"]["seed"] = changed["ncp"]["config"]["data"]["scene_seed"] = 2**62
    assert checkpoint.read(save(changed)).options.seed == 2**62


# ---- files


def repacked(good, target, change=lambda name, data: data, method=zipfile.ZIP_STORED, more=()):
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(target, "w", method) as out:
        for part in source.infolist():
            out.writestr(part.filename, change(part.filename, source.read(part)))
        for name, data in more:
            out.writestr(name, data)
    return target


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_torch_does_not_write(good, tmp_path):
    path = tmp_path / "last.ckpt"
    repacked(good, path)
    checkpoint.read(path).content  # noqa: B018  as it is, only written by another program
    cases = {
        "packed": lambda: repacked(good, path, method=zipfile.ZIP_DEFLATED),
        "packed; torch stores": lambda: repacked(good, path, method=zipfile.ZIP_BZIP2),
        "same name": lambda: repacked(good, path, more=[("archive/data.pkl", b"x")]),
        "several folders": lambda: repacked(good, path, more=[("other/data.pkl", b"x")]),
        "no data.pkl": lambda: repacked(good, path, more=[("archive/constants.pkl", b"x")]),
        "missing or cut off": lambda: repacked(good, path, lambda name, data: data[:-1] if name.endswith("/data/7") else data),
        "no checkpoint of torch": lambda: path.write_bytes(good.read_bytes() + b"more"),
        "or cut off": lambda: path.write_bytes(good.read_bytes()[:-100]),
        "cannot be read": lambda: path.write_bytes(b""),
        "of torch, or": lambda: path.write_bytes(pickle.dumps({"state_dict": {}, "ncp": {}})),
    }  # fmt: skip
    for words, make in cases.items():
        make()
        assert words in refusal(lambda: checkpoint.read(path)), words


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "last.ckpt")
    assert "no regular file" in refusal(lambda: checkpoint.read(tmp_path / "last.ckpt"))
    (tmp_path / "a" / "last.ckpt").mkdir(parents=True)
    assert "last.ckpt' holds no checkpoints/last.ckpt" in refusal(lambda: checkpoint.read(tmp_path / "a" / "last.ckpt"))
    assert "there is no checkpoint" in refusal(lambda: checkpoint.read(tmp_path / "b" / "last.ckpt"))


def test_damaged_files(good, tmp_path):
    path = tmp_path / "last.ckpt"
    ends = []
    for data in altered.damaged(good.read_bytes(), SOME // 2):
        path.write_bytes(data)
        ends.append(refusal(lambda: export.from_checkpoint(path)))
    assert any(ends)


def with_pickle(path, program: bytes):
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("archive/data.pkl", program)
        out.writestr("archive/version", b"3\n")
        out.writestr("archive/byteorder", b"little")
        out.writestr("archive/data/0", b"\0" * 16)
    return path


def doubled(levels: int) -> bytes:
    """A list of the same list twice, ``levels`` deep."""
    out = []
    for _ in range(levels):
        out = [out, out]
    return pickle.dumps(out, protocol=2)[2:-1]


TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
    b"X\x03\x00\x00\x00cpuK\x04tQ"
)
END = b"\x89ccollections\nOrderedDict\n)RtR"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (doubled(40), "levels of lists"),
        (doubled(25), "unfolds to more than"),
        (b"]q\x00h\x00a", "levels of lists"),  # a list that holds itself
        (b"]q\x00" * 100 + b"a" * 99, "levels of lists"),
        (b"}" + b")" + b"\x85" * 60 + b"K\x01s", "as a key"),
        (b"cos\nsystem\nX\x04\x00\x00\x00true\x85R", "which is not on the list of allowed names"),
        (b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R", "which is not on the list of allowed names"),
        (b"ctorch\nload\n", "which is not on the list of allowed names"),
        (TENSOR + b"K\x00K\x08\x85K\x00\x85" + END, "numbers behind it"),  # 8 of 4, each the first
        (TENSOR + b"K\x00J\xff\xff\xff\x7f\x85K\x00\x85" + END, "numbers behind it"),
        (TENSOR + b"K\x03K\x02\x85K\x01\x85" + END, "numbers behind it"),
        (TENSOR + b"K\x00K\x02\x85)" + END, "do not agree"),
        (TENSOR + b"K\x00J\xff\xff\xff\xff\x85K\x01\x85" + END, "are no numbers"),
        (b"ccollections\nOrderedDict\n)R}X\x05\x00\x00\x00itemsK\x01sb", "state of something"),
        (b"X\x07\x00\x00\x00storageQ", "corrupt"),
        (b"ccollections\nOrderedDict\n", "neither a plain value"),
    ],
)
def test_programs_that_torch_does_not_write(program, words, tmp_path):
    path = with_pickle(tmp_path / "last.ckpt", b"\x80\x02" + program + b".")
    assert words in refusal(lambda: checkpoint.read(path))


def test_shapes_are_what_torch_reads(content, good):
    found = torch_files.look_over(good)

    def same(a, b):
        if isinstance(b, torch.Tensor):
            assert a.sizes == tuple(b.shape)
            assert inert.TYPES[a.type] == b.element_size()
        elif isinstance(b, (dict, list, tuple)):
            assert len(a) == len(b)
            keys = list(b) if isinstance(b, dict) else range(len(b))
            for key in keys:
                same(a[key], b[key])
        else:
            assert a == b
            assert type(a) is type(b)

    same(found, dict(content))
    other = {"a": torch.arange(12.0).reshape(3, 4).T, "b": torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))}
    file = io.BytesIO()
    torch.save({**other, "c": torch.tensor([True]), "d": other["a"][1:, 2]}, file)
    values, _ = inert.parse(zipfile.ZipFile(file).read("archive/data.pkl"), "x")
    assert [values[key].sizes for key in "abcd"] == [(4, 3), (2,), (1,), (3,)]


# ---- weights


def test_weights_that_are_not_finite(content, longer, save, tmp_path):
    changed = copy.deepcopy(content)
    name = list(changed["state_dict"])[3]
    changed["state_dict"][name].fill_(float("nan"))
    path = save(changed)
    for do in (
        lambda: export.from_checkpoint(path),
        lambda: restore(path, tmp_path),
        lambda: start_from(path, longer),
        lambda: take(path, longer),
    ):
        assert f"are not finite: {name.removeprefix('network.')}" in refusal(do).replace("finite: network.", "finite: ")
    training = tasks.assemble(compose(*TINY, "recipe.length=2", f"ckpt_path={path}"), tmp_path)
    assert "are not finite" in refusal(lambda: tasks.fit(training))


def test_weights_that_do_not_fit_are_counted(content, longer, save, tmp_path):
    changed = copy.deepcopy(content)
    names = sorted(changed["state_dict"])
    for name in names[:3]:
        changed["state_dict"][f"network.odd.{name}"] = changed["state_dict"].pop(name)
    changed["state_dict"][names[5]] = torch.zeros(1, 2)
    path = save(changed)
    for do in (lambda: export.from_checkpoint(path), lambda: restore(path, tmp_path), lambda: take(path, longer)):
        text = refusal(do).replace("network.", "")
        first = names[0].removeprefix("network.")
        assert (
            f"missing: {first} and 2 more; unknown: odd.{first} and 2 more; {names[5].removeprefix('network.')} has"
            in text
        )


def test_more_classes_than_weights_take_no_memory(content, save):
    changed = copy.deepcopy(content)
    changed["ncp"]["classes"] = [str(i) for i in range(100_000)]
    assert "names 100,000 classes, for which it has no weights" in refusal(
        lambda: export.from_checkpoint(save(changed))
    )
    changed = copy.deepcopy(content)
    changed["ncp"]["architecture"] = SPACE_LARGEST
    assert "do not fit its architecture (missing: " in refusal(lambda: export.from_checkpoint(save(changed)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.clear(), "another number of groups"),
        (lambda one: one["param_groups"][0]["params"].pop(), "other parameters"),
        (lambda one: one["param_groups"][0].pop("lr"), "for lr"),
        (lambda one: one["param_groups"][0].update(clip=float("nan")), "nan for clip"),
        (lambda one: one["state"].update({5000: {}}), "of a parameter 5000"),
        (lambda one: one["state"][0].pop("square"), "of parameter 0 it holds nothing, not square"),
        (lambda one: one["state"][0].update(square=torch.zeros(3)), "the shape (3,), not (8, 3, 3, 3)"),
    ],
)
def test_an_optimiser_that_does_not_fit(change, words, content, longer, save):
    changed = copy.deepcopy(content)
    change(changed["optimizer_states"][0])
    path = save(changed)
    assert words in refusal(lambda: take(path, longer))
    assert refusal(lambda: export.from_checkpoint(path)) is None  # which needs no optimiser


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "relative"])
def test_every_optimisers_own_state_fits(name, longer):
    task = copy.deepcopy(longer.task)
    recipe = {
        **longer.options.recipe,
        "optimizer": {"name": name, "lr": 0.1, **({"momentum": 0.9} if name == "sgd" else {})},
    }
    task.recipe = type(task.recipe).from_config(recipe)
    optimiser = task.configure_optimizers()
    for parameter in task.network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    file = io.BytesIO()
    torch.save([optimiser.state_dict()], file)
    states, _ = inert.parse(zipfile.ZipFile(file).read("archive/data.pkl"), "x")
    assert resuming.misfit(states, task) is None
    states[0]["state"][0].popitem()
    assert resuming.misfit(states, task) is not None


def test_names_that_are_no_utf8_come_back(content, save):
    name = os.fsdecode(b"caf\xe9")
    changed = copy.deepcopy(content)
    changed["ncp"]["classes"][0] = changed["ncp"]["config"]["data"]["root"] = name
    found = checkpoint.read(save(changed))
    assert (found.own.classes[0], found.options.data["root"]) == (name, name)
    with safe_open(
        export.write(export.from_checkpoint(found.path), "safetensors", found.path, None)["safetensors"], "np"
    ) as file:
        assert file.metadata()["class_names"].split("\n")[:2] == ["caf\\udce9", "1"]
    changed["ncp"]["architecture"] = changed["ncp"]["task"] = name
    assert "cannot be used" in refusal(lambda: export.from_checkpoint(save(changed)))


# ---- earlier versions


def test_a_checkpoint_of_an_earlier_version(content, save, tmp_path):
    changed = copy.deepcopy(content)
    for key in ("position", "at"):
        changed["ncp"].pop(key)
    changed["ncp"]["latest"] = {"top1": 50.0, "top5": float("nan")}
    changed["ncp"]["config"]["setting"] = {"name": "cls-50-1000", "task": "cls"}
    changed["ncp"]["config"]["paths"] = {"outputs": "/somewhere"}
    path = save(changed)
    about = export.from_checkpoint(path).about
    assert about["metrics.top1"] == "50.0000"
    assert "metrics.top5" not in about
    run = restore(path, tmp_path)
    assert run.task.restored_step == 1
    weights = run.task.network.state_dict()
    assert all(
        torch.equal(weights[key.removeprefix("network.")], value) for key, value in content["state_dict"].items()
    )


def test_a_run_folder_stands_for_its_last_checkpoint(good):
    assert checkpoint.read(good.parents[1]).path == good
    with pytest.raises(
        UserError, match=r"holds no checkpoints/last\.ckpt; give a checkpoint's file, or the run folder"
    ):
        checkpoint.read(good.parent)
