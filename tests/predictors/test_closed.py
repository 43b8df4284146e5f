"""Closed forms: means, doubts and their gradients are those of the torch modules and of autograd, and need no torch."""

import subprocess
import sys
from dataclasses import asdict

import fit_rows
import numpy as np
import pytest
import torch

from ncp import predictors, spaces
from ncp.predictors import few, load, module
from ncp.predictors.base import Card, Predictor
from ncp.spaces.multires import SPACE

RNG = np.random.default_rng(0)
CODES = SPACE.project(SPACE.sample_codes(12, RNG) + RNG.uniform(0, 0.4, (12, SPACE.dim)))


def from_few_rows():
    rows = fit_rows.make(40, metrics=("mIoU", "mAcc"))
    return few.fit_rows(rows, few.Options(known=["cls-50-1000", "video"]))


MADE = {
    "default": lambda: load("seg"),
    "one metric": lambda: load("cls").select(["top5"]),
    "paper": lambda: load("seg", "paper"),
    "paper, one metric": lambda: load("3ddet", "paper").select(["moderate", "flops"]),
    "paper, folded": lambda: load("video", "paper").fold(),
    "few rows": from_few_rows,
}


@pytest.mark.parametrize("name", MADE)
def test_answers_and_gradients_are_those_of_autograd(name):
    predictor = MADE[name]()
    closed, torch_module = predictor.closed(), module.of(predictor).double()
    torch_module.load_state_dict({k: torch.tensor(v).double() for k, v in closed.arrays.items()})
    x = torch.tensor(CODES, requires_grad=True)
    mean, std = torch_module.posterior(x)
    d_mean, d_std = np.random.default_rng(1).standard_normal((2, *mean.shape))
    answer = closed.answer(CODES)
    np.testing.assert_allclose(answer.mean, mean.detach(), rtol=1e-10)
    np.testing.assert_allclose(answer.std, std.detach(), rtol=1e-9)
    np.testing.assert_allclose(closed.noise_at(answer.mean), torch_module.noise(mean).detach(), rtol=1e-9)
    asked = [(mean * torch.tensor(d_mean)).sum(), (std * torch.tensor(d_std)).sum()]
    (both,) = torch.autograd.grad(sum(asked), x, retain_graph=True)
    (alone,) = torch.autograd.grad(asked[0], x)
    for found, expected in ((answer.pull(d_mean, d_std), both), (answer.pull(d_mean, None), alone)):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))
    short = closed.answer(CODES, std=False)
    assert short.std is None
    np.testing.assert_allclose(short.mean, answer.mean, rtol=1e-12)
    np.testing.assert_allclose(short.pull(d_mean, None), alone, rtol=1e-9, atol=1e-9 * float(alone.abs().max()))


def test_a_module_answers_by_its_closed_form_as_long_as_nothing_changes():
    mlp = module.of(load("seg", "paper"))
    before = mlp.predict(CODES)["mIoU"]
    assert mlp.closed() is mlp.closed()
    mlp.output_mean += 1
    np.testing.assert_allclose(mlp.predict(CODES)["mIoU"], before + 1)


def test_a_loaded_predictor_is_asked_in_torch_as_ever():
    predictor = load("seg")
    x = torch.tensor(CODES, requires_grad=True)
    mean, std = predictor.posterior(x)
    (slope,) = torch.autograd.grad(predictor(x)[:, 0].sum(), x)
    np.testing.assert_allclose(mean[:, 0].detach(), predictor.predict(CODES)["mIoU"], rtol=1e-10)
    np.testing.assert_allclose(std[:, 0].detach(), predictor.predict_std(CODES, noise=False)["mIoU"], rtol=1e-9)
    chosen = np.eye(3)[[0] * len(CODES)]
    np.testing.assert_allclose(slope, predictor.answer(CODES).pull(chosen, None), rtol=1e-8, atol=1e-12)


class Mine(Predictor):
    """A predictor of one's own, of which numpy knows nothing."""

    def posterior(self, codes_ND):
        mean = (codes_ND.log() * torch.arange(1, 28)).sum(1, keepdim=True)
        return mean, mean.detach() * 0 + 0.5


