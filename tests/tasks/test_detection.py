"""Detection as a whole: the command's configuration, kept evaluations, picks, result files, baselines, resuming."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from composed import compose
from taped import TapedGraphs

from ncp.data.kitti import frames_of
from ncp.errors import UserError
from ncp.metrics import kitti
from ncp.models import build
from ncp.models.detector import PointPillarsNet
from ncp.report import training
from ncp.report.training import rows
from ncp.spaces import cost
from ncp.tasks import base
from ncp.tasks import run as tasks
from ncp.tasks.detection import EVALUATIONS, RESULTS, Detection, sum_of_macs
from ncp.tasks.recipe import Recipe
from ncp.tasks.stepping import choose
from ncp.tasks.stepping.graphs import WARM

SMALL = (
    "task=det3d", "arch=narrow", "data.scenes=3", "data.val_scenes=2", "data.limits=[2.56,-2.56,-3,10.24,2.56,1]",
    "recipe.batch=1", "recipe.length=4", "recipe.eval_every=4", "recipe.save_every=2",
    "recipe.log_every=2", "callbacks.progress=false", "task.nms.score=0.005", "trainer.deterministic=false",
)  # fmt: skip
WIDE = "data.limits=[0,-5.12,-3,10.24,5.12,1]"  # 64 x 64 pillars
pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")


@pytest.fixture(autouse=True)
def _deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "deterministic", True, raising=False)


def _run(folder: Path, *overrides: str) -> tasks.Run:
    folder.mkdir(parents=True, exist_ok=True)
    return tasks.assemble(compose(*SMALL, *overrides), folder)


def _train(folder: Path, *overrides: str) -> tuple[tasks.Run, dict[str, float]]:
    run = _run(folder, *overrides)
    tasks.fit(run)
    return run, tasks.evaluate(run)


def test_kept_steps_are_evaluated_in_full_and_picked_from(tmp_path: Path) -> None:
    run, metrics = _train(tmp_path, "recipe.keep=[2,3,4]", "task.pick=mean", "task.write_results=true")
    content = json.loads((tmp_path / EVALUATIONS).read_text())
    assert list(content["evaluations"]) == ["2", "3", "4"]
    assert all(len(full) == 36 for full in content["evaluations"].values())
    assert content["epochs"]["3"] == 1.0  # three scenes, one a step
    by_hand = np.mean([full["car/bev/moderate"]["AP11"] for full in content["evaluations"].values()])
    assert metrics["car-BEV"] == pytest.approx(by_hand)
    assert metrics == content["picks"]["mean"]
    assert content["picks"]["best"]["moderate"] == max(
        full["car/3d/moderate"]["AP11"] for full in content["evaluations"].values()
    )
    # the written result files, evaluated from the disk
    frames = frames_of(run.data.val_set).frames
    labels, results = kitti.read_folders(frames[0].folder / "label_2", tmp_path / RESULTS, [f.name for f in frames])
    assert sum(map(len, results)) > 0
    again = kitti.evaluate_objects(labels, results, content["min_overlap"])
    for key, ap in content["evaluations"]["4"].items():
        assert again[key]["AP40"] == pytest.approx(ap["AP40"], abs=0.5), key
    result = tasks.summarise(run, metrics)
    assert result["min_overlap"] == content["min_overlap"] == {"car": 0.5, "pedestrian": 0.25, "cyclist": 0.25}
    table = dict(rows({**result, "images_per_second": None}))
    assert {"moderate (IoU 0.5)", "ped-3D (IoU 0.25)", "car-AOS (IoU 0.5)"} <= set(table)
    assert not {"moderate", "ped-3D"} & set(table)
    curves = training.curves(run, [(1, "val/moderate", 1.0), (1, "train/loss", 2.0)])
    assert {ax.get_title(loc="left") for ax in curves.axes if ax.get_visible()} == {
        "loss",
        "car 3D AP at IoU 0.5, moderate (%)",
    }
    history = (tmp_path / tasks.HISTORY).read_text()
    assert "train/box_loss" in history
    assert "val/moderate" in history


class _Killed(Exception):
    pass


def test_a_broken_run_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    whole, metrics = _train(tmp_path / "a", "recipe.keep=[1,3]")
    broken = _run(tmp_path / "b", "recipe.keep=[1,3]")
    step = broken.task.training_step

    def killed(batch: object, batch_idx: int) -> object:
        if batch_idx == 3:
            raise _Killed
        return step(batch, batch_idx)  # type: ignore[arg-type]

    broken.task.training_step = killed  # type: ignore[assignment, method-assign]
    with pytest.raises(_Killed):
        tasks.fit(broken)
    again, same = _train(tmp_path / "b", "recipe.keep=[1,3]", "ckpt_path=auto")
    assert same == metrics
    for key, value in whole.task.network.state_dict().items():
        torch.testing.assert_close(again.task.network.state_dict()[key], value, rtol=0, atol=1e-6)
    one, other = (json.loads((tmp_path / name / EVALUATIONS).read_text()) for name in "ab")
    assert one["evaluations"].keys() == other["evaluations"].keys() == {"1", "3", "4"}


@pytest.mark.parametrize("arch", ["arch=pointpillars", "arch=timm arch.name=resnet18"])
def test_baselines_train_under_the_same_head(tmp_path: Path, arch: str) -> None:
    run, metrics = _train(tmp_path, *arch.split(), "recipe.length=1", "recipe.eval_every=1")
    assert set(metrics) >= {"moderate", "car-BEV", "ped-3D", "cyc-3D", "car-AOS"}
    result = tasks.summarise(run, metrics)
    assert result["cost"]["macs_at_size"] > 1e8


def test_cost_is_counted_exactly(tmp_path: Path) -> None:
    run = _run(tmp_path, WIDE)
    assert isinstance(run.task, Detection)
    detector = run.task.detector[0]
    view = torch.zeros(1, 64, 64, 64)
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        detector.head(detector.eval().network(view))
    assert run.task.macs(run.architecture, run.data) == counter.get_total_flops() // 2
    body = sum(p.numel() for p in detector.network.parameters())
    assert body == cost.bev(run.architecture, (64, 64)).params


def test_pointpillars_costs_by_hand(tmp_path: Path) -> None:
    """64 x 64 pillars: three blocks at 32, 16 and 8 cells a side, each brought to 32, and a head of 6 x (3 + 7 + 2) maps."""
    run = _run(tmp_path, "arch=pointpillars", WIDE)
    blocks = 9 * (64 * 64 * 4 * 32**2 + (64 * 128 + 5 * 128 * 128) * 16**2 + (128 * 256 + 5 * 256 * 256) * 8**2)
    ups = 128 * (64 * 32**2 + 4 * 128 * 16**2 + 16 * 256 * 8**2)
    head = 3 * 128 * 6 * 12 * 32**2
    assert run.task.macs(run.architecture, run.data) == blocks + ups + head


def test_a_finished_training_is_evaluated_anew_with_other_suppression(tmp_path: Path) -> None:
    _, metrics = _train(tmp_path, "recipe.keep=[2]")
    checkpoints = tmp_path / "checkpoints"
    for name, step in (("last.ckpt", 4), ("step-000002.ckpt", 2)):
        folder = tmp_path / name
        folder.mkdir()
        overrides = (f"ckpt_path={checkpoints / name}", "task.write_results=true", "+task.nms.most=3")
        again = tasks.restore(compose(*overrides, name="evaluate"), folder)
        found = tasks.evaluate(again)
        assert list(json.loads((folder / EVALUATIONS).read_text())["evaluations"]) == [str(step)]
        lengths = [len(path.read_text().splitlines()) for path in (folder / RESULTS / "data").iterdir()]
        assert len(lengths) == 2
        assert 0 < max(lengths) <= 3
        assert found.keys() == metrics.keys()


def test_a_detector_starts_another_one_and_no_other_task(tmp_path: Path) -> None:
    source, _ = _train(tmp_path / "a", "recipe.length=1", "recipe.eval_every=1")
    checkpoint = tmp_path / "a" / "checkpoints" / "last.ckpt"
    run = _run(tmp_path / "b", f"pretrained={checkpoint}", "seed=2")
    ours, theirs = run.task.detector[0], source.task.detector[0]  # type: ignore[attr-defined]
    assert all(torch.equal(a, b) for a, b in zip(ours.network.parameters(), theirs.network.parameters(), strict=True))
    assert not torch.equal(ours.head.boxes.weight, theirs.head.boxes.weight)
    small = ("task=cls", "arch=narrow", "recipe.length=1", "recipe.eval_every=1", "callbacks.progress=false")
    (tmp_path / "cls").mkdir()
    tasks.fit(tasks.assemble(compose(*small), tmp_path / "cls"))
    with pytest.raises(UserError, match="only another task=det3d training can be its start"):
        _run(tmp_path / "c", f"pretrained={tmp_path / 'cls' / 'checkpoints' / 'last.ckpt'}")


def test_large_networks_train_for_fewer_steps(tmp_path: Path) -> None:
    small = _run(tmp_path / "a", "recipe.length=60")
    assert small.task.plan.steps == 60
    macs = sum_of_macs(small.task.detector[0], (32, 48))  # type: ignore[attr-defined]
    limited = _run(tmp_path / "b", "recipe.length=60", f"data.training_macs={40.5 * 3 * macs}", "recipe.keep=[2,60]")
    plan = limited.task.plan
    assert (plan.steps, plan.keep, limited.trainer.max_steps, limited.data.batches) == (40, (2,), 40, 40)
    least = _run(tmp_path / "c", "recipe.length=60", "data.training_macs=1")
    assert least.task.plan.steps == 24


def test_the_papers_recipe() -> None:
    config = compose("setting=3ddet", "data.root=/somewhere")
    recipe = Recipe.from_config(config.recipe)
    plan = recipe.plan(3712)
    assert (plan.steps, plan.epoch, plan.policy.total) == (80 * 232, 232, 16)
    assert plan.keep == tuple(232 * e for e in (76, 77, 78, 79, 80))
    rate = recipe.rate()
    assert rate(0.0) == pytest.approx(2e-4)
    assert max(rate(t / 100) for t in range(101)) == pytest.approx(2e-3)
    assert rate(1.0) == pytest.approx(2e-4)
    optimizer = recipe.make_optimizer([torch.nn.Parameter(torch.zeros(1))])
    assert isinstance(optimizer, torch.optim.AdamW)
    assert (optimizer.defaults["betas"][0], optimizer.defaults["weight_decay"]) == (0.9, 0.01)


def test_nan_points_and_empty_scenes_are_counted_not_fatal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = _run(tmp_path)
    frames = frames_of(run.data.train_set).frames
    kept = [(f.folder / "velodyne" / f"{f.name}.bin", b"") for f in frames[:2]]
    kept = [(path, path.read_bytes()) for path, _ in kept]
    try:
        kept[0][0].write_bytes(b"")
        points = np.frombuffer(kept[1][1], "<f4").copy()
        points[:40:4] = np.nan
        kept[1][0].write_bytes(points.tobytes())
        tasks.fit(run)
    finally:
        for path, content in kept:
            path.write_bytes(content)
    assert "points left out of training scenes for not being finite: " in caplog.text
    assert run.task.latest_step == 4


def test_what_users_give(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"task.pick must be one of last, best, mean"):
        _run(tmp_path, "task.pick=first")
    with pytest.raises(UserError, match=r"arch=pointpillars is a network of task=det3d, given was task=cls"):
        tasks.assemble(compose("task=cls", "arch=pointpillars"), tmp_path)
    with pytest.raises(UserError, match=r"needs data.root"):
        tasks.assemble(compose("task=det3d", "data=kitti"), tmp_path)
    net = build("8_8-1_1_1_8-1_2_1_1_8_8-1_3_1_1_1_8_8_8-1_4_1_1_1_1_8_8_8_8-8", task="det3d")
    with pytest.raises(UserError, match="needs KITTI or the built-in LiDAR scenes"):
        Detection(net, None, None, object())  # type: ignore[arg-type]
    assert isinstance(Detection.make_baseline("pointpillars", None), PointPillarsNet)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_few_steps_on_kittis_grid(shared: Path, tmp_path: Path) -> None:
    """The paper's setting itself, on three real frames with a narrow network: finite losses, official files."""
    overrides = (
        "setting=3ddet", "arch=narrow", f"data.root={shared / 'kitti_sample'}", "data.counts=null", "data.train_split=all",
        "data.val_split=all", f"data.cache={tmp_path}", "data.workers=0", "recipe.batch=1", "recipe.unit=steps",
        "recipe.length=2", "recipe.keep=[]", "recipe.eval_every=2", "callbacks.progress=false", "task.write_results=true",
        "task.nms.score=0.0",
    )  # fmt: skip
    run = tasks.assemble(compose(*overrides), tmp_path)
    tasks.fit(run)
    metrics = tasks.evaluate(run)
    assert np.isfinite(list(metrics.values())).all()
    assert run.task.macs(run.architecture, run.data) > cost.bev(run.architecture).macs
    ap = kitti.evaluate(shared / "kitti_sample" / "training" / "label_2", tmp_path / RESULTS)
    assert len(ap) == 36


