"""What is found in a folder of clips: classes, splits, stills, folders of images, links, odd names."""

import os
from pathlib import Path

import pytest

from pipeline.clips.sources import Listing, Source, list_sources
from pipeline.command_line.errors import RequestError
from tests.object_store.store import Store


def _make(root: Path, *names: str) -> Path:
    """Files of one byte; nothing is decoded here."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def _list(source: Path | str, **changes: str | bool | None) -> Listing:
    options = {"root": None, "group": None, "allow_outside": False, **changes}
    return list_sources(str(source), **options)  # type: ignore[arg-type]


def _labels(listing: Listing) -> dict[str, str | None]:
    return {each.path: each.label for each in listing.sources}


def test_a_folder_is_a_class_and_clips_may_lie_deeper(tmp_path: Path) -> None:
    listing = _list(_make(tmp_path, "cat/b.mp4", "cat/a.mp4", "cat/2024/may/c.webm", "dog/a.avi"))
    assert _labels(listing) == {
        "cat/2024/may/c.webm": "cat",
        "cat/a.mp4": "cat",
        "cat/b.mp4": "cat",
        "dog/a.avi": "dog",
    }
    assert list(_labels(listing)) == sorted(_labels(listing))
    assert {each.split for each in listing.sources} == {None}
    assert {each.size for each in listing.sources} == {1}


@pytest.mark.parametrize("validation", ["validation", "val", "valid"])
def test_folders_of_splits_are_above_those_of_classes(tmp_path: Path, validation: str) -> None:
    splits = {"train": "train", validation: "validation", "test": "test"}
    _make(tmp_path, *(f"{split}/{label}/x/1.mp4" for split in splits for label in ("cat", "dog")))
    for each in _list(tmp_path).sources:
        split, label = each.path.split("/")[:2]
        assert (each.split, each.label) == (splits[split], label)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    listing = _list(_make(tmp_path, "train/1.mp4", "bus/1.mp4"))
    assert _labels(listing) == {"train/1.mp4": "train", "bus/1.mp4": "bus"}


@pytest.mark.parametrize("names", [("Train", "Val", "Test"), ("train", "Test"), ("TRAIN",)])
def test_splits_in_capitals_are_no_classes_without_a_word(tmp_path: Path, names: tuple[str, ...]) -> None:
    _make(tmp_path, *(f"{name}/{label}/1.mp4" for name in names for label in ("cat", "dog")))
    with pytest.raises(RequestError, match=f"folders {', '.join(sorted(names))} would be classes; rename"):
        _list(tmp_path)


def test_stills_are_clips_and_a_deep_folder_of_images_is_one_clip(tmp_path: Path) -> None:
    _make(
        tmp_path,
        *("cat/1.jpg", "cat/2.PNG"),  # In the class's own folder: stills.
        *("cat/walk/img2.png", "cat/walk/img10.png", "cat/walk/notes.txt"),
        *("cat/mixed/1.png", "cat/mixed/2.mp4"),
        *("cat/above/1.png", "cat/above/below/1.png"),
    )
    listing = _list(tmp_path)
    assert [(each.path, each.size) for each in listing.sources] == [
        ("cat/1.jpg", 1),
        ("cat/2.PNG", 1),
        ("cat/above/1.png", 1),
        ("cat/above/below", 1),
        ("cat/mixed/1.png", 1),
        ("cat/mixed/2.mp4", 1),
        ("cat/walk", 2),
    ]
    assert listing.ignored == {"cat/walk/notes.txt": "no video or image by its suffix"}


def test_hidden_and_other_files_are_listed_as_ignored(tmp_path: Path) -> None:
    _make(
        tmp_path,
        *("cat/1.mp4", "README.md", "cat/Thumbs.db", "cat/noext", "cat/1.mp4.part", "cat/.mp4"),
        *(".git/config", "cat/._1.mp4", ".DS_Store", "__MACOSX/cat/1.mp4"),
    )
    os.mkfifo(tmp_path / "cat" / "2.mp4")
    listing = _list(tmp_path)
    assert list(_labels(listing)) == ["cat/1.mp4"]
    assert listing.ignored == {
        **dict.fromkeys(
            ("README.md", "cat/Thumbs.db", "cat/noext", "cat/1.mp4.part"), "no video or image by its suffix"
        ),
        **dict.fromkeys((".git", "cat/.mp4", "cat/._1.mp4", ".DS_Store", "__MACOSX"), "hidden"),
        "cat/2.mp4": "no regular file",
    }


NAMES = [
    *("A b/c d.MP4", "[1]/{2}.Mov", "a*?/x'\"y.mp4", "50% off/#1, 2&3=4.mp4", "a\\b/c;d|e.mp4"),
    *("кошка/видео.mp4", "猫/動画 1.webm", "قط/فيديو.mp4", "बिल्ली/१.mp4", "γάτα/😀👨‍👩‍👧.mp4"),
    # As macOS names recordings of its screen, with U+202F; and a space as wide as an ideograph.
    *("screen/Recording at 10.11.12\u202fAM.mov", "猫/動画\u30002.mp4", "no\u00a0break/می\u200cشود.mp4"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_all_alphabets_and_signs(tmp_path: Path, name: str) -> None:
    listing = _list(_make(tmp_path / "S [x] *", name))
    assert [(each.path, each.label) for each in listing.sources] == [(name, name.split("/")[0])]
    assert Source.from_json(listing.sources[0].to_json()) == listing.sources[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_names_on_an_object_store(store: Store, name: str) -> None:
    store.put(f"store://b/S [x]/{name}", b"x")
    listing = _list("store://b/S [x]/")
    assert _labels(listing) == {name: name.split("/")[0]}


@pytest.mark.parametrize(
    "name", [b"cat/\xff.mp4", b"a\nb/1.mp4", b"cat/\x1b[31m.mp4", "cat/\u2028.mp4".encode()]
)
def test_names_that_are_no_text_are_refused(tmp_path: Path, name: bytes) -> None:
    _make(tmp_path, os.fsdecode(name))
    with pytest.raises(RequestError, match=r"characters that are no text; rename it") as caught:
        _list(tmp_path)
    assert str(caught.value).isascii()


def test_an_ignored_file_may_have_any_name(tmp_path: Path) -> None:
    _make(tmp_path, "cat/1.mp4", os.fsdecode(b"cat/\xff.txt"), os.fsdecode(b".\xfe"), "cat/a\nb")
    ignored = _list(tmp_path).ignored
    assert len(ignored) == 3
    "".join(ignored).encode()  # As the index stores it.


def test_links_are_followed_within_the_root(tmp_path: Path) -> None:
    root = _make(tmp_path / "S", "cat/1.mp4", "dog/1.mp4")
    (root / "dog" / "2.mp4").symlink_to("../cat/1.mp4")
    (root / "dog" / "more").symlink_to(root / "cat")
    (root / "dog" / "gone.mp4").symlink_to("nothing.mp4")
    listing = _list(root)
    assert set(_labels(listing)) == {
        "cat/1.mp4",
        *(f"dog/{each}" for each in ("1.mp4", "2.mp4", "more/1.mp4", "gone.mp4")),
    }
    assert {each.path: each.size for each in listing.sources}["dog/gone.mp4"] == 0  # Bad, when it is read.


def test_the_source_itself_may_be_a_link(tmp_path: Path) -> None:
    _make(tmp_path / "S", "cat/1.mp4")
    (tmp_path / "link").symlink_to("S")
    assert _labels(_list(tmp_path / "link")) == {"cat/1.mp4": "cat"}


@pytest.mark.parametrize("target", [".", "..", "../..", "../dog"])
def test_loops_of_links_are_refused(tmp_path: Path, target: str) -> None:
    root = _make(tmp_path / "S", "cat/1.mp4", "dog/1.mp4")
    (root / "dog" / "back").symlink_to("../cat")
    (root / "cat" / "loop").symlink_to(target)
    with pytest.raises(RequestError, match=r"leads (back to|out of it)"):
        _list(root)
    if target != "../..":
        with pytest.raises(RequestError, match=r"the link \S+ leads back to .*; remove it"):
            _list(root, allow_outside=True)


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    root = _make(tmp_path / "S", "cat/1.mp4")
    (root / "cat" / "2.mp4").symlink_to("2.mp4")
    with pytest.raises(RequestError, match=r"cat/2\.mp4: Too many levels of symbolic links"):
        _list(root)


@pytest.mark.parametrize("is_folder", [False, True])
def test_links_out_of_the_root_need_a_flag(tmp_path: Path, is_folder: bool) -> None:
    root = _make(tmp_path / "S", "cat/1.mp4")
    _make(tmp_path / "S2", "2.mp4")  # Its path begins as the root's does.
    name = "more" if is_folder else "2.mp4"
    (root / "cat" / name).symlink_to(tmp_path / "S2" / ("" if is_folder else "2.mp4"))
    with pytest.raises(RequestError, match=rf"the link cat/{name} leads out of it, to .*--allow_outside"):
        _list(root)
    assert len(_list(root, allow_outside=True).sources) == 2


def test_thousands_of_classes(tmp_path: Path) -> None:
    names = {f"class {number:04d}/clip.mp4": f"class {number:04d}" for number in range(3000)}
    assert _labels(_list(_make(tmp_path, *names))) == names


def test_an_object_store_is_listed_at_once(store: Store) -> None:
    names = ["cat/1.mp4", "cat/run/2.png", "cat/run/1.png", "cat/.2.mp4", "notes.txt", "cat/"]
    for name in names:
        store.put(f"store://b/S/{name}", b"x")
    store.put("store://b/S2/dog/1.mp4", b"x")
    listing = _list("store://b/S")
    assert [(each.path, each.size) for each in listing.sources] == [("cat/1.mp4", 1), ("cat/run", 2)]
    assert listing.ignored["cat/.2.mp4"] == "hidden"
    assert listing.ignored["notes.txt"] == "no video or image by its suffix"


def test_a_group_is_what_the_expression_finds(tmp_path: Path) -> None:
    _make(tmp_path, "cat/anna_1.mp4", "cat/anna_2.mp4", "dog/ben_1.mp4")
    for expression in (r"(\w+)_\d", r"[a-z]+(?=_)"):
        groups = [each.group for each in _list(tmp_path, group=expression).sources]
        assert groups == ["anna", "anna", "ben"]
    with pytest.raises(RequestError, match=r"--group anna: is not found in dog/ben_1\.mp4"):
        _list(tmp_path, group="anna")


def test_the_digest_is_of_all_that_was_found_but_not_of_the_place(tmp_path: Path) -> None:
    one, two = (_list(_make(tmp_path / name, "cat/1.mp4", "cat/2.mp4")) for name in "ab")
    assert one.digest == two.digest
    assert one.digest.startswith("2 clips, sha256:")
    _make(tmp_path / "b", "cat/3.mp4")
    assert _list(tmp_path / "b").digest.startswith("3 clips")
    (tmp_path / "a" / "cat" / "1.mp4").write_bytes(b"longer")
    assert _list(tmp_path / "a").digest != one.digest
