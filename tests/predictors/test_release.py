"""Weights that the released program writes, from a file of one's own."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import fit_rows
import numpy as np
import pytest
import torch
from head_by_head import HeadByHead

from ncp.errors import UserError
from ncp.predictors import release


def saved(path: Path, sizes: tuple[int, ...] = (1, 1, 1)) -> HeadByHead:
    """A network with the release's names and random weights, saved as its program does."""
    torch.manual_seed(1)
    network = HeadByHead(27, list(sizes), norm=True).train()
    for _ in range(3):
        network(torch.randn(64, 27))  # gives the norms running statistics
    torch.save(network.state_dict(), path)
    return network.eval()


def test_a_file_of_the_release_gives_the_same_predictions(tmp_path: Path) -> None:
    rows = fit_rows.make(60)
    network = saved(tmp_path / "best_model.pth")
    mlp = release.from_file(tmp_path / "best_model.pth", rows)
    z = (rows.codes - rows.codes.mean(0)) / rows.codes.std(0)
    expected = network(torch.tensor(z).float()).detach().numpy() * rows.targets.std(0) + rows.targets.mean(0)
    predicted = np.stack(list(mlp.predict(rows.codes).values()), axis=1)
    np.testing.assert_allclose(predicted, expected, rtol=1e-5)
    assert mlp.card.rows == 60
    assert mlp.metrics == rows.metrics


def test_the_prefix_of_data_parallel_is_dropped() -> None:
    state = {f"module.{k}": v for k, v in HeadByHead(27, [1, 2], True).state_dict().items()}
    assert release.from_state(state, ("mIoU", "mAcc", "aAcc"), "seg").layout.groups == ((0,), (1, 2))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_hostile_file_runs_nothing(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "harm"),)

    (tmp_path / "bad.pth").write_bytes(pickle.dumps({"fc.0.weight": Hostile()}))
    torch.save({"fc.0.weight": Hostile()}, tmp_path / "worse.pth")
    for name in ("bad.pth", "worse.pth"):
        with pytest.raises(UserError, match=r"cannot be read as a checkpoint|is refused|not understood"):
            release.from_file(tmp_path / name, fit_rows.make(10))
    assert not (tmp_path / "harm").exists()


def test_files_that_unpack_without_end_are_refused(tmp_path: Path) -> None:
    rows = fit_rows.make(10)
    saved(tmp_path / "best_model.pth", sizes=(1, 2))
    with (
        zipfile.ZipFile(tmp_path / "best_model.pth") as old,
        zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(UserError, match="parts are packed"):
        release.from_file(tmp_path / "packed.pth", rows)
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(UserError, match="no regular file"):
        release.from_file(tmp_path / "pipe.pth", rows)
    torch.save({"nets.0.0.weight": torch.tensor(1.0), "nets.0.0.bias": torch.tensor(1.0)}, tmp_path / "flat.pth")
    with pytest.raises(UserError, match="not a predictor of the release"):
        release.from_file(tmp_path / "flat.pth", rows)


def test_what_is_not_a_predictor_of_the_release_is_refused(tmp_path: Path) -> None:
    rows = fit_rows.make(10)
    with pytest.raises(UserError, match="there is no file"):
        release.from_file(tmp_path / "none.pth", rows)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="holds no state dictionary"):
        release.from_file(tmp_path / "list.pth", rows)
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth: these weights are not a predictor"):
        release.from_file(tmp_path / "other.pth", rows)
    saved(tmp_path / "five.pth", sizes=(1, 2, 2))
    with pytest.raises(UserError, match="have 5 outputs, but 3 metrics"):
        release.from_file(tmp_path / "five.pth", rows)
    state = HeadByHead(27, [1, 1, 1], True).state_dict()
    state["nets.1.0.weight"][0, 0] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        release.from_state(state, rows.metrics, "seg")
    del state["nets.1.1.running_var"]
    with pytest.raises(UserError, match=r"nets\.1\.1\.running_var"):
        release.from_state(state, rows.metrics, "seg")
    with pytest.raises(UserError, match="do not fit space 'multires'"):
        release.from_state(HeadByHead(30, [1, 1, 1], True).state_dict(), rows.metrics, "seg")


def test_what_a_tensor_claims_is_compared_with_what_there_is_before_torch_reads_it(tmp_path: Path) -> None:
    """A step of 0 shows one number as a million millions; shared parts unfold without end."""
    rows = fit_rows.make(10)
    state: dict[str, Any] = {"nets.0.0.weight": torch.zeros(1).expand(10**6, 10**6), "nets.0.0.bias": torch.zeros(1)}
    torch.save(state, tmp_path / "wide.pth")
    with pytest.raises(UserError, match="numbers behind it"):
        release.from_file(tmp_path / "wide.pth", rows)
    deep: Any = ()
    for _ in range(60):
        deep = (deep, deep)
    torch.save({"nets.0.0.weight": deep}, tmp_path / "deep.pth")
    with pytest.raises(UserError, match=r"unfolds to|levels"):
        release.from_file(tmp_path / "deep.pth", rows)
