"""Clips that a CSV names: its columns, parts of files, captions, and where its paths lead."""

import os
from pathlib import Path

import pytest

from pipeline.clips.csv_source import Row, read_rows
from pipeline.clips.sources import Source, list_sources
from pipeline.command_line.errors import RequestError
from tests.object_store.store import Store


def _csv(folder: Path, text: str | bytes, *names: str) -> Path:
    """A CSV beside files of three bytes."""
    for name in names or ("a.mp4", "b.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"xyz")
    path = folder / "clips.CSV"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _list(source: Path | str, root: Path | str | None = None, allow_outside: bool = False) -> list[Source]:
    return list_sources(str(source), None if root is None else str(root), None, allow_outside).sources


def test_all_columns_in_any_order_and_case(tmp_path: Path) -> None:
    text = (
        "Split, PATH ,caption,label,group,start,end\n"
        'val,sub/a.mp4,"A cat, asleep.\nAnd a ""dog"".",猫,g1,,\n'
        "test,b [1].MP4,Two,dog,g2,1.50,2e0\n"
        "\n ,,,,,,\n"
    )
    assert _list(_csv(tmp_path, text, "sub/a.mp4", "b [1].MP4")) == [
        Source("b [1].MP4", 3, "dog", "test", "g2", "1.5", "2", ("two",)),
        Source("sub/a.mp4", 3, "猫", "validation", "g1", captions=("a cat asleep and a dog",)),
    ]


def test_spaces_before_quotes_are_no_part_of_a_name(tmp_path: Path) -> None:
    found = _list(_csv(tmp_path, 'path, label\n"a.mp4", "a cat, asleep"\nb.mp4,  dog\n'))
    assert [(each.path, each.label) for each in found] == [("a.mp4", "a cat, asleep"), ("b.mp4", "dog")]


@pytest.mark.parametrize("end_of_line", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_as_spreadsheets_write_it(tmp_path: Path, end_of_line: str, encoding: str) -> None:
    text = end_of_line.join(["path,label", "a.mp4,é", '"b.mp4","x"', ""])
    (tmp_path / "a.mp4").touch()
    found = _list(_csv(tmp_path, text.encode(encoding)))
    assert [(each.path, each.label) for each in found] == [("a.mp4", "é"), ("b.mp4", "x")]


def test_rows_of_one_clip_add_captions_in_their_order(tmp_path: Path) -> None:
    text = "path,caption\nb.mp4,z\na.mp4,One.\nb.mp4,y\na.mp4,\nb.mp4,Z!\n"
    found = {each.path: each.captions for each in _list(_csv(tmp_path, text))}
    assert found == {"a.mp4": ("one",), "b.mp4": ("z", "y", "z")}


def test_parts_of_one_file_are_clips_in_the_order_of_time(tmp_path: Path) -> None:
    text = "path,label,start,end\na.mp4,x,10,12\na.mp4,x,9.5,10\na.mp4,y,,2\na.mp4,x,100,\n"
    names = [each.name for each in _list(_csv(tmp_path, text))]
    assert names == ["a.mp4#0-2", "a.mp4#9.5-10", "a.mp4#10-12", "a.mp4#100-"]


@pytest.mark.parametrize(
    ("text", "plain"), [("1.50", "1.5"), ("0010", "10"), ("1e2", "100"), (".5", "0.5"), ("0.000", "0")]
)
def test_times_are_plain_decimal_numbers(text: str, plain: str) -> None:
    assert read_rows(f"path,start\na,{text}\n".encode(), "x.csv") == [Row(2, "a", start=plain)]


def test_equal_times_name_one_clip(tmp_path: Path) -> None:
    text = "path,start,end,caption\na.mp4,0.50,1,one\na.mp4,.5,1.0,two\n"
    (found,) = _list(_csv(tmp_path, text))
    assert found.captions == ("one", "two")


def test_paths_are_relative_to_the_csv_or_to_the_root(tmp_path: Path) -> None:
    root = tmp_path / "media"
    source = _csv(tmp_path / "lists", "path,label\nsub/../b.mp4,x\n./sub/c.mp4,x\n")
    _csv(root, b"", "b.mp4", "sub/c.mp4")
    assert [each.path for each in _list(source, root)] == ["b.mp4", "sub/c.mp4"]
    (tmp_path / "lists" / "b.mp4").touch()
    with pytest.raises(RequestError, match=r"line 3: \./sub/c\.mp4: No such file or directory"):
        _list(_csv(tmp_path / "lists", "path,label\nb.mp4,x\n./sub/c.mp4,x\n"))
    absolute = _csv(tmp_path / "lists", f"path,label\n{root}/sub/c.mp4,x\n")
    assert [each.path for each in _list(absolute, root)] == ["sub/c.mp4"]


def test_paths_out_of_the_root_need_a_flag(tmp_path: Path) -> None:
    (tmp_path / "S2").mkdir()
    (tmp_path / "S2" / "c.mp4").write_bytes(b"x")
    (tmp_path / "S").mkdir()
    (tmp_path / "S" / "link.mp4").symlink_to(tmp_path / "S2" / "c.mp4")
    for path in ("../S2/c.mp4", str(tmp_path / "S2" / "c.mp4"), "link.mp4"):
        source = _csv(tmp_path / "S", f"path,label\n{path},x\n")
        with pytest.raises(RequestError, match=r"line 2: .*: lies outside of .*, or add --allow_outside"):
            _list(source)
        assert len(_list(source, allow_outside=True)) == 1


def test_links_in_a_folder_of_images_do_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    folder = tmp_path / "S" / "frames"
    folder.mkdir(parents=True)
    (folder / "1.png").symlink_to(tmp_path / "secret.png")
    source = tmp_path / "S" / "clips.csv"
    source.write_text("path,label\nframes,a\n")
    with pytest.raises(RequestError, match=r"line 2: frames: its image 1.png lies outside of"):
        _list(source)
    assert len(_list(source, allow_outside=True)) == 1


def test_a_folder_of_images_and_a_still(tmp_path: Path) -> None:
    names = ("walk/1.png", "walk/2.png", "walk/._1.png", "walk/notes.txt", "still.jpg", "empty/x.txt")
    source = _csv(tmp_path, "path,label\nwalk,x\nwalk/,y\n", *names)
    with pytest.raises(RequestError, match=r"walk has two labels, x and y"):
        _list(source)
    found = _list(_csv(tmp_path, "path,label\nwalk/,x\nstill.jpg,x\n", *names))
    assert [(each.path, each.size) for each in found] == [("still.jpg", 3), ("walk", 6)]
    with pytest.raises(RequestError, match=r"line 2: empty: is a folder without images"):
        _list(_csv(tmp_path, "path,label\nempty,x\n", *names))


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("caf\udce9.png", r"its image caf\\udce9\.png has characters that are no text; rename it"),
        ("pipe.png", r"its image pipe\.png is no regular file; remove it"),
    ],
)
def test_an_image_of_a_folder_that_cannot_be_one(tmp_path: Path, name: str, named: str) -> None:
    source = _csv(tmp_path, "path,label\nwalk,x\n", "walk/1.png")
    (os.mkfifo if name == "pipe.png" else os.mknod)(tmp_path / "walk" / name)
    with pytest.raises(RequestError, match=rf"line 2: walk: {named}"):
        _list(source)


