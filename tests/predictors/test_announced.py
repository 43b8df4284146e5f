"""A kind of predictor from another package: announced by an entry point, fitted, written, read back and searched with."""

import sys

import fit_rows
import numpy as np
import pytest

from ncp import predictors, registry
from ncp.errors import UserError
from ncp.predictors import protocols
from ncp.search import search

MODULE = '''
import torch
from ncp.predictors.base import Card, Predictor

class Line(Predictor):
    """A linear function of the code."""
    def __init__(self, card):
        super().__init__(card)
        self.register_buffer("weights", torch.zeros(self.space.dim + 1, len(card.metrics)))
    def posterior(self, codes_ND):
        x = codes_ND.to(self.weights.dtype)
        mean = x @ self.weights[:-1] + self.weights[-1]
        return mean, torch.zeros_like(mean)

def build(card):
    return Line(card)

def shapes(card):
    return {name: tuple(value.shape) for name, value in build(card).state_dict().items()}

def fit(rows, *, validation=None, seed=0, progress=None, ridge=1e-6):
    made = Line(Card("line", rows.setting, rows.metrics, rows.space))
    x = torch.tensor(rows.codes); x = torch.cat([x, torch.ones(len(x), 1)], 1)
    y = torch.tensor(rows.targets)
    made.weights.copy_(torch.linalg.solve(x.T @ x + ridge * torch.eye(x.shape[1]), x.T @ y))
    made.output_mean.copy_(y.mean(0)); made.output_std.copy_(y.std(0)); made.noise_std.fill_(0.1)
    return made.eval().requires_grad_(False)
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with one kind of predictor."""
    about = tmp_path / "site" / "lines-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lines\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[ncp.predictors]\nline = lines_of_theirs\n")
    (tmp_path / "site" / "lines_of_theirs.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    registry.announced.cache_clear()
    yield
    registry.announced.cache_clear()
    sys.modules.pop("lines_of_theirs", None)


def test_it_is_fitted_written_read_and_searched_with(package, tmp_path):
    rows = fit_rows.make(200, metrics=("mIoU",))
    outcome = protocols.run(rows, "line", options={"ridge": 1e-3})
    path = outcome.predictor.save(tmp_path / "line.safetensors")
    again = predictors.load(path)
    assert type(again).__module__ == "lines_of_theirs"
    assert again.card.kind == "line"
    # numpy's own least squares on the same rows
    parts = protocols.split(len(rows), "honest")
    x = np.column_stack([rows.codes, np.ones(len(rows))])
    solution = np.linalg.lstsq(x[parts["fitted"]], rows.targets[parts["fitted"]], rcond=None)[0]
    held = parts["test"]
    np.testing.assert_allclose(again.predict(rows.codes[held])["mIoU"], (x[held] @ solution)[:, 0], atol=0.05)
    result = search(objectives=["seg"], predictor={"seg": path}, starts=2, iterations=3)
    assert result.predicted["seg"]["mIoU"] >= again.predict(result.default.architecture)["mIoU"][0]
    with pytest.raises(UserError, match="has no option 'width'; its options: ridge"):
        protocols.run(rows, "line", options={"width": 3})


def test_without_the_package_its_files_and_its_family_are_refused(package, tmp_path):
    path = protocols.run(fit_rows.make(40, metrics=("mIoU",)), "line").predictor.save(tmp_path / "line.safetensors")
    (tmp_path / "site" / "lines-1.0.dist-info" / "entry_points.txt").write_text("")
    registry.announced.cache_clear()
    with pytest.raises(UserError, match="is of kind 'line'; kinds: mlp, gp"):
        predictors.load(path)
    with pytest.raises(UserError, match="unknown predictor family 'line'; families: auto, transfer, default, paper"):
        protocols.run(fit_rows.make(40), "line")
