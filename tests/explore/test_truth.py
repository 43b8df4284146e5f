"""What the page computes equals what Python computes: its modules are asked in node."""

import base64
import json
import shlex

import numpy as np
import pyarrow as pa
import pytest
from explorer_answers import NODE, ask, described
from pyarrow import parquet

from ncp import benchmark, jobs, latency, spaces
from ncp.benchmark import settings
from ncp.explore.describe import paper_part
from ncp.jobs import composing
from ncp.predictors import fit, load
from ncp.search import pareto, search
from ncp.search.criterion import Criterion
from ncp.search.limits import Budget, Floor, Limit, Region
from ncp.search.objectives import Objectives, parse_objectives
from ncp.search.quantities import Inference, machines, memory
from ncp.spaces.cost import count
from ncp.spaces.layers import layers

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")
SPACE = spaces.get("multires")
SEG, CLS = {"setting": "seg", "metric": "mIoU"}, {"setting": "cls-50-1000", "metric": "top1"}
MEMORY_CASES = (
    ("seg", (128, 128), "fp32"),
    ("cls-50-1000", (97, 130), "int8"),
    ("3ddet", None, "fp16"),
    ("seg", (512, 1023), "fp32"),
    ("video", (112, 112), "bf16"),
)


@pytest.fixture(scope="module")
def codes():
    return SPACE.sample_codes(1000, np.random.default_rng(5))


@pytest.fixture(scope="module")
def mine():
    """A predictor from few rows that leans on a bundled one."""
    trained = SPACE.sample(16, np.random.default_rng(0))
    predictor = fit(trained, {"top1": load("video").predict(trained)["top1"]}, known=["seg"])
    assert predictor.card.kind == "transfer"
    predictor.card.setting = "mine"
    return predictor.double()


@pytest.fixture(scope="module")
def machine():
    some = SPACE.sample_codes(40, np.random.default_rng(0))
    return latency.fit(SPACE, some, 5 + SPACE.cost(some).macs / 2e7)


@pytest.fixture(scope="module")
def content(mine, machine):
    bundled = [(load(name), "default") for name in settings.PAPER]
    paper = [(paper_part(load(name, family="paper")), "paper") for name in ("seg", "cls")]
    return described([*bundled, (mine, "default"), *paper], [machine])


@pytest.fixture(scope="module")
def said(content, codes, tmp_path_factory):
    """The answers to the questions of the tests about values: node is started once."""
    some = codes[:200].tolist()
    questions = {
        "predict": {"what": "predict", "codes": codes.tolist(), "family": "default"},
        "paper": {"what": "predict", "codes": some, "family": "paper"},
        "cost": {"what": "cost", "codes": codes.tolist()},
        "milliseconds": {"what": "milliseconds", "codes": some},
        "text": {"what": "text", "codes": some},
        "round": {"what": "round", "codes": (codes[:50] + 0.37 * SPACE.step).tolist()},
        "layers": {"what": "layers", "code": some[0], "setting": {"size": [97, 130]}},
    }
    for name, size, dtype in MEMORY_CASES:
        questions[f"memory {name} {size}"] = {
            "what": "memory", "codes": some, "settings": [name], "inference": {"size": size, "dtype": dtype, "batch": 2},
        }  # fmt: skip
    answers = ask(tmp_path_factory.mktemp("node"), content, *questions.values())
    return dict(zip(questions, answers, strict=True))


def column(answers, name, metric, key):
    return np.array([answer[name][metric][key] for answer in answers])


@pytest.mark.parametrize("name", settings.PAPER)
def test_predictions_of_a_thousand_codes(said, codes, name):
    predictor = load(name).double()
    exact = {
        "mean": predictor.predict(codes),
        "doubt": predictor.predict_std(codes, noise=False),
        "std": predictor.predict_std(codes),
    }
    for key, values in exact.items():
        for metric in predictor.metrics:
            np.testing.assert_allclose(
                column(said["predict"], name, metric, key), values[metric], rtol=1e-6, err_msg=key
            )
    # what the commands print is of single precision
    plain = load(name).predict(codes)
    for metric in predictor.metrics:
        np.testing.assert_allclose(column(said["predict"], name, metric, "mean"), plain[metric], rtol=3e-5)


