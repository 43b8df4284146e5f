"""From a configuration to parts: how networks are built, whose weights they start from, devices."""

import pytest
import torch
from composed import SMALL_SEG, compose

from ncp import jobs
from ncp.errors import UserError
from ncp.spaces import found
from ncp.tasks import architectures, parts
from ncp.tasks import run as tasks
from ncp.tasks.pretrained import load_pretrained

TINY = (
    "task=cls",
    "callbacks.progress=false",
    "recipe.length=1",
    "recipe.eval_every=1",
    "recipe.batch=2",
    "data.workers=0",
)
TIMM = (*TINY, "arch=timm")
pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")


@pytest.mark.parametrize(
    "options",
    [
        ("task=cls", "arch=narrow"), ("task=cls", "arch=timm", "arch.name=resnet18"), ("task=det3d", "arch=pointpillars"),
        ("task=seg", "arch=timm", "arch.name=hrnet_w18"), ("task=video", "arch=narrow"),
    ],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("key", ["nonsense", "classes", "grad_checkpoint"])
def test_a_key_that_a_network_does_not_take_is_one_line(tmp_path, options, key):
    with pytest.raises(
        UserError, match=rf"^model\.{key} does not exist for .*; there are model\.channels_last"
    ) as error:
        tasks.assemble(compose(*options, f"+model.{key}=1", "callbacks.progress=false"), tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_values_are_true_or_false(tmp_path):
    with pytest.raises(UserError, match=r"model\.grad_checkpointing must be true or false, given was 'perhaps'"):
        tasks.assemble(compose(*TINY, "arch=narrow", "+model.grad_checkpointing=perhaps"), tmp_path)


def saved(run) -> float:
    """Megabytes of maps that one training pass keeps."""
    batch = next(iter(run.data.train_dataloader()))
    seen = {}

    def pack(tensor):
        seen[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    run.task.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = run.task(batch)
    assert output.requires_grad
    return sum(seen.values()) / 2**20


@pytest.mark.parametrize("task", ["cls", "seg", "video"])
def test_gradient_checkpointing_of_timms_networks_keeps_less(tmp_path, task):
    options = (
        f"task={task}",
        "arch=timm",
        "arch.name=resnet18",
        "callbacks.progress=false",
        "recipe.batch=2",
        "data.workers=0",
    )
    run = tasks.assemble(compose(*options, "seed=1"), tmp_path)
    less = tasks.assemble(compose(*options, "seed=1", "+model.grad_checkpointing=true"), tmp_path)
    batch = next(iter(run.data.train_dataloader()))
    assert saved(less) < 0.8 * saved(run)
    run.task.eval(), less.task.eval()
    assert torch.equal(run.task(batch), less.task(batch))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("task=seg", "arch=timm", "arch.name=hrnet_w18"), "timm has no gradient checkpointing for 'hrnet_w18'"),
        (
            ("task=cls", "arch=timm", "arch.name=hrnet_w18_small"),
            "timm has no gradient checkpointing for 'hrnet_w18_small'",
        ),
        (("task=det3d", "arch=pointpillars"), "model.grad_checkpointing does not exist for arch=pointpillars"),
    ],
)
def test_where_there_is_none_it_is_refused_by_name(tmp_path, options, words):
    with pytest.raises(UserError, match=words):
        tasks.assemble(compose(*options, "+model.grad_checkpointing=true"), tmp_path)


def test_the_advice_for_too_little_memory_names_what_there_is(tmp_path):
    error = RuntimeError("CUDA out of memory")
    for options, both in ((("task=det3d", "arch=pointpillars"), False), ((*TINY, "arch=narrow"), True)):
        run = tasks.assemble(compose(*options), tmp_path)
        advice = str(tasks._does_not_fit(error, run))
        assert "recipe.per_device=1" in advice
        assert ("grad_checkpointing" in advice) == both


