"""A baseline of like cost: in the unit of the space, by torch's own count."""

import pytest

from ncp.errors import UserError
from ncp.spaces.multires import SPACE
from ncp.tasks.likecost import CANDIDATES, NAMES, choose, macs_like

DEFAULT = SPACE.default()


def test_resnet18_costs_what_is_published():
    """1.82 G multiply-adds at 224 x 224 with 1,000 classes: a third of that at 128 x 128; its head is next to nothing."""
    assert macs_like("resnet18", "cls", DEFAULT) == pytest.approx(1.82e9 * (128 / 224) ** 2, rel=0.12)


def test_the_dearest_within_the_limit_is_chosen(monkeypatch):
    costs = {name: 1000 * (i + 1) for i, name in enumerate(CANDIDATES["cls"])}
    monkeypatch.setattr("ncp.tasks.likecost.macs_like", lambda name, task, reference: costs[name])
    names = list(costs)
    assert choose("cls", 3500, DEFAULT) == (names[2], 3000)
    assert choose("cls", 10, DEFAULT) == (names[0], 1000)  # the cheapest, where none is within
    assert choose("cls", 1e9, DEFAULT, names[:2]) == (names[1], 2000)


@pytest.mark.parametrize("task", sorted(NAMES))
def test_there_is_one_of_like_cost_for_small_budgets_too(task):
    """Of a tenth of the default code's multiply-adds, and of a third: none is dearer, nor cheaper than a quarter of the limit."""
    default = int(SPACE.cost([DEFAULT.code]).macs[0])
    for limit in (default / 10, default / 3) if task in ("cls", "video") else (default / 4, default / 2):
        _, macs = choose(task, limit, DEFAULT)
        assert limit / 4 < macs <= limit, (task, limit)


def test_each_task_has_some_and_a_wrong_name_is_refused():
    assert set(NAMES) == {"cls", "seg", "video", "det3d"}
    with pytest.raises(UserError, match="timm has no network called 'resnet19'"):
        choose("cls", 1e9, DEFAULT, ["resnet19"])