def test_a_predictor_from_few_rows(said, codes, mine):
    mean, doubt, std = mine.predict(codes), mine.predict_std(codes, noise=False), mine.predict_std(codes)
    for key, values in (("mean", mean), ("doubt", doubt), ("std", std)):
        np.testing.assert_allclose(column(said["predict"], "mine", "top1", key), values["top1"], rtol=1e-6, err_msg=key)


@pytest.mark.parametrize("name", ["seg", "cls-50-1000"])
def test_predictors_of_the_paper(said, codes, name):
    predictor = paper_part(load(name, family="paper")).double()
    values = predictor.predict(codes[:200])
    for metric in predictor.metrics:
        np.testing.assert_allclose(column(said["paper"], name, metric, "mean"), values[metric], rtol=1e-6)


def test_costs_are_exact(said, codes):
    cost = SPACE.cost(codes)
    assert [answer["macs"] for answer in said["cost"]] == cost.macs.tolist()
    assert [answer["params"] for answer in said["cost"]] == cost.params.tolist()


@pytest.mark.parametrize(("name", "size", "dtype"), MEMORY_CASES)
def test_peak_memory_is_exact(said, codes, name, size, dtype):
    quantity = memory(SPACE, [settings.get(name).task], Inference(size, 2, dtype))
    assert said[f"memory {name} {size}"] == quantity.of(codes[:200]).tolist()


def test_milliseconds(said, codes, machine):
    mean, std = machine.predict(codes[:200]), machine.predict_std(codes[:200])
    np.testing.assert_allclose([answer[0]["mean"] for answer in said["milliseconds"]], mean, rtol=1e-6)
    np.testing.assert_allclose([answer[0]["std"] for answer in said["milliseconds"]], std, rtol=1e-6)


def test_texts_and_rounding(said, codes):
    assert said["text"] == SPACE.texts(codes[:200])
    assert said["round"] == SPACE.round(codes[:50] + 0.37 * SPACE.step).tolist()


def test_layers_one_by_one(said, codes):
    code = codes[0]
    wanted = [layer for layer in layers(code, (97, 130), "segmentation", 19, 3, (2, 2)) if layer.times > 0]
    found = said["layers"]
    assert [(f["inputs"], f["outputs"], f["pixelsOut"], f["times"], f["macs"]) for f in found] == [
        (w.inputs, w.outputs, w.pixels_out, w.times, w.macs) for w in wanted
    ]
    assert sum(f["params"] for f in found) == count(code, (97, 130)).params
    assert sum(f["macs"] for f in found) == count(code, (97, 130)).macs


def test_slopes_of_objectives_limits_and_floors(content, codes, mine, machine, tmp_path):
    """At continuous codes of which some break each limit."""
    asked = {
        "objectives": [{**CLS, "weight": 0.7}, {"setting": "mine", "metric": "top1"}], "kappa": 1.3,
        "floors": [{**SEG, "value": 76}], "limits": {"macs": 1.5e9, "params": 8e6, "latency_ms": [70], "memory_mb": 30},
    }  # fmt: skip
    spread = np.random.default_rng(1).random((40, SPACE.dim)) * 0.9 + 0.05
    points = SPACE.lower + spread * (SPACE.upper - SPACE.lower)
    predictors = {"cls-50-1000": load("cls").double(), "mine": mine, "seg": load("seg").double()}
    items = parse_objectives([{"metric": "cls.top1", "weight": 0.7}, "mine.top1"], predictors)
    goals = Objectives(items, predictors, floors=[("seg", "mIoU", 76.0)])
    [quantity] = machines(machine, SPACE, Inference())
    others = (Limit(quantity, 70.0), Limit(memory(SPACE, ["cls", "seg"], Inference()), 30.0))
    budget = Budget(Region(SPACE), 1.5e9, 8e6, (Floor("seg", "mIoU", 76.0),), others=others)
    value, excess, pull = Criterion(goals, budget, kappa=1.3).terms(points)
    slope = pull(-np.ones(len(points)), 3.0 * (excess > 0))
    # limits of the page come in its own order: macs, params, memory, milliseconds
    order = [0, 1, 3, 2, 4]
    assert ((excess > 0).any(0) & (excess < 0).any(0)).all(), "each limit is broken by some and kept by others"
    [answers] = ask(tmp_path, content, {"what": "slope", "codes": points.tolist(), "problem": asked, "penalty": 3.0})
    np.testing.assert_allclose([a["value"] for a in answers], value, rtol=1e-6)
    np.testing.assert_allclose([a["excess"] for a in answers], excess[:, order], rtol=1e-6, atol=1e-9)
    scale = np.abs(slope * SPACE.scale).max()
    np.testing.assert_allclose(
        np.array([a["gradient"] for a in answers]) * SPACE.scale, slope * SPACE.scale, atol=1e-6 * scale
    )


