"""Where searches begin: drawn in parts or at once, read from what users name, and kept in a bounded number of walks."""

import json
import tracemalloc

import numpy as np
import pytest
from toy_predictors import Toy, capacity

from ncp import spaces
from ncp.errors import UserError
from ncp.search import gallery, search
from ncp.search import starts as module
from ncp.search.gallery import Gallery
from ncp.search.limits import Region
from ncp.search.starts import Starts, read_start
from ncp.search.trajectory import Walk

SPACE = spaces.get("multires")
DEFAULT = np.array(SPACE.default().code, dtype=float)
RISING = Toy("seg", capacity(np.linspace(0.5, 2, 27) * SPACE.lower))


def test_parts_hold_the_starts_that_are_drawn_at_once():
    region = Region(SPACE, bounds={"c4_4": [8, 32]})
    whole = Starts(region, DEFAULT, 50, np.random.default_rng(3)).all()
    told = []
    parts = Starts(region, DEFAULT, 50, np.random.default_rng(3), progress=lambda part, text: told.append((part, text)))
    numbers, codes = zip(*parts.chunks(16), strict=True)
    assert numbers == (0, 16, 32, 48)
    np.testing.assert_array_equal(np.concatenate(codes), whole)
    assert region.contains(whole).all()
    assert whole[0].tolist() == region.round(DEFAULT[None])[0].tolist()
    assert told[-1] == (1.0, "50 of 50 starts")
    assert [part for part, _ in told] == sorted(part for part, _ in told)


@pytest.mark.parametrize("strategy", ["robust", "paper"])
@pytest.mark.parametrize("budget", [None, {"macs": 4e8}])
def test_chunks_change_nothing(monkeypatch, strategy, budget):
    """A search in parts finds what it finds at once."""
    given = {"strategy": strategy, "predictor": {"seg": RISING}, "starts": 90, "iterations": 8, "budget": budget}
    once = search(["seg"], seed=2, **given)
    monkeypatch.setattr(Starts.chunks, "__defaults__", (13,))
    parts = search(["seg"], seed=2, **given)
    assert parts.architecture == once.architecture
    assert parts.reason == once.reason
    assert parts.trajectory.starts == once.trajectory.starts == 90


@pytest.mark.parametrize("strategy", ["robust", "paper"])
def test_memory_does_not_grow_with_the_starts(monkeypatch, strategy):
    monkeypatch.setattr(Starts.chunks, "__defaults__", (16,))
    peaks = []
    for starts in (80, 160, 640):
        tracemalloc.start()
        found = search(["seg"], strategy=strategy, predictor={"seg": RISING}, starts=starts, iterations=3, lam=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.trajectory.starts == starts
        assert len(found.trajectory.walks) <= 24
        assert found.trajectory.walks[0].number == 0
        numbers = [walk.number for walk in found.trajectory.walks]
        assert numbers == sorted(set(numbers))
    assert peaks[2] < peaks[1] * 1.3  # four times the starts, as much memory


@pytest.mark.parametrize("strategy", ["robust", "paper", "winner_takes_all"])
def test_of_many_walks_those_of_the_given_start_and_of_the_default_code_are_kept(strategy):
    start = SPACE.sample(1, np.random.default_rng(5))[0]
    found = search(["seg"], strategy=strategy, predictor={"seg": RISING}, starts=70, iterations=1, start=start)
    begun = {tuple(walk.rounded[0].tolist()) for walk in found.trajectory.walks}
    assert {start.code, SPACE.default().code} <= begun
    few = search(["seg"], strategy=strategy, predictor={"seg": RISING}, starts=3, iterations=1, start=start)
    assert SPACE.default().code not in {tuple(walk.rounded[0].tolist()) for walk in few.trajectory.walks}


def test_winner_takes_all_keeps_few_walks_of_many():
    found = search(["seg"], strategy="winner_takes_all", predictor={"seg": RISING}, starts=90, iterations=1)
    assert found.trajectory.starts == 90
    assert len(found.trajectory.walks) <= 24


def test_few_starts_keep_all_walks():
    found = search(["seg"], predictor={"seg": RISING}, starts=module.FEW, iterations=2)
    assert [walk.number for walk in found.trajectory.walks] == list(range(module.FEW))
    table = found.trajectory.to_table("all")
    assert set(table["start"]) == set(range(module.FEW))


def walk_of(number):
    return Walk(np.zeros((1, 2)), np.zeros((1, 2), dtype=int), np.zeros(1), "", number=number)


def test_a_gallery_keeps_the_first_a_spread_and_the_best():
    losses = np.random.default_rng(0).permutation(400).astype(float)
    kept = Gallery(Starts(Region(SPACE), DEFAULT, 400, np.random.default_rng(0)), best=3)
    for first in range(0, 400, 100):
        kept.offer(first, losses[first : first + 100], lambda i, first=first: walk_of(first + i))
    best = np.argsort(losses)[:3].tolist()
    assert kept.leaders == best
    assert {0, *best} <= set(kept.walks())
    order = np.argsort(losses[:100])
    assert {int(order[0]), int(order[50]), int(order[99])} <= set(kept.walks())
    assert len(kept.walks()) <= 1 + len(gallery.QUANTILES) + 3
    assert all(number == walk.number for number, walk in kept.walks().items())


def test_a_start_is_read_in_every_form(tmp_path):
    found = search(["seg"], predictor={"seg": RISING}, iterations=1, starts=1)
    code = list(found.architecture.code)
    (tmp_path / "result.json").write_text(json.dumps({"architecture": {"code": code}}))
    (tmp_path / "a.yaml").write_text(f"code: {code}\n")
    forms = (found, found.architecture, found.architecture.text, code, str(tmp_path), tmp_path / "result.json")
    for form in (*forms, str(tmp_path / "a.yaml"), {"text": found.architecture.text}):
        assert read_start(SPACE, form).tolist() == code
    assert read_start(SPACE, None).tolist() == DEFAULT.tolist()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("/nonexistent", "there is no such path"),
        ("nonexistent", "there is no such path"),
        ("outputs/search/2026-01-01/run", "there is no such path"),
        ("~/nothing", "there is no such path"),
        ("best", "there is no such path"),
        ("", "start= is empty"),
        ("  ", "start= is empty"),
        ("\x1b[31mred", "there is no such path"),
        (__file__, "that path holds none"),
        ("nowhere/result.json", "no result at 'nowhere/result.json'"),
        ("nowhere/a.yaml", "nowhere/a.yaml"),
        ("64_64", "27 numbers"),
        ("64-41414-3_31_332", "is written as an architecture of transnas-micro; here it must be one of multires"),
        (5, "given was 5"),
        ([1, 2], "27 numbers"),
        (["a"] * 27, "i1 must be an integer"),
        ({"code": 5}, "given was"),
        (True, "given was True"),
    ],
)
def test_what_is_no_start_is_one_line(given, words):
    with pytest.raises(UserError) as error:
        read_start(SPACE, given)
    assert words in str(error.value)
    assert "start" in str(error.value) or "result" in str(error.value)
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)


