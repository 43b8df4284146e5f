"""Which frames make a clip: by hand."""

import numpy as np
import pytest

from ncp.data.clip_sampling import Sampling
from ncp.errors import UserError

RNG = np.random.default_rng


def test_dense_clips_by_hand():
    sampling = Sampling("dense", frames=3, stride=4, clips=2)
    assert sampling.evaluation(20).tolist() == [[0, 4, 8], [11, 15, 19]]
    assert Sampling("dense", 3, 4).evaluation(20).tolist() == [[5, 9, 13]]
    starts = {int(sampling.train(11, RNG(i))[0, 0]) for i in range(60)}
    assert starts == {0, 1, 2}
    # too short for the stride: all of it, evenly
    assert sampling.train(5, RNG(0)).tolist() == [[0, 2, 4]]
    assert sampling.evaluation(1).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_segments_take_one_frame_of_each_part():
    sampling = Sampling("segments", frames=4, clips=2)
    assert sampling.evaluation(16).tolist() == [[1, 5, 9, 13], [3, 7, 11, 15]]
    seen = np.concatenate([sampling.train(16, RNG(i)) for i in range(200)])
    assert all(set(seen[:, k]) == set(range(4 * k, 4 * k + 4)) for k in range(4))
    assert sampling.evaluation(2).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


def test_the_default_window_fits_the_shortest_training_video():
    sampling = Sampling()
    span = sampling.train(64, RNG(0))[0]
    assert (np.diff(span) == 8).all()
    assert span[-1] < 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "sparse"}, "data.sampling must be one of dense, segments, given was 'sparse'"),
        ({"frames": 0}, "data.frames must be a whole number of at least 1, given was 0"),
        ({"clips": 1.5}, "data.clips must be a whole number of at least 1, given was 1.5"),
    ],
)
def test_impossible_samplings(options, message):
    with pytest.raises(UserError, match=message):
        Sampling(**options)
