"""Batches are brought to the device one ahead, and computing waits for its own alone; the device is made up."""

from ncp.data.ahead import ahead


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
