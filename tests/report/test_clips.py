"""The picture of a video recognition: a row a clip, and what each is taken for."""

from types import SimpleNamespace

import numpy as np
import torch

from ncp.report import clips, style


def test_a_row_for_each_clip_names_what_was_seen_and_what_was_right():
    classes = ["wave", "$x^{$", "run"]
    run = SimpleNamespace(
        data=SimpleNamespace(classes=classes), task=SimpleNamespace(latest={"top1": 50.0}), architecture="code"
    )
    frames = [torch.rand(1, 12, 3, 16, 16, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    samples = {"image": frames, "label": [torch.tensor(0), torch.tensor(2), torch.tensor(-1)]}
    fig = clips.video_picture(run, samples, np.array([0, 1, 2]))
    fig.canvas.draw()
    assert len(fig.axes) == 3 * clips.MOST
    texts = [ax.texts[0] for ax in fig.axes if ax.texts]
    assert [text.get_text() for text in texts] == ["wave", "$x^{$,\nnot run", "unreadable"]
    assert tuple(texts[0].get_color()) == style.dark(style.GREEN)
    assert tuple(texts[1].get_color()) == style.dark(style.VERMILION)
    assert any("top-1 50.0%" in text.get_text() for text in fig.texts)
    shown = fig.axes[clips.MOST].images[0].get_array()  # the second clip's first frame
    np.testing.assert_allclose(np.asarray(shown), frames[1][0, 0].permute(1, 2, 0).numpy(), atol=1e-6)
