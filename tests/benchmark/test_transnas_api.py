"""The official calls of TransNAS-Bench-101 on imported tables, against the values that were written into its file."""

import numpy as np
import pytest
import torch
from transnas_files import ARCHS, EPOCHS, METRICS, TASKS, curve, official

from ncp import benchmark
from ncp.benchmark.transnas_api import TransNASBench
from ncp.errors import UserError


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The store of tables out of the benchmark's own file."""
    folder = tmp_path_factory.mktemp("transnas")
    torch.save(official(), folder / "official.pth")
    benchmark.import_release(folder / "official.pth", folder / "store")
    return folder / "store"


def test_the_official_calls(own):
    api, quirk = TransNASBench(own), TransNASBench(own, official=True)
    assert len(api) == 7
    assert list(api) == [*ARCHS["macro"], *ARCHS["micro"]]
    assert (api.index2arch(1), api.arch2index("3_33_332")) == ("64-2311-basic", 4)
    losses = curve("macro", 0, "class_scene", "valid_loss")
    arguments = ("64-4111-basic", "class_scene", "valid_loss", "best")
    assert (api.get_single_metric(*arguments), quirk.get_single_metric(*arguments)) == (min(losses), max(losses))
    top = api.get_best_archs("room_layout", "valid_neg_loss", "micro", topk=2)
    assert [text for _, text in top] == list(ARCHS["micro"][:2])  # the first have the smallest losses
    status = api.get_best_epoch_status("64-4111-basic", "class_scene", "valid_loss")
    assert status["valid_loss"] == min(losses)
    assert status["test_top5"] == curve("macro", 0, "class_scene", "test_top5")[int(np.argmin(losses))]
    assert api.get_total_epochs("64-4111-basic", "normal") == EPOCHS
    assert api.get_model_info("3_33_332", "normal", "encoder_params") == 1001
    for call, message in (
        (lambda: api.get_single_metric("64-2133-basic", "normal", "valid_ssim"), "is not in the imported tables"),
        (lambda: api.get_best_archs("depth", "valid_ssim", "micro"), "the tasks are class_scene"),
        (lambda: api.get_arch_list("mini"), "the search spaces are macro, micro"),
        (lambda: api.get_single_metric("64-41414-9_00_000", "normal", "valid_ssim"), "digit 1 of a cell"),
    ):
        with pytest.raises(UserError, match=message):
            call()


def test_places_and_lists_of_architectures(own):
    api = TransNASBench(own)
    assert [api.arch2index(text) for text in api] == list(range(len(api)))
    assert [api.index2arch(i) for i in range(len(api))] == list(api)
    for space, texts in ARCHS.items():
        assert api.get_arch_list(space) == list(texts)


def test_curves_and_single_epochs(own):
    api = TransNASBench(own)
    for space, texts in ARCHS.items():
        for task in TASKS:
            name = f"valid_{METRICS[task][-1]}"
            for i, text in enumerate(texts):
                expected = curve(space, i, task, name)
                assert api.get_single_metric(text, task, name, "list") == pytest.approx(expected)
                assert api.get_single_metric(text, task, name) == pytest.approx(expected[-1])
                assert api.get_epoch_status(text, task, 1)[name] == pytest.approx(expected[1])
                assert api.get_epoch_status(text, task, -1)[name] == pytest.approx(expected[-1])


def test_the_best_architectures_are_ordered_by_the_mode(own):
    api, quirk = TransNASBench(own), TransNASBench(own, official=True)
    for mode, of in (("final", lambda c: c[-1]), ("best", max)):
        values = [of(curve("micro", i, "class_scene", "valid_top1")) for i in range(len(ARCHS["micro"]))]
        found = api.get_best_archs("class_scene", "valid_top1", "micro", topk=3, mode=mode)
        order = np.argsort(values)[::-1][:3]
        assert [text for _, text in found] == [ARCHS["micro"][i] for i in order]
        assert [value for value, _ in found] == pytest.approx([values[i] for i in order])
    largest = [max(curve("micro", i, "class_scene", "valid_loss")) for i in range(len(ARCHS["micro"]))]
    (worst,) = quirk.get_best_archs("class_scene", "valid_loss", "micro")
    assert worst == (pytest.approx(max(largest)), ARCHS["micro"][int(np.argmax(largest))])
    assert api.get_best_archs("class_scene", "valid_top1", "micro", topk=-1) == []


ODD = (None, 3, 2.5, True, b"64", [1, 2], {}, {"a": 1}, (1,), np.arange(6), float("nan"), "", "a" * 300, object())


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_whatever_is_given_is_answered_or_one_user_error(own, value):
    """Each argument of each call in turn."""
    api, good = TransNASBench(own), ("64-41414-3_33_332", "jigsaw", "valid_top1", "final")
    calls = [
        (api.index2arch, (0,)),
        (api.arch2index, good[:1]),
        (api.get_arch_list, ("micro",)),
        (api.get_total_epochs, good[:2]),
        (api.get_model_info, (*good[:2], "encoder_params")),
        (api.get_single_metric, good),
        (api.get_epoch_status, (*good[:2], 0)),
        (api.get_best_epoch_status, good[:3]),
        (api.get_best_archs, ("jigsaw", "valid_top1", "micro", 1, "best")),
    ]
    told = []
    for call, arguments in calls:
        call(*arguments)
        for place in range(len(arguments)):
            given = [*arguments[:place], value, *arguments[place + 1 :]]
            try:
                call(*given)
            except UserError as error:
                told.append(str(error))
    assert len(told) >= len(calls)
    assert all("\n" not in line and len(line) < 900 for line in told)


def test_numbers_of_numpy_are_numbers(own):
    api = TransNASBench(own)
    assert api.index2arch(np.int64(1)) == api.index2arch(1)
    last = api.get_single_metric("3_33_332", "jigsaw", "valid_top1", np.int64(-1))
    assert last == api.get_single_metric("3_33_332", "jigsaw", "valid_top1")
    with pytest.raises(UserError, match="index must be at most 6, given was 7"):
        api.index2arch(7)


def test_what_has_no_value_is_not_among_the_best(own, monkeypatch):
    api = TransNASBench(own)
    values = np.array([np.nan, 3.0, 1.0, np.nan])[: len(ARCHS["micro"])]
    monkeypatch.setattr(api, "_values", lambda *_: values)
    known = [(v, text) for v, text in zip(values, ARCHS["micro"], strict=True) if v == v]
    assert api.get_best_archs("jigsaw", "valid_top1", "micro", topk=9) == sorted(known, reverse=True)
