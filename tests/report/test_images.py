"""Inputs of any number of channels as pictures."""

import numpy as np
import pytest

from ncp.report.images import shown


@pytest.mark.parametrize(("channels", "drawn"), [(1, (0, 0, 0)), (2, (0, 1, 1)), (3, (0, 1, 2)), (5, (0, 1, 2))])
def test_channels_become_three(channels, drawn):
    image = np.random.default_rng(0).integers(0, 256, (channels, 4, 6), dtype=np.uint8)
    picture = shown(image)
    assert picture.shape == (4, 6, 3)
    assert picture.dtype == np.uint8
    for place, channel in enumerate(drawn):
        np.testing.assert_array_equal(picture[..., place], image[channel])
