"""What looking at inputs is made of: rows of the likeliest classes, and inputs that cannot be read beside those that can."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from ncp.errors import UserError
from ncp.jobs import looking


def test_a_row_has_a_cell_for_every_column():
    best = looking.named([(2, 0.75), (0, 0.2500004)], ["cat", "dog", "owl"])
    assert [one["class"] for one in best] == ["owl", "cat"]
    assert [one["index"] for one in best] == [2, 0]
    row = dict(zip(looking.top_columns(2), looking.top_cells(best), strict=True))
    assert row["class_1"], row["class_2"] == ("owl", "cat")
    assert row["probability_1"] == 0.75
    assert row["probability_2"] == pytest.approx(0.25, abs=1e-5)


@pytest.mark.parametrize("most", [1, 3])
def test_what_cannot_be_read_is_noted_and_the_rest_goes_on_in_order(most):
    inputs = [SimpleNamespace(path=Path(f"{i}.png"), name=str(i)) for i in range(6)]

    def work(number):
        def read():
            if number % 3 == 1:
                raise UserError(f"{number} is damaged")
            return number * number

        return read

    failed, watched = [], []
    results = SimpleNamespace(fail=failed.append)
    pairs = ((one, work(number)) for number, one in enumerate(inputs))
    found = [(given.name, value) for given, value in looking.readable(pairs, most, results, watched.append)]
    assert found == [("0", 0), ("2", 4), ("3", 9), ("5", 25)]
    assert len(failed) == 2
    assert watched == inputs  # of every input the end is told, readable or not
