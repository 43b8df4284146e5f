"""ImageNet's layout, the subsets' rule, and what is wrong with a folder."""

import os

import pytest
import torch
from layouts import make_imagenet

from ncp.data.base import Key
from ncp.data.imagenet import ImageNet, choose_subset
from ncp.errors import UserError


@pytest.fixture
def root(tmp_path):
    return make_imagenet(tmp_path / "imagenet", classes=6, train=5, val=2)


def make(root, **options):
    data = ImageNet(str(root), size=32, workers=0, **options)
    data.setup()
    return data


def test_the_whole_set(root):
    data = make(root)
    assert len(data.classes) == 6
    assert len(data.train_set) == 30
    assert len(data.val_set) == 12
    batch = next(iter(data.val_dataloader()))
    assert batch["image"].shape == (1, 3, 32, 32) or batch["image"].shape == (12, 3, 32, 32)
    assert batch["image"].dtype == torch.uint8
    assert [data.val_set[Key(-1, i)]["label"] for i in range(12)] == [i // 2 for i in range(12)]


def test_smaller_subsets_lie_in_larger_ones(root):
    train = root / "train"
    large, small = choose_subset(train, 5, 4, seed=3), choose_subset(train, 2, 2, seed=3)
    assert len(large.synsets) == 5
    assert set(small.synsets) < set(large.synsets)
    for name, files in small.files.items():
        assert len(files) == 2
        assert set(files) < set(large.files[name])
    choices = {tuple(choose_subset(train, 2, 2, seed=s).synsets) for s in range(12)}
    assert len(choices) > 3
    assert choose_subset(train, 2, 2, seed=3) == small


def test_the_choice_is_written_beside_the_run_and_can_be_given_back(root, tmp_path):
    data = make(root, classes_kept=3, images_kept=2)
    data.describe(tmp_path)
    listed = (tmp_path / "synsets.txt").read_text().split()
    assert listed == list(data.classes)
    assert len((tmp_path / "train_images.txt").read_text().split()) == 6
    again = make(root, synsets=str(tmp_path / "synsets.txt"), images_kept=2, subset_seed=9)
    assert list(again.classes) == listed
    # validation uses the chosen classes alone, all of their images
    assert len(data.val_set) == 6
    assert all(any(name in path for name in listed) for path in data.val_set.paths)


def test_augmentation_is_a_function_of_seed_epoch_and_sample(root):
    data, same, other = make(root, seed=1), make(root, seed=1), make(root, seed=2)
    pick = Key(4, 7)
    assert torch.equal(data.train_set[pick]["image"], same.train_set[pick]["image"])
    assert not torch.equal(data.train_set[pick]["image"], other.train_set[pick]["image"])
    assert not torch.equal(data.train_set[pick]["image"], data.train_set[Key(5, 7)]["image"])
    assert torch.equal(data.val_set[Key(-1, 1)]["image"], other.val_set[Key(-1, 1)]["image"])


def test_what_is_wrong_is_said(root, tmp_path):
    with pytest.raises(UserError, match=r"classes_kept=50 asks for more classes than the 6"):
        make(root, classes_kept=50)
    with pytest.raises(UserError, match=r"holds 5 images, fewer than the 1000 per class"):
        make(root, classes_kept=2, images_kept=1000)
    (tmp_path / "list.txt").write_text("n00000001\n")
    with pytest.raises(UserError, match=r"1 of the 1 listed synsets are not in .*first: n00000001"):
        make(root, synsets=str(tmp_path / "list.txt"))
    with pytest.raises(UserError, match=r"cannot read data.synsets="):
        make(root, synsets=str(tmp_path / "absent.txt"))
    (root / "val").rename(root.parent / "elsewhere")
    with pytest.raises(UserError, match=r"is not ImageNet: looked for val and found train"):
        make(root)


def test_an_empty_class_a_flat_val_and_a_corrupt_image(root):
    victim = sorted((root / "train").iterdir())[0]
    image = sorted(victim.iterdir())[0]
    image.write_bytes(image.read_bytes()[:200])
    data = make(root)
    with pytest.raises(UserError, match=rf"{image.name}' is corrupt"):
        data.train_set[Key(0, 0)]
    for path in victim.iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"holds no images"):
        make(root)
    victim.rmdir()
    gone = sorted((root / "val").iterdir())[1]
    for path in gone.iterdir():
        path.unlink()
    gone.rmdir()
    with pytest.raises(UserError, match=rf"lacks 1 of the 5 chosen classes, first: {gone.name}"):
        make(root)


