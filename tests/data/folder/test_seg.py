"""Images with masks: layouts, numbers, palettes, colours, and what is wrong with them."""

import shutil

import numpy as np
import pytest
from layouts import make_own_masks, own_mask, set_up
from PIL import Image

from ncp.data.base import Key
from ncp.data.folder.seg import FolderSegmentation
from ncp.errors import UserError

COLOURS = {0: (10, 20, 30), 1: (200, 0, 0), 2: (0, 0, 250), 255: (255, 255, 255)}


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "cache"))
    return make_own_masks(tmp_path / "fields")


def masks(root, make):
    """Write every mask anew."""
    for path in sorted((root / "masks").iterdir()):
        number = int(path.stem)
        path.unlink()
        make(own_mask(number)).save(path.with_suffix(".png"))


def coloured(mask):
    out = np.zeros((*mask.shape, 3), np.uint8)
    for number, colour in COLOURS.items():
        out[mask == number] = colour
    return out


def labels(data):
    """All labels by the file's number."""
    out = {}
    for split, made in (("train", data.train_set), ("val", data.val_set)):
        for i, name in enumerate(data.names[split]):
            out[int(name.split("/")[-1].split(".")[0])] = made[Key(-1, i)]["label"].numpy()
    return out


def check(data, order=(0, 1, 2)):
    """Every label is the drawn mask, its numbers in this order."""
    table = np.full(256, 255)
    table[list(order)] = range(len(order))
    found = labels(data)
    assert sorted(found) == list(range(8))
    for number, label in found.items():
        assert np.array_equal(label, table[own_mask(number)])


def test_numbers_without_a_classes_file(own):
    data = set_up(FolderSegmentation, own, crop=(32, 32))
    assert list(data.classes) == ["class 0", "class 1", "class 2"]
    assert (len(data.train_set), len(data.val_set)) == (6, 2)
    check(data)
    assert data.train_set[Key(0, 0)]["image"].shape == (3, 32, 32)


def test_what_masks_hold_is_counted_once(own, monkeypatch):
    from ncp.data.folder import masks as counting

    set_up(FolderSegmentation, own)
    monkeypatch.setattr(counting, "count", lambda path: pytest.fail("counted again"))
    assert len(set_up(FolderSegmentation, own).classes) == 3


def test_a_classes_file_names_orders_and_ignores(own):
    (own / "classes.csv").write_text(
        "id,name,colour,ignored\n2,strip,#0000fa,\n0,ground,#0a141e,true\n1,box,#c80000,\n"
    )
    data = set_up(FolderSegmentation, own)
    assert list(data.classes) == ["strip", "box"]
    assert list(data.palette) == [(0, 0, 250), (200, 0, 0)]
    check(data, order=(2, 1))


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_and_palettes(own, mode, ids):
    """With ids a palette's numbers are read, without them its colours; RGB is always told by its colours."""

    def make(mask):
        if mode == "P":
            image = Image.fromarray(mask, "P") if ids else Image.fromarray((mask + 3).astype(np.uint8), "P")
            palette = np.zeros((256, 3), np.uint8)
            for number, colour in COLOURS.items():
                palette[number if ids else (number + 3) % 256] = colour
            image.putpalette(palette.tobytes())
            return image
        return Image.fromarray(coloured(mask)).convert(mode)

    masks(own, make)
    rows = [
        f"{n},{name},#{r:02x}{g:02x}{b:02x},{n == 255}"
        for (n, (r, g, b)), name in zip(COLOURS.items(), "abcd", strict=True)
    ]
    text = "id,name,colour,ignored\n" + "\n".join(rows)
    if not ids:
        text = "\n".join(line.split(",", 1)[1] for line in text.splitlines())
    (own / "classes.csv").write_text(text)
    data = set_up(FolderSegmentation, own)
    assert list(data.classes) == ["a", "b", "c"]
    check(data)


