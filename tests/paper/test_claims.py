"""Claims: verdicts follow from figures, and the page that is checked in says what a cut-down run measures."""

import re
from pathlib import Path

import numpy as np
import pytest

from ncp.benchmark.importing import import_file
from ncp.benchmark.store import write
from ncp.errors import UserError
from ncp.paper import claims
from ncp.paper.claims.claim import HOLDS, NOT, PART, UNKNOWN, verdict
from ncp.paper.claims.lab import Lab, pm
from ncp.paper.judging import Judges
from ncp.paper.searches import SearchResults
from ncp.search import search

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "paper.md").read_text()
ROWS = {  # text -> verdict, measured
    cells[2]: cells[3:]
    for line in PAGE.splitlines()
    if line.startswith("|") and len(cells := [cell.strip() for cell in line.strip("|").split(" | ", 4)]) == 5
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Without tables: the default predictors judge. From as many starts as the page."""
    seeds = int(re.search(r"over (\d+) starts or seeds", PAGE)[1])
    return Lab(SearchResults(), Judges(tmp_path_factory.mktemp("empty")), seeds=seeds)


def by_name(name):
    return claims.wanted([name])[0]


def test_a_verdict_is_all_some_or_none():
    assert [verdict(True), verdict(False, True), verdict(False)] == [HOLDS, PART, NOT]
    with pytest.raises(UserError, match="there is no claim 'dept'; give claims=true for all, or some of strategies, "):
        claims.wanted(["dept"])
    assert claims.wanted(True) == claims.CLAIMS
    assert len({claim.name for claim in claims.CLAIMS}) == len(claims.CLAIMS) > 30


def test_walks_of_many_starts_end_where_searches_end(lab):
    begin, ends = lab.walks(("seg",), 3)
    for code, end in zip(begin, ends, strict=True):
        found = search(["seg"], strategy="paper", predictor="paper", start=code.tolist())
        assert tuple(found.last.architecture.code) == tuple(end)
    assert tuple(begin[0]) == tuple(lab.space.default().code)
    assert lab.columns(begin[:1], "b1", "c4_4")[0] == 2 + 64


def test_transfers_start_where_the_first_search_ended(lab):
    chain = search(["seg"], strategy="paper", predictor="paper")
    chain = search(["video"], strategy="paper", predictor="paper", start=chain.last.architecture.code)
    ends = lab.transfers("seg", "video")
    assert tuple(ends[0]) == tuple(chain.last.architecture.code)
    assert len(ends) == lab.seeds
    assert not (ends == lab.ends("video")).all()  # elsewhere than from the same starts at once


def test_percentiles_count_rows(lab):
    lab._rows["seg"] = np.array([60.0, 70.0, 75.0, 90.0])
    code = [lab.space.default().code]
    assert 70 < lab.judge(code, "seg")[0] < 90
    assert lab.percentile(code, "seg")[0] == (50.0 if lab.judge(code, "seg")[0] < 75 else 75.0)
    del lab._rows["seg"]
    assert pm([1, 3]) == "2.00 ± 1.00"


def test_the_page_has_every_claim_and_every_table():
    assert [text for text in ROWS if text in {c.text for c in claims.CLAIMS}] == [c.text for c in claims.CLAIMS]
    assert all(re.search(f"^### Table {n}: ", PAGE, re.MULTILINE) for n in (2, 3, 4, 5, 8, 9, 10))
    verdicts = [ROWS[claim.text][0] for claim in claims.CLAIMS]
    assert set(verdicts) <= set(claims.VERDICTS)
    counted = re.search(r"(\d+) claims: (.*?)\. Spreads", PAGE)
    assert int(counted[1]) == len(verdicts)
    assert f"{verdicts.count(HOLDS)} holds" in counted[2]


def check_row(lab, name, **tolerance):
    """The claim measured anew has the page's verdict and, within the tolerance, its numbers."""
    claim = by_name(name)
    told, text = ROWS[claim.text]
    measured = claim.measure(lab)
    assert measured.verdict == told
    assert numbers(text) == pytest.approx(numbers(measured.text), **tolerance)


# what needs no table, and no judge but costs and codes: the same whoever runs it
@pytest.mark.parametrize(
    "name",
    [
        "space",
        "table-9",
        "losses",
        "operators",
        "cls-flops",
        "coco",
        "ade20k",
        "ade20k-settings",
        "det-metrics",
    ],
)
def test_the_page_is_current_where_no_table_is_needed(lab, name):
    check_row(lab, name, rel=0.02, abs=0.02)


@pytest.mark.parametrize("name", ["fourth-branch", "high-level", "few-samples", "depth", "lambda"])
def test_statistics_of_codes_are_current(lab, name):
    """They depend on the bundled predictors alone. Ends of walks may differ by a step from machine to machine."""
    check_row(lab, name, rel=0.1, abs=1.0)


def test_what_only_a_training_can_tell_is_said_so(lab):
    wants_a_table = ("metrics", "cells", "cells-steps", "encoding")
    for name in ("coco", "ade20k-settings", "epochs", *wants_a_table):
        assert by_name(name).measure(lab).verdict == UNKNOWN


@pytest.mark.shared
def test_the_page_is_current_on_the_released_tables(shared, tmp_path):
    """A cut-down run: the claims that read tables alone, on two of them."""
    store = tmp_path / "store"
    for name in ("seg", "cls-50-1000"):
        write(import_file(shared / "nas-bench-mr" / "data" / name / "trainval.pkl", name), store / f"{name}.parquet")
    lab = Lab(SearchResults(), Judges(store, use_exact=False), seeds=3)
    for name in ("metrics", "recorded-flops"):
        claim = by_name(name)
        measured = claim.measure(lab)
        assert (measured.verdict, numbers(measured.text)) == (ROWS[claim.text][0], numbers(ROWS[claim.text][1]))


def numbers(text):
    """All numbers of a sentence, in order."""
    return [float(n.replace(",", "")) for n in re.findall(r"-?\d[\d,]*\.?\d*", text)]
