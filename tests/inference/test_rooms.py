"""Predictions of the seven tasks on rooms are those of the evaluation, from checkpoints and from ONNX files."""

import numpy as np
import pytest
import torch
from composed import compose
from PIL import Image
from tiny_runs import Trained, lines_of, predict, written
from torch.utils.data import default_collate

from ncp import card
from ncp.data.base import Key
from ncp.errors import UserError
from ncp.inference import rooms
from ncp.models.transnas.encoder import Encoder
from ncp.report import training as report
from ncp.tasks import export
from ncp.tasks import run as tasks

WORDS = (
    "+data.tiny=true", "data.workers=0", "recipe.batch=2", "recipe.length=2", "recipe.eval_every=2", "recipe.save_every=2",
    "callbacks.progress=false", "trainer.precision=32-true", "arch=code", "arch.code=64-41414-2_01_010",
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def of_rooms(tmp_path_factory):
    """From a task to its training."""
    made = {}

    def get(task: str) -> Trained:
        if task not in made:
            folder = tmp_path_factory.mktemp(task)
            run = tasks.assemble(
                compose(f"setting=transnas-micro/{task}", *WORDS, f"data.cache={folder}/cache"), folder
            )
            tasks.fit(run)
            run.task.cpu().float().eval()
            inputs = folder / "inputs"
            if task == "jigsaw":  # whole images, of which the samples are tiles
                inputs.mkdir()
                for i in range(2):
                    image, _ = run.data.val_set.source[i]
                    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(inputs / f"{i}.png")
            else:
                written(run, inputs)
            made[task] = Trained(run, folder, inputs)
        return made[task]

    return get


def evaluated(one: Trained) -> np.ndarray:
    """What the training's own evaluation makes of the two samples."""
    with torch.no_grad():
        return one.run.task(default_collate([one.run.data.val_set[Key(-1, i)] for i in range(2)])).double().numpy()


@pytest.mark.parametrize("task", ["class_scene", "class_object"])
def test_classes(of_rooms, tmp_path, task):
    one = of_rooms(task)
    predict(tmp_path / "out", f"ckpt={one.folder}", f"input={one.inputs}", "top=1")
    for line, logits in zip(lines_of(tmp_path / "out"), evaluated(one), strict=True):
        (best,) = line["top"]
        assert best["class"] == one.run.data.classes[logits.argmax()]
        assert best["probability"] == pytest.approx((np.exp(logits) / np.exp(logits).sum()).max(), rel=1e-3)


@pytest.mark.parametrize("kind", ["ckpt", "onnx", "safetensors"])
@pytest.mark.parametrize(("task", "low"), [("normal", -1.0), ("autoencoder", -1.0)])
def test_images_are_written_as_taskonomy_has_them(of_rooms, tmp_path, task, low, kind):
    one = of_rooms(task)
    network = one.folder if kind == "ckpt" else one.export("onnx")
    predict(tmp_path / "out", f"ckpt={network}", f"input={one.inputs}")
    for line, wanted in zip(lines_of(tmp_path / "out"), evaluated(one), strict=True):
        picture = np.asarray(Image.open(tmp_path / "out" / line["normals" if task == "normal" else "made"]))
        numbers = picture.transpose(2, 0, 1) / 255 * 2 + low
        assert np.abs(numbers - wanted).max() < 1 / 255 + 1e-4
        seen = np.asarray(Image.open(tmp_path / "out" / line["beside"]))[:, : picture.shape[1]]
        assert np.abs(seen.astype(int) - np.asarray(Image.open(one.inputs / line["file"]))).max() <= 1


def test_layouts_are_metres_and_radians(of_rooms, tmp_path):
    one = of_rooms("room_layout")
    predict(tmp_path / "out", f"ckpt={one.folder}", f"input={one.inputs}")
    for line, wanted in zip(lines_of(tmp_path / "out"), evaluated(one), strict=True):
        assert list(line["layout"]) == list(one.run.data.classes)
        assert list(line["layout"].values()) == pytest.approx(one.run.data.layout_numbers(wanted), rel=1e-3, abs=1e-3)


def test_labels(of_rooms, tmp_path):
    one = of_rooms("segmentsemantic")
    predict(tmp_path / "out", f"ckpt={one.folder}", f"input={one.inputs}")
    for line, logits in zip(lines_of(tmp_path / "out"), evaluated(one), strict=True):
        two = np.sort(logits, 0)[-2:]
        clear = two[1] - two[0] > 1e-4
        labels = np.asarray(Image.open(tmp_path / "out" / line["labels"]))
        assert clear.mean() > 0.9
        assert (labels == logits.argmax(0))[clear].all()


@pytest.mark.parametrize("kind", ["ckpt", "onnx"])
def test_a_jigsaw_is_cut_shuffled_and_put_together(of_rooms, tmp_path, kind):
    one = of_rooms("jigsaw")
    network = one.folder if kind == "ckpt" else one.export("onnx")
    predict(tmp_path / "out", f"ckpt={network}", f"input={one.inputs}")
    for line in lines_of(tmp_path / "out"):
        assert line["right"] == (line["order"] == line["found"])
        assert line["order"] in one.run.data.classes
        assert line["found"] in one.run.data.classes
        order = [int(letter) - 1 for letter in line["order"]]
        picture = np.asarray(Image.open(tmp_path / "out" / line["beside"]))
        side = picture.shape[0] // 3
        came = [picture[i // 3 * side :, i % 3 * side :][:side, :side] for i in range(9)]
        with torch.no_grad():  # the tiles as the picture shows them, through the training's own network
            tiles = torch.from_numpy(np.stack(came).transpose(0, 3, 1, 2))[None]
            logits = one.run.task({"image": tiles, "label": torch.zeros(1)})[0].double()
        assert one.run.data.classes[int(logits.argmax())] == line["found"]
        assert line["probability"] == pytest.approx(float(logits.softmax(0).max()), rel=1e-3)
        image = np.asarray(Image.open(one.inputs / line["file"])).astype(float)
        middle = [image[y : y + 8, x : x + 8].mean((0, 1)) for y in (8, 20, 32) for x in (8, 20, 32)]
        far = [[np.abs(tile.mean((0, 1)) - field).sum() for field in middle] for tile in came]
        # a tile is most like the field that it was cut from, on the whole
        assert sum(far[i][order[i]] for i in range(9)) < 0.7 * np.mean(far) * 9


def test_what_a_table_tells_of_parameters(of_rooms):
    one = of_rooms("normal")
    result = tasks.summarise(one.run, {})
    told = dict(report.rows(result | {"images_per_second": 0}))["parameters"]
    encoder = sum(p.numel() for p in one.run.task.network.backbone.parameters())
    assert f"{encoder / 1e6:.2f} M of them the encoder's" in told
    with torch.device("meta"):
        full = sum(p.numel() for p in Encoder(one.run.architecture).parameters())
    assert (result["cost"]["params_encoder"], result["cost"]["params_in_tables"]) == (encoder, full)
    assert f"({full / 1e6:.2f} M in the benchmark" in told


def test_formats_of_other_tasks_are_refused(of_rooms, tmp_path):
    found = export.from_checkpoint(of_rooms("normal").folder / "checkpoints" / "last.ckpt")
    for kind in ("timm", "mmseg"):
        with pytest.raises(UserError, match=f"format={kind} writes networks of task=.*, this is of task=normal"):
            export.write(found, kind, tmp_path / "net", None)
    path = export.write(found, "torchexport", tmp_path / "net", None)["torchexport"]
    x = torch.rand(2, 3, *found.size)
    with torch.no_grad():
        torch.testing.assert_close(torch.export.load(path).module()(x), found.net.eval()(x), rtol=1e-3, atol=1e-4)


def test_a_jigsaw_whose_classes_are_no_orders_is_refused():
    use = card.Use(share=1.0)
    given = card.make(
        where="'a'", task="jigsaw", architecture="", classes=["123456789", "123456788"], channels=3, size=(16, 16),
        mean=(0.0,) * 3, std=(1.0,) * 3, use=use,
    )  # fmt: skip
    with pytest.raises(UserError, match="not called by the order of their tiles"):
        rooms.permutations(given)


def test_tiles_lie_where_the_benchmark_cuts_them():
    """Of a ramp along x a tile shows where it was cut: fields of a third of the middle nine tenths."""
    ramp = np.tile(np.linspace(0, 255, 510, dtype=np.float32), (510, 1))[None].repeat(3, 0)
    found = rooms.tiles(ramp, np.arange(9)[::-1], 64)
    assert found.shape == (9, 3, 64, 64)
    share = found.mean((1, 2, 3)) / 255
    wanted = [0.05 + 0.9 * (column + 0.5) / 3 for column in (2, 1, 0)] * 3
    assert share == pytest.approx(wanted, abs=0.005)