# ---- pretrained weights


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    out = {}
    for name in ("resnet18", "resnet34"):
        folder = tmp_path_factory.mktemp(name)
        run = tasks.assemble(compose(*TIMM, f"arch.name={name}"), folder)
        tasks.fit(run)
        out[name] = (run, folder / "checkpoints/last.ckpt")
    return out


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        # 34 has 8 blocks more, of two convolutions and two norms (five entries each): 8 * 12 = 96
        (
            "resnet18",
            "resnet34",
            r"of another architecture, resnet18: 96 of this network's 216 entries find no weights there",
        ),
        ("resnet34", "resnet18", r"of another architecture, resnet34: 96 of its entries have no place in this network"),
    ],
)
def test_a_baseline_that_half_fits_is_refused_with_how_much(checkpoints, tmp_path, source, target, words):
    with pytest.raises(UserError, match=words):
        tasks.assemble(compose(*TIMM, f"arch.name={target}", f"pretrained={checkpoints[source][1]}"), tmp_path)


def test_a_baseline_starts_from_its_own_whatever_the_classes(checkpoints, tmp_path):
    source, path = checkpoints["resnet18"]
    run = tasks.assemble(compose(*TIMM, "arch.name=resnet18", f"pretrained={path}", "seed=9"), tmp_path)
    theirs = source.task.network.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in run.task.network.state_dict().items())
    import timm

    other = timm.create_model("resnet18", num_classes=7)
    load_pretrained(other, path, lambda weights, network: weights, "resnet18")
    assert torch.equal(other.layer4[1].conv2.weight, theirs["layer4.1.conv2.weight"])
    assert other.fc.weight.shape[0] == 7


def test_a_searched_network_with_fewer_blocks_is_refused_too(tmp_path):
    """Every entry of the smaller one is in the larger one by name and shape."""
    smaller = str(tasks.assemble(compose(*SMALL_SEG), tmp_path / "x").architecture)
    larger = smaller.replace("-1_1_1_8-", "-1_1_2_8-", 1)  # a second unit in the first block
    assert larger != smaller
    folder = tmp_path / "larger"
    folder.mkdir()
    one_step = ("recipe.length=1", "recipe.eval_every=1")
    tasks.fit(tasks.assemble(compose(*SMALL_SEG, *one_step, "arch=code", f"arch.code={larger}"), folder))
    with pytest.raises(UserError, match=r"of its entries have no place in this network"):
        tasks.assemble(compose(*SMALL_SEG, f"pretrained={folder / 'checkpoints/last.ckpt'}"), tmp_path / "y")


# ---- devices


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"devices": 2}, 2),
        ({"devices": "3", "num_nodes": 4}, 12),
        ({"devices": [0, 5]}, 2),
        ({"devices": "auto", "accelerator": "cpu"}, 1),
    ],
)
def test_devices_are_counted_over_all_machines(settings, count):
    assert parts.device_count(settings) == count


@pytest.mark.parametrize("devices", [0, -3, "many", "1.5"])
def test_numbers_of_devices_that_cannot_be(devices):
    with pytest.raises(UserError, match=r"trainer\.devices must be auto, a positive number or a list"):
        parts.device_count({"devices": devices})


def test_an_evaluation_asks_for_no_batch_that_its_devices_share(checkpoints, tmp_path):
    _, path = checkpoints["resnet18"]
    options = (f"ckpt_path={path}", "trainer.devices=3", "trainer.accelerator=cpu")
    run = tasks.restore(compose(*options, name="evaluate"), tmp_path)
    assert run.trainer.num_devices == 3