@pytest.mark.parametrize(("options", "wanted"), [((), 0.2), (("recipe.prior=0.01",), 0.01)])
def test_an_untrained_head_scores_as_the_recipe_says(tmp_path: Path, options: tuple[str, ...], wanted: float) -> None:
    run = _run(tmp_path, *options)
    run.data.setup()
    with torch.no_grad():
        scores = torch.sigmoid(run.task(next(iter(run.data.val_dataloader()))).classes)
    assert float(scores.mean()) == pytest.approx(wanted, rel=0.05)


def test_the_papers_recipe_keeps_the_published_prior_and_impossible_ones_are_refused(tmp_path: Path) -> None:
    assert Recipe.from_config(compose("setting=3ddet", "data.root=/somewhere").recipe).prior == 0.01
    with pytest.raises(UserError, match=r"recipe\.prior must be between 0 and 1, given was 1"):
        _run(tmp_path, "recipe.prior=1")


def test_a_detectors_network_is_recorded_and_learns_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillars and matches run kernel by kernel around it, and evaluations come between the steps."""
    words = ("trainer=cpu", "trainer.precision=32-true", "recipe.length=7", "recipe.eval_every=5")
    eager, _ = _train(tmp_path / "eager", *words)
    tape = TapedGraphs()
    monkeypatch.setattr(
        base, "choose", lambda task, trainer, wanted, kernels: choose(task, trainer, "auto", tape, kernels)
    )
    recorded, _ = _train(tmp_path / "graphs", *words)
    assert recorded.task.stepping.name == "part graphs"
    assert (tape.recorded, tape.run) == (2, 2 * (7 - WARM))
    for a, b in zip(recorded.task.network.state_dict().values(), eager.task.network.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