def test_colours_without_a_classes_file(own):
    masks(own, lambda mask: Image.fromarray(coloured(mask)))
    data = set_up(FolderSegmentation, own)
    assert list(data.classes) == ["colour 0000fa", "colour 0a141e", "colour c80000", "colour ffffff"]
    assert np.array_equal(labels(data)[3] == 0, own_mask(3) == 2)


def test_numbers_above_255_in_16_bits(own):
    masks(own, lambda mask: Image.fromarray((mask.astype(np.uint16) + 1000) * (mask < 255)))
    rows = [f"- {{id: {1000 + i}, name: {name}}}" for i, name in enumerate("abc")]
    (own / "classes.yaml").write_text("\n".join([*rows, "- {id: 0, name: no, ignored: 1}"]))
    check(set_up(FolderSegmentation, own))


def test_layouts(own, tmp_path):
    """Split folders in two ways, lists, and masks with a tail to their names."""
    wanted = {"train": {f"{i:03d}.png" for i in range(2, 8)}, "val": {"000.png", "001.png"}}
    for kind in ("inside", "outside"):
        root = tmp_path / kind
        for part in ("images", "masks"):
            for path in (own / part).iterdir():
                split = "val" if path.name in wanted["val"] else "train"
                target = (root / part / split if kind == "inside" else root / split / part) / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
        data = set_up(FolderSegmentation, root)
        assert {split: {name.split("/")[-1] for name in data.names[split]} for split in wanted} == wanted
        check(data)
    for split, names in wanted.items():
        (own / f"{split}.txt").write_text("".join(f"{name.removesuffix('.png')}\n" for name in sorted(names)))
    data = set_up(FolderSegmentation, own)
    assert {name.split("/")[-1] for name in data.names["val"]} == wanted["val"]
    for path in (own / "masks").iterdir():
        path.rename(path.with_stem(f"{path.stem}_mask"))
    (own / "masks").rename(own / "labels")
    check(set_up(FolderSegmentation, own))


def test_the_written_split_is_read_again(own, tmp_path):
    data = set_up(FolderSegmentation, own)
    data.describe(tmp_path)
    lists = {f"{part}_list": str(tmp_path / f"{part}_files.txt") for part in ("train", "val")}
    again = set_up(FolderSegmentation, own, **lists, classes_file=str(tmp_path / "classes.csv"), split_seed=5)
    assert list(again.names["val"]) == list(data.names["val"])
    assert again.entries == data.entries


def test_an_image_stands_in_one_list_however_it_is_spelled(own, tmp_path):
    lists = {f"{part}_list": str(tmp_path / f"{part}.txt") for part in ("train", "val")}
    for train, val, message in (
        ("000\n001\n", "images/000.png\n", "the lists of train and val both name '000.png'"),
        ("000\n000.png\n", "001\n", "the train list has '000.png' twice"),
    ):
        (tmp_path / "train.txt").write_text(train)
        (tmp_path / "val.txt").write_text(val)
        with pytest.raises(UserError, match=message):
            set_up(FolderSegmentation, own, **lists)


def test_given_lists_divide_split_folders_anew(own, tmp_path):
    for part in ("images", "masks"):
        for i, path in enumerate(sorted((own / part).iterdir())):
            target = own / ("val" if i < 2 else "train") / part / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        (own / part).rmdir()
    for split, number in (("train", 0), ("val", 5)):
        (tmp_path / f"{split}.txt").write_text(f"{'val' if number < 2 else 'train'}/images/{number:03d}.png\n")
    data = set_up(FolderSegmentation, own, train_list=str(tmp_path / "train.txt"), val_list=str(tmp_path / "val.txt"))
    assert {split: list(names) for split, names in data.names.items()} == {
        "train": ["val/images/000.png"],
        "val": ["train/images/005.png"],
    }
    assert np.array_equal(labels(data)[5], own_mask(5))


def test_images_are_resized_first_where_that_is_asked_for(own):
    data = set_up(FolderSegmentation, own, short=32)
    item = data.val_set[Key(-1, 0)]
    assert item["image"].shape == (3, 32, 43)
    assert item["label"].shape == (32, 43)