def test_the_walks_of_the_paper(content, tmp_path):
    cases = [("paper", ["seg"], [SEG]), ("paper", ["cls", "seg"], [CLS, SEG]), ("winner_takes_all", ["seg"], [SEG])]
    what = {"paper": "propagation", "winner_takes_all": "winner"}
    answers = ask(tmp_path, content, *({"what": what[s], "problem": {"objectives": asked}} for s, _, asked in cases))
    for (strategy, names, _), answer in zip(cases, answers, strict=True):
        result = search(names, strategy=strategy)
        walk = result.trajectory.walk
        assert len(walk) > 30
        np.testing.assert_allclose(np.array(answer["codes"]) / SPACE.scale, walk.codes / SPACE.scale, atol=1e-4)
        np.testing.assert_allclose(answer["losses"], walk.loss, atol=1e-4)
        assert tuple(answer["code"]) == result.architecture.code


def test_searches_are_as_good_as_those_of_python(content, tmp_path):
    """A weighted trade-off, a limit, a floor: the same criterion, within .05 points of the metrics' weighted sum."""
    half = {**SEG, "weight": 0.5}
    given = [
        {"objectives": ["cls", {"metric": "seg", "weight": 0.5}], "lam": 1.0},
        {"objectives": ["seg"], "budget": {"macs": 0.6e9}, "fixed": ["i1"]},
        {"objectives": ["seg"], "floor": {"seg.mIoU": 75}, "bounds": {"c4_4": [8, 64]}},
    ]
    asked = [
        {"objectives": [CLS, half], "lam": 1.0},
        {"objectives": [SEG], "limits": {"macs": 0.6e9}, "fixed": {"0": 64}},
        {"objectives": [SEG], "floors": [{**SEG, "value": 75}], "bounds": {"25": [8, 64]}},
    ]
    few = {"iterations": 40, "starts": 8}
    answers = ask(tmp_path, content, *({"what": "search", "problem": problem, "options": few} for problem in asked))
    for arguments, answer in zip(given, answers, strict=True):
        result = search(**arguments, **few)
        goals, budget = result.trajectory.objectives, result.budget
        both = np.array([answer["code"], result.architecture.code], dtype=np.float64)
        scores = Criterion(goals, budget, arguments.get("lam", 0.5)).scores(both)
        assert (scores.excess == 0).all()
        assert budget.region.contains(both).all()
        # .05 points of the first objective, in standard deviations; of a floor a thousandth of the cost
        within = 1e-3 if "floor" in arguments else 0.05 / float(goals.std_K[0])
        assert scores.value[0] >= scores.value[1] - within


def test_a_search_stays_within_what_its_predictor_has_seen(content, mine, tmp_path):
    few = {"iterations": 10, "starts": 3}
    problem = {"objectives": [{"setting": "mine", "metric": "top1"}], "lam": 0.1}
    [answer] = ask(tmp_path, content, {"what": "search", "problem": problem, "options": few})
    code, region = np.array(answer["code"]), mine.card.region
    assert (code >= region["lower"]).all()
    assert (code <= region["upper"]).all()
    result = search(["mine"], predictor={"mine": mine}, lam=0.1, force=True, **few)
    assert answer["value"] >= -result.trajectory.walk.loss[result.trajectory.best[1]] - 0.01


def test_the_front(content, tmp_path):
    options = {"starts": 3, "iterations": 30, "lams": [0.1, 0.5, 2.0]}
    [points] = ask(tmp_path, content, {"what": "front", "problem": {"objectives": [SEG]}, "options": options})
    front = pareto(["seg"], **options)
    np.testing.assert_allclose([p["value"] for p in points], front.value, atol=0.02)
    np.testing.assert_allclose([p["macs"] for p in points], front.macs, rtol=0.02)
    assert (np.diff([p["macs"] for p in points]) > 0).all()


