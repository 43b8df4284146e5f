"""Video recognition: time matters, many clips are averaged, a classification network is the start, nothing wrong in silence."""

import json

import pytest
import torch
from composed import compose
from layouts import make_hmdb51

from ncp.errors import UserError
from ncp.models import build
from ncp.tasks import run as tasks
from ncp.tasks.base import Task
from ncp.tasks.recipe import Recipe
from ncp.tasks.video import VideoRecognition, inflate

NARROW = "8_8-1_1_1_8-1_2_1_1_8_8-1_3_1_1_1_8_8_8-1_4_1_1_1_1_8_8_8_8-8"
SMALL = (
    "task=video", "arch=narrow", "data.videos=12", "data.val_videos=6", "recipe.length=2", "recipe.eval_every=2",
    "recipe.log_every=1", "recipe.batch=4", "callbacks.progress=false",
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("one_thread")


def train(folder, *overrides):
    folder.mkdir(parents=True, exist_ok=True)
    run = tasks.assemble(compose(*SMALL, *overrides), folder)
    tasks.fit(run)
    return run, tasks.evaluate(run)


def test_the_recipe_is_the_papers():
    config = compose("setting=video", "data.root=/somewhere")
    recipe = Recipe.from_config(config.recipe)
    plan = recipe.plan(2649, devices=4)
    assert plan.steps == round(100 * 2649 / 80)
    assert (plan.policy.total, plan.policy.per_device, plan.policy.accumulate) == (80, 20, 1)
    assert (plan.log_every, plan.keep) == (10, ())
    assert plan.evaluate == tuple(round(10 * k * 2649 / 80) for k in range(1, 11))
    assert dict(recipe.optimizer) == {"name": "adam", "lr": 0.01, "betas": [0.9, 0.999], "weight_decay": 1e-5}
    assert [round(recipe.rate()(t), 6) for t in (0, 0.5, 1)] == [0.01, 0.005, 0]
    data = config.data
    assert (data["size"], data["split"], data["least_frames"], data["counts"]) == (112, 1, 64, [3570, 1530, 2649])
    jitter = {k: v for k, v in data["augmentation"].items() if k != "scale"}
    assert jitter == {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.25, "greyscale": 0.3}


def test_video_p_needs_a_pretrained_network(tmp_path):
    assert (
        compose("setting=video-p", "data.root=/somewhere").data == compose("setting=video", "data.root=/somewhere").data
    )
    run = tasks.assemble(compose(*SMALL, "task.pretrained_required=true"), tmp_path)
    with pytest.raises(UserError, match=r"starts from a classification training .* give pretrained="):
        tasks.fit(run)
    assert compose("setting=video-p", "data.root=/somewhere").task["pretrained_required"]


def test_a_training_from_configuration_to_result(tmp_path):
    run, metrics = train(tmp_path, "data.clips=2")
    result = tasks.summarise(run, metrics)
    assert set(metrics) == {"top1", "top5"}
    assert 0 <= metrics["top1"] <= metrics["top5"] <= 100
    assert json.dumps(result)
    assert result["main_metric"] == "top1"
    # counted from the code, the same as by torch on the network
    x = torch.empty(1, run.data.frames, 3, 16, 16, device="meta")
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        build(NARROW, "video", classes=4).to("meta").eval()(x)
    assert result["cost"]["macs_at_size"] == counter.get_total_flops() // 2
    assert result["cost"]["params"] == sum(p.numel() for p in run.task.network.parameters())


def test_a_videos_clips_are_averaged(tmp_path):
    # the usual start, for an untrained network whose probabilities differ
    options = ("data.clips=3", "data.stride=2", "data.frames=3", "recipe.fusion_scale=null", "recipe.residual_scale=1")
    run = tasks.assemble(compose(*SMALL, *options), tmp_path)
    task = run.task.eval()
    batch = next(iter(run.data.val_dataloader()))
    assert batch["image"].shape[:3] == (6, 3, run.data.frames)
    with torch.no_grad():
        whole = task.probabilities(batch)
        singly = [task.probabilities({"image": batch["image"][:, k : k + 1]}) for k in range(3)]
    assert torch.allclose(whole, sum(singly) / 3, atol=1e-5)
    assert not torch.allclose(singly[0], singly[1], atol=1e-4)
    assert torch.allclose(whole.sum(1), torch.ones(6))


def test_unreadable_videos_count_nowhere(tmp_path):
    run = tasks.assemble(compose(*SMALL), tmp_path)
    batch = next(iter(run.data.val_dataloader()))
    run.task.eval()
    run.task.score(batch)
    all_there = run.task.scores.compute()
    run.task.scores.reset()
    more = {"image": torch.cat([batch["image"]] * 2), "label": torch.cat([batch["label"], torch.full((6,), -1)])}
    run.task.score(more)
    assert int(run.task.scores.total) == 6
    assert run.task.scores.compute() == all_there


def test_an_inflated_network_is_the_average_over_frames():
    torch.manual_seed(0)
    image, video = build(NARROW, "cls", classes=5).eval(), build(NARROW, "video", classes=7).eval()
    for module in image.modules():  # statistics as after a training
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
    adapted = VideoRecognition.adapt_pretrained(image.state_dict(), video, {"pretrained_layer": "inflated"})
    missing, unexpected = video.load_state_dict(adapted, strict=False)
    assert sorted(missing) == ["head.classifier.bias", "head.classifier.weight"]
    assert {key.split(".")[1] for key in unexpected} == {"join"}
    x_BTCHW = torch.randn(2, 4, 3, 64, 64)
    with torch.no_grad():
        video.head.classifier = torch.nn.Identity()
        frames = image.head.features(image.backbone(x_BTCHW.flatten(0, 1))).mean((2, 3))
        assert torch.allclose(video(x_BTCHW), frames.unflatten(0, (2, 4)).mean(1), atol=1e-4)
    other = build(NARROW.replace("8_8_8_8-8", "8_8_8_8-16"), "video").state_dict()
    assert inflate(image.state_dict(), other) == {}
    flat = {**image.state_dict(), "head.join.conv.weight": torch.zeros(8, 32)}  # from elsewhere
    assert inflate(flat, video.state_dict()) == {}
    assert VideoRecognition.adapt_pretrained({"conv1.weight": torch.zeros(1)}, video, {}) == {
        "conv1.weight": torch.zeros(1)
    }


@pytest.mark.parametrize("layer", ["inflated", "fresh"])
def test_a_classification_checkpoint_is_the_start(tmp_path, layer):
    config = compose("task=cls", "arch=narrow", "recipe.length=1", "recipe.eval_every=1", "callbacks.progress=false")
    (tmp_path / "cls").mkdir()
    source = tasks.assemble(config, tmp_path / "cls")
    tasks.fit(source)
    checkpoint = tmp_path / "cls/checkpoints/last.ckpt"
    run = tasks.assemble(compose(*SMALL, f"pretrained={checkpoint}", f"task.pretrained_layer={layer}"), tmp_path)
    given, taken = source.task.network.state_dict(), run.task.network.state_dict()
    backbone = [key for key in given if key.startswith("backbone.")]
    assert len(backbone) > 100
    assert all(torch.equal(given[key], taken[key]) for key in backbone)
    kernel = taken["head.conv.weight"]
    assert torch.equal(kernel[:, :, 1, 1, 1], given["head.join.conv.weight"][:, :, 0, 0]) == (layer == "inflated")
    assert (int((kernel != 0).sum()) == kernel[:, :, 0, 0, 0].numel()) == (layer == "inflated")
    with pytest.raises(UserError, match=r"task.pretrained_layer must be one of inflated, fresh, given was 'old'"):
        tasks.assemble(compose(*SMALL, "task.pretrained_layer=old"), tmp_path)


@pytest.mark.parametrize("name", ["resnet18", "hrnet_w18_small"])
def test_baselines_of_timm_and_their_pretrained_weights(name):
    from types import SimpleNamespace

    from ncp.models import build_timm

    data = SimpleNamespace(classes=range(6), in_channels=3)
    network = VideoRecognition.make_baseline(name, data)
    image = build_timm(name, "cls", classes=4).state_dict()
    adapted = VideoRecognition.adapt_pretrained(image, network, {})
    own = network.state_dict()
    backbone = [key for key in own if key.startswith("backbone.")]
    assert len(backbone) > 50
    assert all(torch.equal(adapted[key], image[key.split("net.", 1)[1]]) for key in backbone)
    assert network(torch.randn(2, 2, 3, 32, 32)).shape == (2, 6)


def test_real_files_and_a_corrupt_one(tmp_path, caplog):
    root = make_hmdb51(tmp_path / "hmdb51")
    options = (
        "setting=video", "debug=tiny", f"data.root={root}", f"data.cache={tmp_path}", "data.least_frames=1",
        "callbacks.progress=false", "recipe.length=3", "recipe.eval_every=3",
    )  # fmt: skip
    run = tasks.assemble(compose(*options), tmp_path)
    broken = run.data.val_set.source.name(0)
    with open(broken, "wb") as file:
        file.write(b"gone")
    tasks.fit(run)
    metrics = tasks.evaluate(run)
    assert int(run.trainer.global_step) == 3
    assert 0 <= metrics["top1"] <= 100
    assert caplog.text.count(f"the validation video '{broken}' cannot be decoded and is left out") == 1
    assert "1 validation videos could not be read and were left out" in caplog.text


def test_large_networks_train_for_fewer_steps(tmp_path):
    run = tasks.assemble(compose(*SMALL, "recipe.length=60"), tmp_path)
    assert run.task.plan.steps == 60
    macs = run.task.macs(run.architecture, run.data)
    limited = tasks.assemble(compose(*SMALL, "recipe.length=60", f"data.training_macs={30.5 * 4 * 3 * macs}"), tmp_path)
    assert (limited.task.plan.steps, limited.trainer.max_steps, limited.data.batches) == (30, 30, 30)


def test_the_picture(tmp_path):
    from ncp.report import training as report

    run, _ = train(tmp_path)
    files = {path.name: path for path in report.draw(run)}
    assert files.keys() >= {"curves.png", "video.png"}
    assert files["video.png"].stat().st_size > 5_000


def test_other_data_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"this data set is for task=seg, given was task=video"):
        tasks.assemble(compose("task=video", "data=cityscapes"), tmp_path)
    assert VideoRecognition.macs is not Task.macs


@pytest.mark.slow
def test_time_is_what_the_built_in_videos_are_about(tmp_path):
    """The same network and recipe with order, with one frame, and with frames whose order is lost."""
    kinds = {"time": [], "one": ["data.frames=1"], "lost": ["data.shuffle=true"]}
    top1 = {}
    for kind, overrides in kinds.items():
        (tmp_path / kind).mkdir()
        config = compose("task=video", "arch=narrow", "recipe.length=150", "callbacks.progress=false", *overrides)
        run = tasks.assemble(config, tmp_path / kind)
        tasks.fit(run)
        top1[kind] = tasks.evaluate(run)["top1"]
    chance = 100 / len(run.data.classes)
    assert top1["one"] < chance + 10
    assert top1["lost"] < 2 * chance + 12
    assert top1["time"] > top1["one"] + 30
