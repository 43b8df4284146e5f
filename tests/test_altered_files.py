"""Every reader of files from elsewhere: whatever is altered in them, the answer is the content or one ``UserError``."""

import json
import pickle
from dataclasses import asdict
from importlib import import_module

import altered
import numpy as np
import pyarrow as pa
import pytest
import recorded_results
import torch
import yaml
from altered import SOME, survives
from pyarrow import parquet
from release_format import release_rows
from safetensors import safe_open
from safetensors.numpy import load_file
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from ncp import benchmark, predictors, runs
from ncp.benchmark import light
from ncp.errors import UserError
from ncp.models import build, export
from ncp.predictors import mlp
from ncp.predictors.base import KINDS, Card
from ncp.report import entries
from ncp.spaces import nasbench201
from ncp.spaces.multires import SPACE, Architecture

ROWS = release_rows("seg", 6)


def plain_row():
    return {k: list(v) if isinstance(v, (list, tuple)) else v for k, v in ROWS[0].items()}


def test_rows_of_a_table():
    def read(row):
        table = benchmark.from_rows([*ROWS, row], "seg")  # a bad row never keeps the others out
        assert len(table) + len(table.provenance.refused) == 7
        assert len(table) >= 6
        if table.provenance.refused:
            raise UserError(table.provenance.refused[0].reason)

    survives(read, altered.variants(plain_row(), 2 * SOME))


def test_pickles_of_altered_rows(tmp_path):
    def read(row):
        (tmp_path / "seg").mkdir(exist_ok=True)
        (tmp_path / "seg" / "trainval.pkl").write_bytes(pickle.dumps([*ROWS, row], protocol=4))
        benchmark.import_file(tmp_path / "seg" / "trainval.pkl")

    survives(read, altered.variants(plain_row(), SOME))


@pytest.fixture(scope="module")
def table():
    rows = release_rows("seg", 40)
    rows[3]["aAcc"] = None
    return benchmark.from_rows([*rows, {"mIoU": -1}], "seg", source="mine.pkl", sha256="ab")


def test_metadata_of_our_own_parquet(table, tmp_path):
    path = tmp_path / "any.parquet"
    table.to_parquet(path)
    content = parquet.read_table(path)
    metadata = json.loads(content.schema.metadata[b"ncp"])

    def read(changed):
        parquet.write_table(content.replace_schema_metadata({b"ncp": json.dumps(changed).encode()}), path)
        name = benchmark.load(path).name
        assert "/" not in name
        assert name.isprintable()

    survives(read, altered.variants(metadata, SOME))


def test_texts_of_a_table_without_pyarrow(table, tmp_path):
    """What its head says: of the table, and how columns and flags are called."""
    path = tmp_path / f"any{light.ENDING}"
    table.to_safetensors(path)
    arrays = load_file(path)
    with safe_open(str(path), framework="np") as file:
        texts = {name: json.loads(text) for name, text in file.metadata().items()}

    def read(changed):
        if isinstance(changed, dict):
            save_arrays(arrays, path, {str(k)[:50]: json.dumps(v) for k, v in changed.items()})
        else:
            path.write_bytes(json.dumps(changed).encode())
        name = benchmark.load(path).name
        assert "/" not in name
        assert name.isprintable()

    survives(read, altered.variants(texts, SOME))


def test_columns_of_our_own_parquet(table, tmp_path):
    path = tmp_path / "any.parquet"
    table.to_parquet(path)
    content = parquet.read_table(path)
    n = len(table)
    columns = [
        pa.nulls(n), pa.array(["1"] * n), pa.array([None] * n, pa.float64()), pa.array([1e30] * n), pa.array([True] * n),
        pa.array([[1]] * n), pa.array([2**62] * n), pa.array([b"x"] * n), pa.array([np.inf] * n), pa.array([{"a": 1}] * n),
    ]  # fmt: skip

    def read(change):
        name, column = change
        at = content.column_names.index(name)
        changed = content.remove_column(at) if column is None else content.set_column(at, name, column)
        parquet.write_table(changed, path)
        benchmark.load(path)

    names = ("architecture", "i1", "o1", "mIoU", "mAcc", "flops", "exact_macs", "flags")
    survives(read, [(name, column) for name in names for column in [None, *columns]])


def test_damaged_parquet_of_others(tmp_path):
    path = tmp_path / "seg.parquet"
    rows = release_rows("seg", 20)
    parquet.write_table(
        pa.table({"embedding": [r["embedding"] for r in rows], "mIoU": [r["mIoU"] for r in rows]}), path
    )

    def read(data):
        path.write_bytes(data)
        benchmark.load(path)

    survives(read, altered.damaged(path.read_bytes(), SOME))


def test_damaged_csv(table, tmp_path):
    path = tmp_path / "seg.csv"
    table.to_csv(path)
    lines = path.read_text().count("\n") - 1

    def read(data):
        path.write_bytes(data)
        found = benchmark.load(path).provenance
        assert found.rows_read <= lines + 8  # a changed byte may be the end of a line

    survives(read, altered.damaged(path.read_bytes(), SOME))


def weights(card):
    """Tensors that fit a card."""
    shapes = import_module(KINDS[card.kind]).shapes(card)
    found = {name: torch.rand(shape) if shape else torch.tensor(3) for name, shape in shapes.items()}
    if card.kind == "transfer":
        found["hyper"][..., -1] += 2  # the top lies above all values
    return found