def test_real_images_in_the_same_layout(shared):
    data = ImageNet(str(shared / "imagenet_sample"), size=64, classes_kept=10, images_kept=60, workers=0)
    data.setup()
    assert len(data.classes) == 10
    assert len(data.train_set) == 600
    assert len(data.val_set) == 500
    item = data.train_set[Key(0, 17)]
    assert item["image"].shape == (3, 64, 64)
    assert item["image"].float().std() > 10


def test_what_tools_leave_behind_is_no_class_and_no_image(root):
    for split in ("train", "val"):
        (root / split / ".ipynb_checkpoints").mkdir()
        (root / split / ".ipynb_checkpoints" / "a-checkpoint.JPEG").write_bytes(b"")
        for folder in sorted(root.glob(f"{split}/n*")):
            (folder / f"._{folder.name}_0.JPEG").write_bytes(b"\0\5\x16\7")
            (folder / ".ipynb_checkpoints").mkdir()
            (folder / ".ipynb_checkpoints" / "b.JPEG").write_bytes(b"")
    data = make(root)
    assert [len(data.classes), len(data.train_set), len(data.val_set)] == [6, 30, 12]


def test_all_problems_of_a_root_are_said_at_once(root):
    folders = sorted((root / "train").iterdir())
    for folder in folders[:2]:
        for path in folder.iterdir():
            path.unlink()
    for path in (root / "val" / folders[3].name).iterdir():
        path.unlink()
    (root / "val" / folders[3].name).rmdir()
    with pytest.raises(UserError) as error:
        make(root)
    message = str(error.value)
    assert "has 3 problems: (1) " in message
    assert all(folders[i].name in message for i in (0, 1, 3))
    assert "\n" not in message


def test_names_in_any_encoding_and_with_spaces(root, tmp_path):
    folder = sorted((root / "train").iterdir())[0]
    os.rename(os.fsencode(sorted(folder.iterdir())[0]), os.fsencode(folder) + b"/caf\xe9.JPEG")
    for split in ("train", "val"):
        os.rename(root / split / folder.name, os.fsencode(root / split) + b"/golden gr\xfcn")
    data = make(root, images_kept=5)
    assert data.train_set[Key(0, 0)]["image"].shape == (3, 32, 32)
    data.describe(tmp_path)
    lines = (tmp_path / "train_images.txt").read_bytes().splitlines()
    assert b"golden gr\xfcn/caf\xe9.JPEG" in lines
    assert len(lines) == 30
    again = make(root, synsets=str(tmp_path / "synsets.txt"))
    assert again.classes == data.classes
    (root / "train" / os.fsdecode(b"golden gr\xfcn") / os.fsdecode(b"caf\xe9.JPEG")).write_bytes(b"")
    with pytest.raises(UserError, match=r"golden gr\\udcfcn/caf\\udce9.JPEG' is corrupt"):
        make(root).train_set[Key(0, 0)]


def test_a_list_of_synsets_is_a_file(root, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=r"cannot read data.synsets=.*no regular file"):
        make(root, synsets=str(tmp_path / "pipe"))
    name = sorted(path.name for path in (root / "train").iterdir())[1]
    (tmp_path / "list.txt").write_text(f"# two words a line\n{name} tench\n")
    assert make(root, synsets=str(tmp_path / "list.txt")).classes == [name]
    (tmp_path / "list.txt").write_text(f"{name} tench\n{name} shark\n")
    with pytest.raises(UserError, match=r"must list synsets once each"):
        make(root, synsets=str(tmp_path / "list.txt"))
