"""Which walks are kept of many starts: checked against sorting all of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from ncp.search.gallery import Gallery
from ncp.search.starts import FEW


def filled(losses, parts, best=0, anchors=1):
    gallery = Gallery(Many(len(losses), anchors), best)
    for number in range(0, len(losses), parts):
        part = losses[number : number + parts]
        gallery.offer(number, part, lambda i, number=number: SimpleNamespace(number=number + i))
    return gallery


class Many:
    """As many starts."""

    def __init__(self, count, anchors):
        self.count, self.anchors = count, anchors

    def __len__(self):
        return self.count


def test_of_few_starts_all_walks_are_kept():
    assert list(filled(np.arange(FEW, dtype=float), 10).walks()) == list(range(FEW))


@pytest.mark.parametrize("best", [0, 1, 7])
def test_of_many_the_best_the_anchors_and_a_spread_of_the_first_part(best):
    losses = np.random.default_rng(best).normal(size=1000)
    gallery = filled(losses, 300, best, anchors=2)
    leaders = np.argsort(losses, kind="stable")[:best].tolist()
    assert gallery.leaders == leaders
    first = np.argsort(losses[:300], kind="stable")
    spread = {int(first[i]) for i in (0, 75, 150, 224, 299)}
    assert set(gallery.walks()) == {0, 1, *spread, *leaders}
    assert list(gallery.walks()) == sorted(gallery.walks())


def test_equal_losses_go_to_the_earlier_start():
    assert filled(np.zeros(200), 50, best=3).leaders == [0, 1, 2]


def test_a_walk_that_went_on_takes_the_place_of_its_beginning():
    gallery = filled(np.arange(200.0), 50, best=2)
    longer = SimpleNamespace(number=1)
    gallery.keep(longer)
    assert gallery.walks()[1] is longer