def test_arrays_of_many_channels(own):
    rng = np.random.default_rng(0)
    for path in (own / "images").iterdir():
        path.unlink()
        np.save(path.with_suffix(".npy"), rng.integers(0, 3000, (48, 64, 9)).astype(np.uint16))
    for path in (own / "masks").iterdir():
        np.save(path.with_suffix(".npy"), own_mask(int(path.stem)))
        path.unlink()
    data = set_up(FolderSegmentation, own, crop=(32, 32))
    assert data.in_channels == 9
    assert data.train_set[Key(0, 1)]["image"].shape == (9, 32, 32)
    check(data)


def refused(root, **options):
    with pytest.raises(UserError) as error:
        set_up(FolderSegmentation, root, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_number_out_of_range_is_told_with_file_and_value(own):
    (own / "classes.csv").write_text("id,name\n0,a\n1,b\n")
    line = refused(own)
    assert "holds the number 2 in 768 pixels; the classes have 0 to 1, and 255 is ignored" in line
    assert "masks/00" in line


def test_a_mask_of_another_size(own):
    path = own / "masks" / "003.png"
    Image.fromarray(np.zeros((20, 64), np.uint8)).save(path)
    assert "has (48, 64) pixels but its label" in refused(own)


def test_what_is_wrong_is_said(own, tmp_path):
    (own / "masks" / "004.png").unlink()
    (own / "masks" / "other.png").write_bytes((own / "masks" / "005.png").read_bytes())
    line = refused(own)
    assert "1 of 8 images" in line
    assert "first: images/004.png" in line
    assert "there is a mask without an image, 'masks/other.png': are they called alike?" in line
    assert len(set_up(FolderSegmentation, own, partial=True).train_set) < 7
    shutil.rmtree(own / "masks")
    assert "lacks a folder of masks, so there are no labels" in refused(own)
    (own / "masks").mkdir()
    assert "8 of 8 images" in refused(own)
    (tmp_path / "none").mkdir()
    assert "lacks a folder of images" in refused(tmp_path / "none")


def test_folders_of_other_names_and_labels_of_another_kind(own):
    """Neither is a set of classes, although two folders hold images."""
    (own / "masks").rename(own / "labels_png")
    assert "; if 'labels_png' holds the masks, call it masks, or make a link of that name to it" in refused(own)
    (own / "masks").symlink_to(own / "labels_png")
    set_up(FolderSegmentation, own)
    (own / "masks").unlink()
    (own / "images").rename(own / "photos")
    (own / "labels_png").rename(own / "labels")
    assert "if 'photos' holds the images, call it images" in refused(own)
    (own / "photos").rename(own / "images")
    for mask in sorted((own / "labels").iterdir()):
        mask.unlink()
        mask.with_suffix(".txt").write_text("0 .5 .5 .1 .1")
    assert "labels there are texts, of boxes or polygons: a mask is an image of class numbers" in refused(own)


def test_a_root_that_is_a_level_off(own):
    assert f"a level too high: give data.root={own}" in refused(own.parent)
    assert f"a level too low: give data.root={own}" in refused(own / "images")


def test_masks_of_one_class_or_of_photographs(own):
    masks(own, lambda mask: Image.fromarray(np.where(mask == 255, 255, 4).astype(np.uint8)))
    assert "one class alone (4)" in refused(own)
    rng = np.random.default_rng(0)
    masks(own, lambda mask: Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)))
    assert "too many for classes" in refused(own)
    (own / "masks" / "000.png").unlink()
    Image.fromarray(own_mask(0)).save(own / "masks" / "000.png")
    assert "some masks hold colours and others numbers" in refused(own)


def test_jpeg_masks_are_refused(own):
    for path in (own / "masks").iterdir():
        Image.open(path).save(path, "JPEG")
    assert "is a JPEG, which does not keep a mask's numbers" in refused(own)
    for path in (own / "masks").iterdir():
        path.rename(path.with_suffix(".jpg"))
    assert "masks there are JPEGs, which do not keep their numbers" in refused(own)
