"""Classes files: CSV and YAML in the forms that people write, and what is wrong with one."""

import pytest

from ncp.data.folder.classes import Entry, numbered, read, write
from ncp.errors import UserError

WANTED = (Entry(7, "road", (128, 64, 128)), Entry(9, "car", (0, 0, 142)), Entry(0, "rest", (0, 0, 0), ignored=True))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.csv", "id,name,colour,ignored\n7,road,#804080,false\n9,car,#00008e,\n0,rest,#000000,true\n"),
        ("c.csv", "id;name;r;g;b;ignore\n7;road;128;64;128;0\n9;car;0;0;142;0\n0;rest;0;0;0;1\n"),
        ("c.csv", "Name,Color,Value,Ignored\nroad,128 64 128,7,no\ncar,0 0 142,9,no\nrest,0 0 0,0,yes\n"),
        (
            "c.yaml",
            "- {id: 7, name: road, colour: [128, 64, 128]}\n- {id: 9, name: car, color: '#00008e'}\n"
            "- {id: 0, name: rest, colour: [0, 0, 0], ignored: true}\n",
        ),
        (
            "c.yaml",
            "classes:\n  7: {name: road, colour: '#804080'}\n  9: {name: car, colour: '#00008e'}\n"
            "  0: {name: rest, colour: '#000000', ignored: true}\n",
        ),
    ],
)
def test_rows(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read(tmp_path / name) == WANTED


def test_names_alone_count_from_0(tmp_path):
    for name, text in (
        ("c.yaml", "[sky, sea]"),
        ("c.txt", "sky\nsea\n"),
        ("d.yaml", "{0: sky, 1: sea}"),
        ("c.csv", "name\nsky\nsea\n"),
    ):
        (tmp_path / name).write_text(text)
        assert read(tmp_path / name) == (Entry(0, "sky"), Entry(1, "sea"))


def test_what_is_written_is_read(tmp_path):
    assert read(write(tmp_path / "c.csv", WANTED)) == WANTED


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("id,name\n0,a\n0,b\n", "gives the number 0 twice"),
        ("id,name\n0,a\n1,a\n", "gives the name a twice"),
        ("id,name,colour\n0,a,#ffffff\n1,b,255 255 255\n", "gives the colour"),
        ("id,name\n0,a\n", "leaves 1 class that is not ignored"),
        ("id,name\nx,a\n1,b\n", "class 1: id must be a whole number, given was 'x'"),
        ("id,name\n-1,a\n1,b\n", "id must be 0 to 65,535"),
        ("id,name,colour\n0,a,red\n1,b,\n", "a colour is #rrggbb or three numbers"),
        ("id,name,ignored\n0,a,maybe\n1,b,\n", "ignored must be true or false"),
        ('id,name\n0,a\n1,b\n2,"c\n3,d\n4,e\n', "line 4 has a stray quote"),
        ('id,name\n0,a\n1,b\n2,c\n3,"d\n', "line 5 has a stray quote"),
        ("0,a\n1,b\n", "must begin with a line of its columns"),
        ("id,name\n0,\n1,b\n", "class 1 has no name"),
    ],
)
def test_what_is_wrong_is_told_with_the_row(tmp_path, text, line):
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(UserError, match=line):
        read(tmp_path / "c.csv")


def test_a_colour_without_end(tmp_path):
    (tmp_path / "c.yaml").write_text("- {name: a, colour: [.inf, 0, 0]}\n- b\n")
    with pytest.raises(UserError, match="class 1: a colour is #rrggbb or three numbers"):
        read(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("name", "text", "ids"),
    [
        ("c.csv", "Number, name,colour\n0,a,#000000\n1,b,#ffffff\n", True),
        ("c.csv", "\nname; id\na;1\nb;0\n", True),
        ("c.csv", "name,colour\na,#000000\nb,#ffffff\n", False),
        ("c.txt", "id\nb\n", False),
        ("c.yaml", "- {Number: 3, name: a}\n- b\n", True),
        ("c.yaml", "{4: a, 5: b}", True),
        ("c.yaml", "[a, b]", False),
    ],
)
def test_whether_numbers_are_given(tmp_path, name, text, ids):
    (tmp_path / name).write_text(text)
    assert numbered(tmp_path / name) == ids
    assert len(read(tmp_path / name)) == 2
