"""Batches are brought to the device one ahead, and computing waits for its own alone; the device is made up."""

from typing import NamedTuple

import torch

from ncp.data.ahead import _each, ahead


class Place(NamedTuple):
    points: torch.Tensor
    name: str


class Side:
    def __init__(self):
        self.did = []

    def bring(self, batch):
        self.did.append(f"bring {batch}")
        return f"{batch} there"

    def arrived(self, batch):
        self.did.append(f"wait {batch}")
        return batch


def test_the_next_copy_begins_before_a_batch_is_worked_on():
    side, out = Side(), []
    for batch in ahead([1, 2, 3], side):
        side.did.append(f"work {batch}")
        out.append(batch)
    assert out == ["1 there", "2 there", "3 there"]
    assert side.did == [
        "bring 1", "wait 1 there", "bring 2", "work 1 there", "wait 2 there", "bring 3", "work 2 there", "wait 3 there",
        "work 3 there",
    ]  # fmt: skip
    assert list(ahead([], Side())) == []


def test_every_array_of_a_batch_is_brought():
    batch = {
        "image": torch.ones(2),
        "boxes": [torch.ones(1), torch.ones(3)],
        "place": Place(torch.ones(4), "a"),
        "n": 3,
    }
    found = _each(batch, lambda one: one + len(one))
    assert found["image"].tolist() == [3, 3]
    assert [one.tolist() for one in found["boxes"]] == [[2], [4, 4, 4]]
    assert isinstance(found["place"], Place)
    assert found["place"].points.tolist() == [5] * 4
    assert (found["place"].name, found["n"]) == ("a", 3)


def test_what_stays_is_left_as_it_is():
    batch = {"image": torch.ones(2), "skipped": torch.ones(3)}
    found = _each(batch, lambda one: one + 1, ("skipped",))
    assert found["image"].tolist() == [2, 2]
    assert found["skipped"] is batch["skipped"]
