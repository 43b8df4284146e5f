"""The exact process of a table: against the textbook's formula, and its cache."""

import numpy as np
import pytest
import torch

from ncp import spaces
from ncp.benchmark import from_rows
from ncp.benchmark.settings import SETTINGS
from ncp.errors import UserError
from ncp.predictors import exact

SPACE = spaces.get("multires")


@pytest.fixture
def table():
    """Sixty networks whose figures follow their costs, with noise."""
    rng = np.random.default_rng(0)
    some = SPACE.sample(60, rng)
    value = 60 + 5 * np.log10(SPACE.cost(SPACE.encode(some).astype(int)).macs / 1e8) + rng.normal(0, 0.3, 60)
    rows = [{"text": a.text, "mIoU": v, "mAcc": v, "aAcc": v} for a, v in zip(some, value, strict=True)]
    return from_rows(rows, SETTINGS["seg"])


def test_it_is_the_textbooks_posterior(table, tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CACHE", str(tmp_path))
    judge = exact.of_table(table)
    z = np.log2(np.maximum(table.codes, 1)) * (SPACE.step > 1) + table.codes * (SPACE.step <= 1)
    y = table.columns["mIoU"]
    x = (z - z.mean(0)) / z.std(0, ddof=1) / judge.length.numpy()

    def kernel(a, b):
        r = np.sqrt(5 * ((a[:, None] - b[None]) ** 2).sum(-1))
        return float(judge.signal) * (1 + r + r * r / 3) * np.exp(-r)

    t = (y - y.mean()) / y.std(ddof=1)
    k = kernel(x, x) + float(judge.noise_var) * np.eye(len(x))
    expected = kernel(x[:5], x) @ np.linalg.solve(k, t) * y.std(ddof=1) + y.mean()
    np.testing.assert_allclose(judge.predict(table.codes[:5].astype(float))["mIoU"], expected, atol=1e-3)
    # it follows the rows, and doubts what is far from them
    assert np.corrcoef(judge.predict(table.codes.astype(float))["mIoU"], y)[0, 1] > 0.9
    far = judge.predict_std(SPACE.upper[None], noise=False)["mIoU"][0]
    assert far > judge.predict_std(table.codes[:1].astype(float), noise=False)["mIoU"][0]


def test_scales_are_kept_by_what_the_rows_hold(table, tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CACHE", str(tmp_path))
    first = exact.of_table(table)
    (kept,) = (tmp_path / "exact").iterdir()
    monkeypatch.setattr(exact, "_fit", lambda *given: pytest.fail("fitted again"))
    again = exact.of_table(table)
    codes = SPACE.encode(SPACE.sample(10, np.random.default_rng(5)))
    np.testing.assert_array_equal(first.predict(codes)["mIoU"], again.predict(codes)["mIoU"])
    monkeypatch.undo()
    monkeypatch.setenv("NCP_CACHE", str(tmp_path))
    kept.write_bytes(b"damaged")  # is fitted anew
    np.testing.assert_allclose(exact.of_table(table).predict(codes)["mIoU"], first.predict(codes)["mIoU"])
    assert exact._kept(kept, 27) is not None
    whole = kept.read_bytes()
    for at in range(len(whole) - 8 * 29, len(whole), 5):  # one digit of one scale: finite, positive, and another judge
        kept.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert exact._kept(kept, 27) is None
    kept.write_bytes(whole)
    assert exact._kept(kept, 26) is None


def test_what_cannot_be_fitted_is_told(table):
    with pytest.raises(UserError, match="the table of seg has no metric 'top1'; it has mIoU, mAcc, aAcc"):
        exact.of_table(table, "top1")
    with pytest.raises(UserError, match="needs ten rows or more, the table of seg has 5"):
        exact.of_table(table.select(np.arange(5)))


def test_channels_are_seen_in_logarithms():
    codes = torch.tensor([SPACE.default().code], dtype=torch.float64)
    seen = exact.wide_in_logarithms(codes, SPACE)[0]
    assert seen[list(SPACE.labels).index("c4_4")] == 6
    assert seen[list(SPACE.labels).index("b4")] == 2