def test_what_one_step_more_brings(content, tmp_path):
    code = np.array(SPACE.default().code)
    [answer] = ask(
        tmp_path,
        content,
        {"what": "marginals", "problem": {"objectives": [SEG], "fixed": {"0": 64}}, "code": code.tolist()},
    )
    predictor = load("seg").double()
    here = predictor.predict(code)["mIoU"][0]
    for i, step in enumerate(SPACE.step):
        for sign, name in ((1, "up"), (-1, "down")):
            near = code.copy()
            near[i] += sign * int(step)
            assert answer[i][name]["metrics"][0] == pytest.approx(predictor.predict(near)["mIoU"][0] - here, abs=1e-6)
            assert answer[i][name]["macs"] == SPACE.cost(near).macs - SPACE.cost(code).macs
            assert answer[i][name]["allowed"] == (i != 0)


NET = "64_64-2_1_2_64-2_2_2_2_64_64-2_3_2_2_2_64_64_64-2_4_2_2_2_2_64_64_64_64-64"


def test_an_address_says_the_state_and_the_command_that_repeats_it(content, tmp_path):
    full = (
        "for=cls-50-1000.top5:0.5,seg.mIoU:1&lam=0.25&kappa=2&macs=1e9&memory_mb=40&ms=80&floor=cls-50-1000.top1:80"
        f"&fixed=i1,b4&bounds=c4_4:8-64&size=256x512&dtype=fp16&axis=seg.mAcc&net={NET}"
    )
    hashes = [full, "", f"for=mine.top1:1&by=greedy&net={NET}"]
    answers = ask(tmp_path, content, {"what": "hash", "hashes": hashes})[0]
    again = ask(tmp_path, content, {"what": "hash", "hashes": [answer["hash"] for answer in answers]})[0]
    assert [a["state"] for a in again] == [a["state"] for a in answers]
    state = answers[0]["state"]
    assert state["objectives"] == {"cls-50-1000.top5": 0.5, "seg.mIoU": 1}
    assert state["limits"] == {"macs": 1e9, "memory_mb": 40, "latency_ms": [80]}
    assert (state["fixed"], state["bounds"]) == ({"0": 64, "17": 2}, {"25": [8, 64]})
    words = shlex.split(answers[0]["command"].replace("ncp search", "python -m src.search"))[3:]
    options = composing.read("search", composing.values(composing.compose("search", words)), words)
    assert options.objectives == [{"metric": "cls.top5", "weight": 0.5}, "seg"]
    assert options.budget == {"macs": 1e9, "params": None, "latency_ms": 80, "memory_mb": 40}
    assert options.floor == {"cls-50-1000": {"top1": 80}}
    assert (options.fixed, options.bounds, options.kappa) == (["i1", "b4"], {"c4_4": [8, 64]}, 2)
    assert (options.size, options.dtype, options.start) == ([256, 512], "fp16", NET)
    assert options.latency == ["mine.safetensors"]
    assert jobs.options("search", *shlex.split(answers[1]["command"])[-1:]).objectives == ["cls", "seg"]
    # sixteen rows have taught it nothing, as its card says: the command must insist
    words = shlex.split(answers[2]["command"])
    assert "strategy=greedy" in words
    assert "force=true" in words
    assert "predictors={mine:mine.safetensors}" in words
    assert content["description"]["settings"]["mine"]["metrics"]["top1"]["unlearned"].startswith("on 16 rows")
    assert not content["description"]["settings"]["seg"]["metrics"]["mIoU"]["unlearned"]