def test_a_torch_predictor_of_ones_own_answers_by_autograd():
    mine = Mine(Card("mine", "seg", ("mIoU",))).double()
    answer = mine.answer(CODES)
    np.testing.assert_allclose(answer.mean[:, 0], np.log(CODES) @ np.arange(1, 28))
    np.testing.assert_allclose(answer.std, 0.5)
    ones = np.ones((12, 1))
    np.testing.assert_allclose(answer.pull(ones, None), np.arange(1, 28) / CODES)
    np.testing.assert_allclose(answer.pull(ones, ones), np.arange(1, 28) / CODES)  # its doubt is the same everywhere
    assert mine.closed() is mine
    assert mine.predict(CODES)["mIoU"] == pytest.approx(answer.mean[:, 0])


class Halved(type(module.of(load("seg")))):
    """The default predictor's class, made to answer otherwise."""

    def posterior(self, codes_ND):
        mean, std = super().posterior(codes_ND)
        return mean / 2, std


def test_a_class_that_answers_in_its_own_way_has_no_closed_form():
    whole = load("seg")
    halved = Halved(whole.card)
    halved.load_state_dict({k: torch.tensor(v) for k, v in whole.arrays.items()})
    assert halved.closed() is halved
    np.testing.assert_allclose(halved.predict(CODES)["mIoU"], whole.predict(CODES)["mIoU"] / 2, rtol=1e-5)
    np.testing.assert_allclose(halved.answer(CODES).mean[:, 0], whole.predict(CODES)["mIoU"] / 2, rtol=1e-5)


def of_choices(name="nasbench201", setting="mine"):
    """A predictor of a space of choices, from few rows."""
    space = spaces.get(name)
    codes = space.encode(space.sample(40, np.random.default_rng(0)))
    values = codes @ np.random.default_rng(1).random((space.dim, 1)) + 50
    return few.fit_rows(fit_rows.Rows(codes, values, ("top1",), setting, space.name), few.Options(known="none"))


def test_gradients_in_a_space_of_choices():
    space = spaces.get("nasbench201")
    codes = space.encode(space.sample(40, np.random.default_rng(0)))
    fitted = of_choices().closed()
    inside = space.project(codes[:3] * 0.8 + 0.05)
    answer = fitted.answer(inside)
    slope, tiny = answer.pull(np.ones((3, 1)), np.ones((3, 1))), 1e-6
    for i in (0, 7, 29):
        step = tiny * np.eye(space.dim)[i]
        up, down = fitted.answer(inside + step), fitted.answer(inside - step)
        rise = (up.mean + up.std - down.mean - down.std)[:, 0] / (2 * tiny)
        np.testing.assert_allclose(slope[:, i], rise, rtol=1e-4, atol=1e-6)


def test_a_search_of_every_strategy_imports_no_torch(tmp_path):
    few_rows = from_few_rows()
    few_rows.card.errors = {}
    path = few_rows.save(tmp_path / "few.safetensors")
    cells = {name: tmp_path / f"{name}.safetensors" for name in ("nasbench201", "transnas-micro", "transnas-macro")}
    for name, file in cells.items():
        of_choices(name).save(file)
    program = f"""
import sys
from ncp.search import search, pareto
from ncp.search.trade import trade
for kind in ("robust", "paper", "winner_takes_all", "random", "evolution", "greedy", "local"):
    search(["cls", "seg"], strategy=kind, iterations=2, queries=80)
search(["seg"], iterations=2, starts=2, budget={{"memory_mb": 40, "params": 8e6}}, floor={{"cls": 70}})
search(["seg"], iterations=2, starts=2, predictor={{"seg": {str(path)!r}}})
trade(["cls", "macs"], points=2, starts=2, iterations=2)
for file in {list(map(str, cells.values()))!r}:
    for kind in ("robust", "paper", "evolution"):
        search(["mine.top1"], strategy=kind, predictor={{"mine": file}}, iterations=2, queries=80, force=True)
    search(["mine.top1"], predictor={{"mine": file}}, iterations=2, starts=2, budget={{"params": 8e6}}, force=True)
assert "torch" not in sys.modules, "torch was imported"
print("done")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
    assert asdict(predictors.load(path).card)["kind"] == "transfer"