def test_known_architectures_are_still_found():
    assert architectures.choose({"kind": "named", "name": "ncp_seg"}) == found.get("ncp_seg")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "random", "seed": "x"}, "arch.seed must be a whole number, given was 'x'"),
        ({"kind": "random", "seed": -1}, "arch.seed must be a whole number of at least 0, given was -1"),
        ({"kind": "random"}, "'arch.seed' has no value; .*: arch.seed=..."),
        ({"kind": "named", "name": "ncp_seg", "seed": 3}, "unknown key 'arch.seed' .*; its keys: name"),
        ({"kind": "code", "path": "a.yaml"}, "unknown key 'arch.path' .*; its keys: code"),
        ({"kind": "code", "code": 3}, "is read as a single number"),
        (
            {"kind": "found"},
            "unknown kind of architecture 'found'; kinds: random, named, code, file, timm, pointpillars",
        ),
        ({"kind": ["a"]}, "unknown kind of architecture"),
        (
            {"kind": "pointpillars", "name": "pointpillars-8"},
            "of pointpillars, pointpillars-32, pointpillars-16, given",
        ),
    ],
)
def test_what_arch_cannot_mean_is_one_line(settings, words):
    with pytest.raises(UserError, match=words) as error:
        architectures.choose(settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("trainer.accelerator=mps",), "trainer.accelerator must be one of auto, cpu, gpu, cuda, given was 'mps'"),
        (("trainer.devices=99", "recipe.batch=99"), "trainer.devices=99 asks for 99 processes on the CPU"),
        (("trainer.num_nodes=0",), "trainer.num_nodes must be a whole number of at least 1, given was 0"),
        (("trainer.deterministic=maybe",), "trainer.deterministic must be one of true or false, warn"),
        (("trainer.limit_val_batches=x",), "trainer.limit_val_batches must be a whole number or a number or null"),
        (("trainer.devices=[0,0]",), "trainer.devices=.* must name GPUs, each once, from 0 up"),
        (("task.foo=1",), "unknown key 'task.foo' for Classification"),
        (("arch.foo=1",), "unknown key 'arch.foo' for arch.kind=random; its keys: seed"),
        (
            ("arch=timm", "arch.name=resnet18", "arch.rate=1"),
            "unknown key 'arch.rate' for arch.kind=timm; its keys: name, head",
        ),
        (("recipe.batch=0",), "recipe.batch must be positive"),
        (("compile=fast",), "compile must be true, false or one of"),
    ],
)
def test_what_is_wrong_is_told_before_the_data_is_looked_at(tmp_path, monkeypatch, words, message):
    monkeypatch.setattr(tasks, "make_data", lambda options: pytest.fail("the data was made"))
    with pytest.raises(UserError, match=message):
        tasks.assemble(jobs.options("train", "task=cls", "trainer.accelerator=cpu", *words), tmp_path)


def test_a_batch_that_is_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "free_memory_mb", lambda: 64.0)
    options = jobs.options("train", "task=cls", "arch=narrow", "recipe.batch=60000", "trainer.accelerator=cpu")
    with pytest.raises(
        UserError, match=r"60,000 samples at a time need [\d,]+ GiB and more, and there are 0; set recipe.per"
    ):
        tasks.assemble(options, tmp_path)


@pytest.mark.parametrize("change", ["foo=3", "score=x", "score=-1", "most=0", "rotated=3"])
def test_suppression_is_checked_when_the_task_is_made(tmp_path, change):
    options = jobs.options("train", "task=det3d", "arch=narrow", "debug=tiny", f"task.nms.{change}")
    with pytest.raises(UserError, match=r"task\.nms"):
        tasks.assemble(options, tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("task=cls", "data.size=1000000"), "data.size is at most 16,384, given was 1000000"),
        (("task=seg", "data.crop=[64,1000000]"), "data.crop is at most 16,384, given was 1000000"),
        (("task=seg", "data.scenes=100000000"), "data.scenes is at most 20,000, given was 100000000"),
        (("task=video", "data.frames=1000000000"), "data.frames is at most 4,096, given was 1000000000"),
        (("task=video", "data.frames=4000", "data.size=400"), "the data's samples have 3 x 4000 x 400 x 400 numbers"),
        (("task=seg", "data.eval_size=[16000,16000]"), "the data's samples have 3 x 1 x 16000 x 16000 numbers"),
    ],
)
def test_samples_that_no_machine_holds_are_refused_before_any_is_made(monkeypatch, options, words):
    monkeypatch.setattr("ncp.data.base.DataModule.setup", lambda self: pytest.fail("the data was made"))
    with pytest.raises(UserError, match=words):
        parts.make_data(compose(*options))