def test_thousands_of_rows_on_an_object_store(store: Store) -> None:
    names = [f"a [b]/{number}.mp4" for number in range(2000)]
    for name in [*names, "run/1.png", "run/2.png"]:
        store.put(f"store://b/S/{name}", b"x")
    rows = "".join(f"{name},x\n" for name in [*names, "run", "store://b/S/a [b]/0.mp4"])
    store.put("store://b/S/clips.csv", f"path,label\n{rows}".encode())
    found = _list("store://b/S/clips.csv")
    assert len(found) == 2001
    assert found[-1] == Source("run", 2, "x")
    store.put("store://b/S/clips.csv", b"path,label\nA [b]/0.mp4,x\n")
    with pytest.raises(RequestError, match=r"line 2: A \[b\]/0\.mp4: no such file below store://b/S"):
        _list("store://b/S/clips.csv")


WRONG = [
    ("", "its header names no path"),
    ("path,label\n", "has no rows"),
    ("label\nx\n", "its header names no path"),
    ("path,path\na.mp4,b.mp4\n", "its header names no path, or one twice"),
    ("path,lable\na.mp4,x\n", "column 'lable' is unknown; the columns are path, label, start"),
    ("path;label\na.mp4;x\n", "column 'path;label' is unknown"),
    ("path,label\na.mp4\n", "line 2: 1 cells, the header has 2"),
    ("path,label\na.mp4,x,\n", "line 2: 3 cells, the header has 2"),
    ("path,label\n,x\n", "line 2: has no path"),
    ('path,label\n"a.mp4"b,x\n', "line 2: "),
    ('path,label\na.mp4,"x\n', "line 2: unexpected end of data"),
    (b"path,label\na.mp4,\xe9\n", "line 2: is not in UTF-8; save it in UTF-8"),
    ("path,label,split\na.mp4,x,dev\n", "line 2: split dev; give train, validation or test"),
    ("path,label,start\na.mp4,x,1:30\n", "line 2: start 1:30; give seconds, as in 12.5"),
    ("path,label,start\na.mp4,x,-1\n", "line 2: start -1"),
    ("path,label,end\na.mp4,x,nan\n", "line 2: end nan"),
    ("path,label,end\na.mp4,x,1e9\n", "line 2: end 1e9"),
    ("path,label,end\na.mp4,x,0\n", "line 2: end 0 is not after start 0"),
    ("path,label,start,end\na.mp4,x,2,1.5\n", "line 2: end 1.5 is not after start 2"),
    ("path,label\nc.mp4,x\n", "line 2: c.mp4: No such file or directory"),
    ("path,label\na.mp4,x\na.mp4,y\n", "line 3: a.mp4 has two labels, x and y"),
    ("path,label,split\na.mp4,x,train\na.mp4,x,test\n", "line 3: a.mp4 has two splits, train and test"),
    ("path,label,group\na.mp4,x,1\na.mp4,x,2\n", "line 3: a.mp4 has two groups, 1 and 2"),
    ("path,label\na.mp4,x\nb.mp4,\n", "b.mp4 has no label, others have one; give all or none"),
    ("path,label,split\na.mp4,x,\nb.mp4,x,train\n", "a.mp4 has no split, others have one"),
    ("path,label,group\na.mp4,x,1\nb.mp4,x,\n", "b.mp4 has no group, others have one"),
    (
        "path,label,group,split\na.mp4,x,1,train\nb.mp4,x,1,test\n",
        "group 1 is in split train and, with b.mp4, in test; a group stays in one",
    ),
    ("path,caption\na.mp4,one\nb.mp4,\n", "b.mp4 has no caption, others have one; give all or none"),
    ("path,label,caption\na.mp4,x,\nb.mp4,x,one\n", "a.mp4 has no caption, others have one"),
    ("path,caption\na.mp4,one\nb.mp4,?! \n", "line 3: caption '?!' has no word; write words or leave"),
    ('path,label,caption\na.mp4,x,"\n😀\n…"\n', "line 4: caption '😀\\n…' has no word"),
    ("path\na.mp4\n", "gives the clips neither a label nor a caption; add a column"),
    ('path,label\na.mp4,"x\ny"\n', "line 3: label 'x\\ny' has characters that are no text"),
    ("path,label,group\na.mp4,x,\x1b[0m\n", "line 2: group '\\x1b[0m' has characters that are no text"),
    ('path,label\n"a\n.mp4",x\n', "line 3: path 'a\\n.mp4' has characters that are no text"),
    ("path,label\na\0.mp4,x\n", "line 2: "),
]


@pytest.mark.parametrize(("text", "named"), WRONG)
def test_a_wrong_csv_is_refused_by_line(tmp_path: Path, text: str | bytes, named: str) -> None:
    source = _csv(tmp_path, text)
    with pytest.raises(RequestError) as caught:
        _list(source)
    assert str(caught.value).startswith(f"--source {source}: ")
    assert named in str(caught.value)
    assert str(caught.value).isprintable()