def test_a_hostile_address_changes_nothing(content, tmp_path):
    hostile = (
        "for=__proto__.polluted:1,seg.nothing:1,seg.mIoU:-3,seg.mIoU:1e999&lam=-1&kappa=NaN&macs=-5&ms=<b>&floor=seg.mIoU:x"
        "&fixed=zz,constructor&bounds=c4_4:9999-1,i1:,i2:9-10,c4_3:8-12&net=1_2_3&pin=<script>&size=0x0&dtype=zip&by=rm&axis=constructor.name"
    )
    plain, answer = ask(tmp_path, content, {"what": "hash", "hashes": ["", hostile]})[0]
    assert answer["state"] == plain["state"]


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("result.json", json.dumps({"architecture": {"code": list(SPACE.default().code), "text": NET}}), 1),
        ("comparison.json", json.dumps({"architectures": [{"name": "a", "architecture": {"text": NET}}] * 3}), 3),
        ("architecture.yaml", f"# from a search\nspace: multires\ntext: {NET}\n", 1),
        ("architecture.yaml", "space: multires\ncode:\n" + "".join(f"- {v}\n" for v in SPACE.default().code), 1),
        ("front.csv", f'lam,architecture,chosen\r\n0.1,{NET},1\r\n0.2,"{NET}",0\r\n', 2),
        ("front.csv", f"architecture;mIoU\n{NET};71.5\n{NET};72\n", 2), ("front.csv", f"mIoU\tarchitecture\r71\t{NET}\r", 1),
        ("table.csv", ",".join([*SPACE.labels, "mIoU"]) + "\n" + ",".join(map(str, [*SPACE.default().code, 70.1])) + "\n", 1),
    ],
)  # fmt: skip
def test_networks_out_of_files(content, tmp_path, name, text, count):
    [found] = ask(tmp_path, content, {"what": "file", "name": name, "text": text})
    assert [tuple(entry["code"]) for entry in found] == [SPACE.default().code] * count


def test_rows_that_are_left_out_are_told(content, tmp_path, trained):
    """A quote that is not closed spoils its own line, as in Python, and none after it."""
    lines = ["architecture,mIoU", f"{NET},71", f'"{NET},72', "zz,73", *[f"{NET},74"] * 3]
    question = {"what": "file", "name": "seg.csv", "text": "\n".join(lines)}
    long = {**question, "text": "architecture\n" + f"{NET}\n" * 4010}
    trained.to_parquet(tmp_path / "rows.parquet")  # of 4,100 rows
    ours = parquet_question(tmp_path / "rows.parquet")
    found, *left = ask(tmp_path, content, question, *({**q, "left": True} for q in (question, long, ours)))
    assert [entry["measured"]["seg.mIoU"] for entry in found] == [71, 74, 74, 74]
    assert left[0] == "2 rows of seg left out: a quote in a line is not closed"
    assert left[1:] == [
        f"{n} rows of {name} left out: the first 4000 are read" for n, name in ((10, "seg"), (100, "rows"))
    ]


def test_what_a_table_has_measured(content, tmp_path):
    text = f"architecture,mIoU,aAcc,video.top1,flags\n{NET},71.5,,22.25,paper\n"
    questions = [{"what": "file", "name": name, "text": text} for name in ("seg.csv", "seg-4x-1f3a.csv", "mine.csv")]
    measured = [found[0].get("measured") for found in ask(tmp_path, content, *questions)]
    other = {"video.top1": 22.25}
    assert measured == [{"seg.mIoU": 71.5, **other}, {"seg-4x.mIoU": 71.5, **other}, other]


@pytest.fixture(scope="module")
def trained():
    """A table of 4,100 rows as an import makes it."""
    codes = SPACE.sample_codes(4100, np.random.default_rng(7))
    values = np.random.default_rng(8).uniform(60, 80, (len(codes), 3)).round(2)
    rows = [
        {"code": code, "mIoU": v[0], "mAcc": v[1], "aAcc": v[2]}
        for code, v in zip(codes.tolist(), values.tolist(), strict=True)
    ]
    rows[5]["mAcc"] = None
    return benchmark.from_rows(rows, "seg")


def parquet_question(path, name=""):
    return {"what": "file", "name": name or path.name, "base64": base64.b64encode(path.read_bytes()).decode()}


def test_a_table_of_ours_in_parquet_is_shown_with_what_was_measured(content, trained, tmp_path):
    """As the import writes it, whatever the file is called: packed with zstd, the setting in its metadata."""
    trained.to_parquet(tmp_path / "rows.parquet")
    [found] = ask(tmp_path, content, parquet_question(tmp_path / "rows.parquet"))
    assert len(found) == 4000
    assert [entry["code"] for entry in found] == trained.codes[:4000].tolist()
    for metric in trained.metrics:
        measured = [entry["measured"].get(f"seg.{metric}", np.nan) for entry in found]
        np.testing.assert_array_equal(measured, trained.columns[metric][:4000])
    assert found[0]["name"] == "rows, row 1"


