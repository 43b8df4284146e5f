"""Is a part of a build off as one? Found where it is, and not where it is not."""

import numpy as np
import pytest

from ncp.campaign import checks
from ncp.campaign.records import TrainingRecord
from ncp.spaces.multires import SPACE


def rows(shift=0.0, n=160):
    """Random architectures with a smooth metric; those of ``node3`` lie ``shift`` points off."""
    rng = np.random.default_rng(1)
    codes = SPACE.sample_codes(n, rng)
    metric = 60 + 2 * (np.log2(codes) @ rng.normal(size=SPACE.dim)) / 5 + rng.normal(0, 0.7, n)
    of = [{"machine": f"node{i % 8}", "day": f"{i // 40}"} for i in range(n)]
    metric[[i for i in range(n) if i % 8 == 3]] += shift
    return codes, metric, of


def test_a_machine_whose_results_are_off_is_found():
    [anomaly] = checks.anomalies(SPACE, *rows(shift=-8.0))
    assert (anomaly.what, anomaly.value) == ("machine", "node3")
    assert anomaly.rows.sum() == 20
    assert -10 < anomaly.shift < -4
    assert "machine node3" in anomaly.rule


@pytest.mark.parametrize("seed", range(5))
def test_good_results_are_left_alone(seed):
    codes, metric, of = rows()
    order = np.random.default_rng(seed).permutation(len(of))
    assert checks.anomalies(SPACE, codes, metric, [of[i] for i in order]) == []
    assert checks.anomalies(SPACE, codes[:20], metric[:20], of[:20]) == []


def test_rows_are_grouped_by_who_made_them_when_and_with_what():
    record = TrainingRecord(
        "000001", "seg", "x", [1], 3, {}, worker={"host": "node1\x1b[31m", "slurm_job": "7_1"}, device={"name": "H100"},
        versions={"ncp": "1", "torch": "2.8"}, finished="2026-01-02T03:04:05+00:00",
    )  # fmt: skip
    assert checks.properties(record) == {
        "machine": "node1\\x1b[31m",  # an escape is shown, not sent to the terminal
        "device": "H100",
        "job": "7_1",
        "software": "1  torch 2.8",
        "day": "2026-01-02",
    }


def test_a_group_for_every_row_costs_no_comparison(monkeypatch):
    """22,500 jobs of one training each: none is large enough to be judged."""
    monkeypatch.setattr(checks, "_compare", None)
    codes, metric, _ = rows()
    assert checks.anomalies(SPACE, codes, metric, [{"job": str(i)} for i in range(len(metric))]) == []