def test_a_given_start_counts_whatever_is_drawn():
    """Two hills: the higher one is found only from the given start, whose walk is far from the best before the polish."""

    def hills(x):
        left = 70 - 0.02 * (x[:, :2] - 16).abs().sum(1)
        right = 75 - 10 * (x[:, 2:26] - given[2:26]).abs().sum(1)  # a needle at the given start
        return left.maximum(right)

    import torch

    given = torch.as_tensor(SPACE.sample(1, np.random.default_rng(5))[0].code)
    toy = Toy("seg", hills)
    start = given.tolist()
    blind = search(["seg"], predictor={"seg": toy}, lam=0, iterations=10)
    found = search(["seg"], predictor={"seg": toy}, lam=0, iterations=10, start=start)
    assert blind.predicted["seg"]["mIoU"] < 71
    assert found.predicted["seg"]["mIoU"] == 75
    assert list(found.start.code) == start
    assert found.default.architecture == SPACE.default()
    assert found.trajectory.walks[0].number == 0
    assert found.trajectory.walks[0].rounded[0].tolist() == start


@pytest.mark.parametrize("seed", range(4))
def test_what_is_found_is_no_worse_than_the_given_start(seed):
    start = SPACE.sample(1, np.random.default_rng(seed))[0]
    macs = int(SPACE.cost([start.code]).macs[0])
    rough = Toy("seg", lambda x: 70 + 3 * (x * (seed + 1.7)).sin().sum(1))
    found = search(
        ["seg"], predictor={"seg": rough}, budget={"macs": macs}, start=start, starts=4, iterations=5, seed=seed
    )
    assert found.predicted["seg"]["mIoU"] >= found.before.predicted.value["seg"]["mIoU"]
    assert found.start == start
    assert found.macs <= macs == found.before.macs


def test_the_chunk_is_no_smaller_than_the_default_number_of_starts():
    assert module.CHUNK >= module.FEW >= 32


def test_a_known_name_is_a_start():
    assert SPACE.decode(read_start(SPACE, "ncp_seg")[None])[0].text.startswith("40_40-1_1_4_8-")


@pytest.mark.parametrize(
    ("objective", "start", "words"),
    [
        (
            "transnas-micro/normal",
            "64-41414-3_31_339",
            "start: digit 6 of a cell must be one of 0, 1, 2, 3; given was '9'",
        ),
        (
            "transnas-macro/normal",
            "64-2922-basic",
            "start: digit 2 of the modules must be one of 1, 2, 3, 4; given was '9'",
        ),
        ("transnas-macro/normal", "64-2222-basic", "start: 64-2222 is not among the 3,256 networks"),
    ],
)
def test_an_impossible_start_is_told_before_a_missing_predictor(objective, start, words):
    with pytest.raises(UserError, match=words):
        search([objective], start=start)


def test_a_known_name_of_another_space_is_told_as_one():
    with pytest.raises(UserError, match="start=ncp_seg is of the space multires, the search is in 'transnas-micro'"):
        read_start(spaces.get("transnas-micro"), "ncp_seg")