@pytest.mark.parametrize("packed", ["zstd", "snappy", "none"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_what_others_write_with_pyarrow_is_read(content, trained, packed, dictionary, tmp_path):
    columns = {label: pa.array(trained.codes[:300, i]) for i, label in enumerate(SPACE.labels)}
    columns |= {
        "seg.mIoU": pa.array(trained.columns["mIoU"][:300], pa.float32()),
        "name": [f"n{i}" for i in range(300)],
    }
    path = tmp_path / "theirs.parquet"
    parquet.write_table(
        pa.table(columns), path, compression=packed, use_dictionary=dictionary, row_group_size=100, version="2.6",
        data_page_version="2.0" if dictionary else "1.0",
    )  # fmt: skip
    [found] = ask(tmp_path, content, parquet_question(path))
    assert [entry["code"] for entry in found] == trained.codes[:300].tolist()
    assert [entry["name"] for entry in found] == [f"n{i}" for i in range(300)]
    np.testing.assert_allclose(
        [e["measured"]["seg.mIoU"] for e in found], trained.columns["mIoU"][:300].astype(np.float32), rtol=1e-7
    )


def test_a_parquet_file_that_cannot_be_read_is_refused_in_one_line(content, trained, tmp_path):
    trained.to_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    rows = pa.table({"architecture": trained.space.texts(trained.codes[:10])})
    parquet.write_table(rows, tmp_path / "zip.parquet", compression="gzip")
    parquet.write_table(pa.table({"a": [1, 2]}), tmp_path / "other.parquet")
    large = pa.table({"architecture": pa.array(["8" * 900] * 80_000)})  # 72 MB that are packed into nothing
    parquet.write_table(large, tmp_path / "large.parquet", use_dictionary=False, compression="zstd")
    damaged = bytearray(whole)
    damaged[200:400] = bytes(200)
    cases = {
        "zip": "packed with GZIP",
        "other": "neither a column",
        "large": "too large",
        "cut": "no Parquet file",
        "bad": "",
    }
    (tmp_path / "cut.parquet").write_bytes(whole[:-100])
    (tmp_path / "bad.parquet").write_bytes(damaged)
    answers = ask(tmp_path, content, *(parquet_question(tmp_path / f"{name}.parquet") for name in cases))
    for (name, part), answer in zip(cases.items(), answers, strict=True):
        assert isinstance(answer, str), name
        assert part in answer
        assert "\n" not in answer
        assert len(answer) < 200


def test_files_that_hold_no_network_are_refused_in_one_line(content, tmp_path):
    cases = [
        ("result.json", '{"architecture": {"code": [1, 2, 3]}}', "27 numbers"), ("result.json", "{", "JSON"),
        ("result.json", "{}", "no architecture"), ("a.yaml", "x: 1", "neither"), ("t.csv", "a,b\n1,2\n", "neither"),
        ("t.csv", "architecture\nzz\n", "no architecture"), ("t.parquet", "PAR1", "no Parquet file"),
        ("a.yaml", "text: " + NET.replace("-64", "-65"), "o1 must be in 8..128"),
    ]  # fmt: skip
    answers = ask(tmp_path, content, *({"what": "file", "name": n, "text": t} for n, t, _ in cases))
    for (_, _, part), answer in zip(cases, answers, strict=True):
        assert isinstance(answer, str)
        assert part in answer
        assert "\n" not in answer
    [large] = ask(tmp_path, content, {"what": "file", "name": "a.csv", "text": "", "size": 10**9})
    assert "32 MiB" in large


def test_the_file_that_it_saves_is_read_by_python(content, tmp_path):
    code = list(SPACE.default().code)
    expected = {"": "cls-50-1000", "#for=video.top1:1": "video", "#for=3ddet.moderate:1,seg.mIoU:1": "3ddet"}
    texts = ask(tmp_path, content, *({"what": "yaml", "code": code, "hash": hash} for hash in expected))
    file = tmp_path / "architecture.yaml"
    for text, setting in zip(texts, expected.values(), strict=True):
        file.write_text(text)
        assert SPACE.parse(file) == SPACE.default()
        # the command in it is one that trains this file
        _, found, words = text.splitlines()[0].partition("trained with: ncp train ")
        assert found
        told = jobs.options("train", *shlex.split(words.replace("THIS_FILE", str(file))))
        assert (told.setting, told.arch["kind"], told.arch["path"]) == (setting, "file", str(file))
