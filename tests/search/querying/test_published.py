"""On the recorded tables of TransNAS-Bench-101: what is published of random search and evolution, in a few hundred runs."""

import numpy as np
import pytest
from bench.transnas import PUBLISHED, TASKS, Space, middle, printed

from ncp import benchmark


@pytest.fixture(scope="module")
def micro(shared, tmp_path_factory):
    """The seven tables of the cells."""
    store = tmp_path_factory.mktemp("transnas")
    benchmark.import_release(shared / "transnas-bench-101", store, [f"transnas-micro/{task}" for task in TASKS])
    return Space("micro", store)


def test_random_search_and_evolution_are_where_they_are_published(micro):
    found = {name: micro.run(name, 400) for name in ("random", "rea")}
    mean, spread = printed(micro, found["random"])
    wanted, published_spread = map(np.array, PUBLISHED["micro", "random"])
    np.testing.assert_allclose(mean, wanted, atol=0.2)
    np.testing.assert_allclose(spread, published_spread, atol=0.12)
    assert middle(found["rea"]) < 0.7 * middle(found["random"])


@pytest.mark.usefixtures("one_thread")
def test_rounds_find_better_ones(micro):
    """On one task, five seeds: the best of 50 is expected at rank 80 by chance."""
    from ncp.search.querying import compare

    found = compare.run([micro.problems["room_layout"]], ["rounds"], seeds=5)
    assert np.median(found.runs[0].rank) < 30