INNER = Card("gp", "cls-50-1000", ("top1",), config={"features": 33, "points": 3, "directions": 0})
CARDS = {
    "transfer": {"rows": 5, "features": 33, "components": 2, "known": [asdict(INNER)]},
    "gp": {"features": 33, "points": 4, "directions": 2},
    "mlp": mlp.layout(("mIoU", "mAcc"), shared=8, separate=4, norm=True).to_dict(),
}


@pytest.mark.parametrize("kind", CARDS)
def test_cards_of_predictors(kind, tmp_path):
    card = Card(kind, "seg", ("mIoU", "mAcc"), rows=9, errors={"mIoU": {"mae": 1.0}}, source="x", config=CARDS[kind])
    tensors, path = weights(card), tmp_path / "x.safetensors"

    def read(changed):
        save_file(tensors, path, {"format": "ncp-predictor-1", "card": json.dumps(changed)})
        predictors.load(path).predict(SPACE.default())

    read(asdict(card))
    survives(read, altered.variants(json.loads(json.dumps(asdict(card))), SOME))


@pytest.mark.parametrize("kind", CARDS)
def test_numbers_and_bytes_of_predictors(kind, tmp_path):
    card = Card(kind, "seg", ("mIoU", "mAcc"), config=CARDS[kind])
    tensors, path = weights(card), tmp_path / "x.safetensors"
    metadata = {"format": "ncp-predictor-1", "card": json.dumps(asdict(card))}

    def read(changed):
        save_file(changed, path, metadata)
        found = predictors.load(path).predict(SPACE.default())
        assert np.isfinite(list(found.values())).all()

    odd = [
        lambda *s: torch.zeros(s),
        lambda *s: torch.full(s, 1e38),
        lambda *s: -torch.ones(s),
        lambda *s: torch.full(s, torch.inf),
    ]
    odd += [
        lambda *s: torch.zeros(s, dtype=torch.int32),
        lambda *s: torch.zeros(s, dtype=torch.complex64),
        lambda *s: torch.zeros(7),
    ]
    survives(read, [{**tensors, name: make(*tensors[name].shape)} for name in tensors for make in odd])
    save_file(tensors, path, metadata)

    def read_bytes(data):
        path.write_bytes(data)
        predictors.load(path)

    survives(read_bytes, altered.damaged(path.read_bytes(), SOME))


def test_metadata_and_bytes_of_networks(tmp_path):
    text = "8_8-1_1_1_8-1_2_1_1_8_8-1_3_1_1_1_8_8_8-1_4_1_1_1_1_8_8_8_8-8"
    path = export.save(build(text, "seg", classes=2), tmp_path / "x.safetensors")
    whole, (signature, tensors) = path.read_bytes(), export.read(path)
    metadata = {"format": export.FORMAT, **export.signature_text(signature)}

    def read(changed):
        save_file(tensors, path, {k: v if isinstance(v, str) else json.dumps(v) for k, v in changed.items()})
        export.load(path)

    changes = (v for v in altered.variants(metadata, SOME // 3) if isinstance(v, dict) and v)
    survives(read, changes)

    def read_bytes(data):
        path.write_bytes(data)
        export.load(path)

    heads = altered.damaged(whole[:3000], SOME // 3)  # where the head is; behind it every byte is a number
    survives(read_bytes, (head + whole[3000:] for head in heads))


def test_results_and_trajectories(tmp_path):
    searched = recorded_results.search(tmp_path, steps=2, std={"seg": {"mIoU": 1.0}}, metrics={"mIoU": 71.0})

    def look(_):
        (entry,) = entries.read([str(searched)]).items
        if entry.walk_error:
            raise UserError(entry.walk_error)

    look(None)
    result = json.loads((searched / "result.json").read_text())
    trajectory = (searched / "trajectory.csv").read_bytes()

    def read(changed):
        (searched / "result.json").write_text(json.dumps(changed))
        look(None)

    survives(read, altered.variants(result, SOME))
    (searched / "result.json").write_text(json.dumps(result))

    def read_csv(data):
        (searched / "trajectory.csv").write_bytes(data)
        look(None)

    survives(read_csv, altered.damaged(trajectory, SOME))


def test_states_of_runs(tmp_path):
    folder = tmp_path / "train" / "2026-01-01" / "run"
    runs.begin(folder, "train", "abc", ["x=1"])
    content = runs.state(folder)
    for changed in altered.variants(content, 2 * SOME):
        (folder / "run.json").write_text(json.dumps(changed))
        assert isinstance(runs.state(folder), dict)
        assert runs.find_unfinished(tmp_path, "train", "abc") in (None, folder)


def test_architecture_files(tmp_path):
    path = tmp_path / "architecture.yaml"
    content = {"space": "multires", "text": SPACE.default().text, "code": list(SPACE.default().code)}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(content))

    def read(changed):
        path.write_text(yaml.safe_dump(changed))
        Architecture.parse(path)

    read(content)
    read({"architecture": content})
    survives(read, altered.variants({"architecture": content}, SOME // 2))
    survives(Architecture.parse, [v for v in altered.variants(plain_row(), SOME) if v != "x.yaml"])
    cell = nasbench201.SPACE.default()
    given = {"code": list(cell.code), "text": cell.text}
    survives(nasbench201.Architecture.parse, altered.variants(given, SOME))

    def read_bytes(data):
        path.write_bytes(data)
        Architecture.parse(path)

    survives(read_bytes, altered.damaged(yaml.safe_dump(content).encode(), SOME // 2))
