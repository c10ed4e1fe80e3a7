"""Small data sets of clips, made, read by others, verified and repaired."""

import hashlib
import json
import os
import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.clips.definition import Clips
from pipeline.command_line.errors import RequestError, WorkError
from pipeline.command_line.program import run
from pipeline.dataset.reader import Dataset
from pipeline.generate import dry_run_report, generate, summary
from pipeline.generation.output_directory import choose_target, claim
from pipeline.verification.dataset_check import DatasetCheck, verify
from pipeline.verify import main as verify_main
from tests.object_store.store import Store
from tests.pipeline.clips.clip_folders import (
    HEIGHT,
    SPLITS,
    WIDTH,
    class_folders,
    clip,
    data_files,
    frames,
    snapshot,
    still,
    with_free_box,
    write,
)

CLASSES = ("cat", "dog")


def _make(source: Path | str, directory: Path | str, **settings: Any) -> dict[str, Any]:
    """Make a data set in this process; what its manifest says of the sources."""
    generate(_clips(source, **settings), str(directory), direct_num_workers=1)
    return dict(Dataset.open(str(directory)).manifest.sources)


def _clips(source: Path | str, **settings: Any) -> Clips:
    return Clips(**{"source": str(source), "frame_size": "32x24", "fps": 8.0, **settings})


def _examples(directory: Path | str, splits: Sequence[str] = SPLITS) -> Iterator[tuple[str, dict[str, Any]]]:
    """Split and example of every record."""
    dataset = Dataset.open(str(directory))
    for split in splits:
        if split in dataset.manifest.splits:
            for payload in dataset.read(split, 0, dataset.manifest.splits[split].num_sequences):
                yield split, dataset.manifest.definition.decode(payload)


def _by_clip(directory: Path | str) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    found = defaultdict(list)
    for split, example in _examples(directory):
        found[example["clip"]].append((split, example))
    return found


def _pixels(directory: Path | str, example: dict[str, Any]) -> np.ndarray[Any, Any]:
    return Dataset.open(str(directory)).manifest.definition.frames(example)


def _reasons(check: DatasetCheck) -> list[str]:
    return [*map(str, check.problems), *check.findings]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of five clips each; nothing changes them."""
    return write(tmp_path_factory.mktemp("clips") / "S", class_folders(CLASSES, 5))


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set of `source`, which no test changes."""
    directory = tmp_path_factory.mktemp("clips") / "D"
    _make(source, directory, sequences_per_shard=2)
    return directory


@pytest.fixture
def copy(source: Path, made: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of both, to change."""
    return Path(shutil.copytree(source, tmp_path / "S")), Path(shutil.copytree(made, tmp_path / "D"))


def test_every_clip_is_in_one_split_with_its_class_and_frames(source: Path, made: Path) -> None:
    manifest = Dataset.open(str(made)).manifest
    found = _by_clip(made)
    assert found.keys() == {f"{label}/{number}.mp4" for label in CLASSES for number in range(5)}
    places = {split: Counter[str]() for split in SPLITS}
    for name, ((split, example),) in found.items():
        places[split][CLASSES[example["label"]]] += 1
        assert name.startswith(CLASSES[example["label"]])
        assert example["group"] == hashlib.sha256((source / name).read_bytes()).hexdigest()
        assert example["timestamp"].tolist() == [0, 125_000, 250_000, 375_000]
        assert _pixels(made, example).shape == (4, 24, 32, 3)
    assert places == {
        "train": dict.fromkeys(CLASSES, 3),
        "validation": dict.fromkeys(CLASSES, 1),
        "test": dict.fromkeys(CLASSES, 1),
    }
    assert manifest.sources == {
        **{"clips": 10, "used": 10, "seconds": 5.0, "bad": {}, "trimmed": {}, "ignored": {}},
        **{"same": [], "num_same": 0, "num_same_across": 0},
        "facts": manifest.sources["facts"],
    }
    assert manifest.splits["train"].statistics["frames"] == {"cat": 12, "dog": 12}
    assert {path.name for path in made.iterdir()} == manifest.file_names() | {
        *("manifest.json", "dataset_info.json", "features.json", "label.labels.txt"),
    }


def test_frames_are_those_shown_at_the_chosen_times(made: Path) -> None:
    for seed, name in ((0, "cat/0.mp4"), (7, "dog/2.mp4")):
        ((_, example),) = _by_clip(made)[name]
        shown = frames(seed, 12).astype(float).reshape(12, 24, 2, 32, 2, 3).mean(axis=(2, 4))
        differences = np.abs(_pixels(made, example)[:, None] - shown).mean(axis=(2, 3, 4))
        assert differences.argmin(axis=1).tolist() == [0, 3, 6, 9]


def test_tfds_opens_it_and_its_images_are_those_of_the_preview(made: Path) -> None:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(made))
    assert builder.info.features["label"].names == list(CLASSES)
    for split in SPLITS:
        read = list(
            tfds.as_numpy(
                builder.as_dataset(split=split, read_config=tfds.ReadConfig(interleave_cycle_length=1))
            )
        )
        ours = [example for _, example in _examples(made, [split])]
        assert len(read) == len(ours)
        for theirs, example in zip(read, ours, strict=True):
            assert theirs["clip"].decode() == example["clip"]
            assert theirs["label"] == example["label"]
            np.testing.assert_array_equal(theirs["timestamp"], example["timestamp"])
            difference = np.abs(theirs["video"].astype(int) - _pixels(made, example))
            assert difference.max() <= 16, "decoders of JPEG round differently"
    video, label = next(iter(builder.as_dataset(split="test", as_supervised=True)))
    assert video.shape[1:] == (24, 32, 3)
    assert label.shape == ()


def test_png_images_are_the_same_everywhere_and_gray_is_one_channel(source: Path, tmp_path: Path) -> None:
    import tensorflow_datasets as tfds

    _make(source, tmp_path / "D", image_encoding="png", channels=1, fit="pad", frame_size="40")
    builder = tfds.builder_from_directory(str(tmp_path / "D"))
    (read, *_) = tfds.as_numpy(builder.as_dataset(split="test"))
    (example,) = [
        each for _, each in _examples(tmp_path / "D", ["test"]) if each["clip"] == read["clip"].decode()
    ]
    pixels = _pixels(tmp_path / "D", example)
    np.testing.assert_array_equal(read["video"], pixels)
    assert pixels.shape == (4, 40, 40, 1)
    assert not pixels[:, [0, 4, 35, 39]].any(), "bars above and below"
    assert pixels[:, 5:35].mean() > 50


def test_sequence_examples_are_parsed_by_their_usual_keys(tmp_path: Path) -> None:
    import tensorflow as tf

    write(tmp_path, {f"#1 [a]/{number}.mp4": clip(number) for number in range(3)})
    rows = [
        f"#1 [a]/{number}.mp4,run,{start},{end},it runs\n"
        for number in range(3)
        for start, end in ((0, 0.25), (0.25, 0.5))
    ]
    (tmp_path / "c.csv").write_text("path,label,start,end,caption\n" + "".join(rows))
    directory = tmp_path / "out" / "D"
    _make(tmp_path / "c.csv", directory, records="sequence_example", allow_missing_classes=True)
    assert not (directory / "features.json").exists()
    fixed = tf.io.FixedLenFeature
    context_features = {
        "clip/data_path": fixed([], tf.string),
        "clip/media_id": fixed([], tf.string),
        "clip/label/index": fixed([], tf.int64),
        "clip/label/text": fixed([], tf.string),
        "clip/label/string": fixed([], tf.string),
        "clip/start/timestamp": fixed([], tf.int64),
        "clip/end/timestamp": fixed([], tf.int64),
        "image/format": fixed([], tf.string),
        "image/height": fixed([], tf.int64),
        "image/width": fixed([], tf.int64),
        "image/channels": fixed([], tf.int64),
        "image/frame_rate": fixed([], tf.float32),
        "caption/string": tf.io.VarLenFeature(tf.string),
        "text/context/content": tf.io.VarLenFeature(tf.string),
    }
    sequence_features = {
        "image/encoded": tf.io.FixedLenSequenceFeature([], tf.string),
        "image/timestamp": tf.io.FixedLenSequenceFeature([], tf.int64),
    }
    names = []
    for payload in tf.data.TFRecordDataset(sorted(map(str, directory.glob("*tfrecord*")))):
        context, lists = tf.io.parse_single_sequence_example(payload, context_features, sequence_features)
        names.append(context["clip/media_id"].numpy().decode())
        path, _, part = names[-1].rpartition("#")
        start, end = (round(float(each) * 10**6) for each in part.split("-"))
        assert context["clip/data_path"].numpy().decode() == path
        assert (context["clip/label/index"].numpy(), context["clip/label/text"].numpy()) == (0, b"run")
        assert (context["clip/start/timestamp"].numpy(), context["clip/end/timestamp"].numpy()) == (
            start,
            end,
        )
        assert tf.sparse.to_dense(context["caption/string"]).numpy().tolist() == [b"it runs"]
        assert context["image/format"].numpy() == b"JPEG"
        assert context["image/frame_rate"].numpy() == 8
        size = (
            context["image/height"].numpy(),
            context["image/width"].numpy(),
            context["image/channels"].numpy(),
        )
        assert size == (24, 32, 3)
        assert lists["image/timestamp"].numpy().tolist() == [start, start + 125_000]
        for image in lists["image/encoded"].numpy():
            assert tf.io.decode_jpeg(image).shape == size
    assert sorted(names) == sorted(
        row.rsplit(",", 4)[0] + "#" + "-".join(row.split(",")[2:4]) for row in rows
    )
    assert verify(str(directory)).passed


def test_given_splits_groups_captions_and_parts(tmp_path: Path) -> None:
    write(tmp_path, {f"{number}.mp4": clip(number) for number in range(4)})
    rows = ["path,start,end,split,group,caption"]
    rows += [
        f"{number}.mp4,0,0.25,{split},g{number},a {number}"
        for number, split in enumerate(["train", "train", "val", "test"])
    ]
    rows += ["0.mp4,0,0.25,train,g0,and b", "0.mp4,0.25,,train,g0,end"]
    (tmp_path / "c.csv").write_text("\n".join(rows))
    _make(tmp_path / "c.csv", tmp_path / "D")
    found = _by_clip(tmp_path / "D")
    assert {name: [split for split, _ in parts] for name, parts in found.items()} == {
        "0.mp4#0-0.25": ["train"],
        "0.mp4#0.25-": ["train"],
        "1.mp4#0-0.25": ["train"],
        "2.mp4#0-0.25": ["validation"],
        "3.mp4#0-0.25": ["test"],
    }
    ((_, first),), ((_, second),) = found["0.mp4#0-0.25"], found["0.mp4#0.25-"]
    assert first["caption"] == ["a 0", "and b"]
    assert "label" not in first
    assert (first["timestamp"].tolist(), second["timestamp"].tolist()) == ([0, 125_000], [250_000, 375_000])
    assert (first["group"], second["caption"]) == ("g0", ["end"])
    assert verify(str(tmp_path / "D")).passed


@pytest.mark.parametrize("records", ["tfds", "sequence_example"])
def test_stills_with_captions_are_clips_of_one_frame(tmp_path: Path, records: str) -> None:
    names = [
        f"{number}{suffix}" for number, suffix in enumerate((".png", ".jpg", ".PNG", ".jpeg", ".png", ".gif"))
    ]
    write(tmp_path / "S", {name: still(number, Path(name).suffix) for number, name in enumerate(names)})
    rows = [f'{name},"A still, number {number}."\n' for number, name in enumerate(names)]
    table = tmp_path / "S" / "c.csv"
    table.write_text("".join(["path,caption\n", *rows, "0.png,Another “one”\n"]))
    _make(table, tmp_path / "D", records=records, splits="60,20,20")
    captions = {name: [f"a still number {number}"] for number, name in enumerate(names)}
    captions["0.png"].append("another one")
    found = _by_clip(tmp_path / "D")
    assert {name: parts[0][1]["caption"] for name, parts in found.items()} == captions
    for ((_, example),) in found.values():
        assert _pixels(tmp_path / "D", example).shape == (1, 24, 32, 3)
    assert {split for ((split, _),) in found.values()} == set(SPLITS)
    index = [json.loads(line) for line in (tmp_path / "D" / "sources.jsonl").read_text().splitlines()[1:]]
    assert {each["source"]["path"]: each["source"]["captions"] for each in index} == captions
    assert verify(str(tmp_path / "D"), against_sources=True).passed

    # Another spelling of the same words is the same request; other words are not.
    table.write_text(table.read_text().replace("A still,", "a  STILL"))
    assert not generate(
        _clips(table, records=records, splits="60,20,20"), str(tmp_path / "D"), direct_num_workers=1
    )[1]
    table.write_text(table.read_text().replace("number 3", "3"))
    with pytest.raises(RequestError, match=r"3\.jpeg has another label, split, group or caption"):
        _make(table, tmp_path / "D", records=records, splits="60,20,20")


def test_segments_of_a_long_clip_are_its_frames_in_order(tmp_path: Path) -> None:
    write(tmp_path / "S", {f"a/{number}.mp4": clip(number, 24) for number in range(3)})
    _make(tmp_path / "S", tmp_path / "D", max_frames=3, sequences_per_shard=2)
    for parts in _by_clip(tmp_path / "D").values():
        assert len({split for split, _ in parts}) == 1
        assert [len(example["video"]) for _, example in parts] == [3, 3, 2]
        assert [int(example["segment"]) for _, example in parts] == [0, 1, 2]
        stamps = np.concatenate([example["timestamp"] for _, example in parts])
        assert stamps.tolist() == [125_000 * number for number in range(8)]
    assert Dataset.open(str(tmp_path / "D")).manifest.splits["train"].statistics["clips"] == {"a": 1}


def test_groups_of_an_expression_never_part(tmp_path: Path) -> None:
    names = {
        f"{label}/p{person}_{take}.mp4": clip(10 * person + take)
        for label in CLASSES
        for person in range(4)
        for take in range(2)
    }
    write(tmp_path / "S", names)
    _make(tmp_path / "S", tmp_path / "D", group=r"p(\d)_")
    splits = defaultdict(set)
    for split, example in _examples(tmp_path / "D"):
        assert example["clip"].split("/p")[1][0] == example["group"]
        splits[example["group"]].add(split)
    assert all(len(each) == 1 for each in splits.values())
    assert set().union(*splits.values()) == set(SPLITS)


def test_files_of_equal_content_never_part(tmp_path: Path) -> None:
    write(tmp_path / "S", {f"a/{number}.mp4": clip(number // 3) for number in range(18)})
    sources = _make(tmp_path / "S", tmp_path / "D")
    assert (sources["num_same"], sources["num_same_across"]) == (12, 0)
    assert len({(split, example["group"]) for split, example in _examples(tmp_path / "D")}) == 6
    assert verify(str(tmp_path / "D")).passed


def test_stills_and_folders_of_images(tmp_path: Path) -> None:
    write(
        tmp_path / "S",
        {
            f"a/{number}{suffix}": still(number, suffix)
            for number, suffix in enumerate((".png", ".JPG", ".webp"))
        },
    )
    images = {f"a/run/img{number}.png": still(100 + number) for number in (2, 10, 1)}
    write(tmp_path / "S", {**images, "a/run/._img1.png": b"of macOS", "a/run/notes.txt": b""})
    _make(tmp_path / "S", tmp_path / "D", image_encoding="png", frame_size="64x48")
    found = {name: parts[0][1] for name, parts in _by_clip(tmp_path / "D").items()}
    assert found.keys() == {"a/0.png", "a/1.JPG", "a/2.webp", "a/run"}
    assert [len(found[name]["video"]) for name in sorted(found)] == [1, 1, 1, 3]
    np.testing.assert_array_equal(_pixels(tmp_path / "D", found["a/0.png"]), frames(0, 1))
    expected = np.concatenate([frames(100 + number, 1) for number in (1, 2, 10)])
    np.testing.assert_array_equal(_pixels(tmp_path / "D", found["a/run"]), expected)
    assert verify(str(tmp_path / "D"), against_sources=True).passed
    (tmp_path / "S" / "a" / "run" / "img3.png").write_bytes(still(1))
    (finding,) = verify(str(tmp_path / "D"), against_sources=True).findings
    assert finding == f"{tmp_path}/S/a/run: has changed since it was indexed"


def _source_with_bad_clips(root: Path) -> Path:
    write(root, class_folders(["a"], 6))
    write(
        root,
        {"a/bad.mp4": b"no video", "a/empty.mp4": b"", "a/short.mp4": clip(50, 3), "a/cut.avi": _cut_avi()},
    )
    (root / "a" / "gone.mp4").symlink_to("nothing")
    return write(root, {"notes.txt": b"", ".hidden": b"", "a/Thumbs.db": b""})


def _cut_avi() -> bytes:
    """An AVI whose second half is noise."""
    import io

    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="avi") as container:
        video = container.add_stream("mjpeg", rate=24)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        for image in frames(60, 24):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(video.encode())
    content = stream.getvalue()
    half = len(content) // 2
    return content[:half] + random.Random(0).randbytes(len(content) - half)


BAD = {
    "a/bad.mp4": "cannot be opened (Invalid data found when processing input)",
    "a/empty.mp4": "cannot be opened (",
    "a/short.mp4": "is too short: 1 frames, fewer than 2",
    "a/gone.mp4": "cannot be read (No such file or directory)",
}


def test_bad_clips_stop_it_by_name_and_reason(tmp_path: Path) -> None:
    source = _source_with_bad_clips(tmp_path / "S")
    for on_bad_clip, is_told in (("fail", True), ("skip", False)):
        asked = _clips(source, min_frames=2, on_bad_clip=on_bad_clip)
        lines = "\n".join(dry_run_report(asked, str(tmp_path / "D"), 1))
        assert "bad          a/bad.mp4: cannot be opened" in lines
        assert ("generation will stop there" in lines) == is_told
    with pytest.raises(
        WorkError, match=r"^5 of 11 clips cannot be used: a/bad\.mp4: cannot be opened .*; and 2 more;"
    ):
        _make(source, tmp_path / "D", min_frames=2)
    with pytest.raises(
        WorkError, match=r"^5 of 11 clips cannot be used, more than --max_bad 40.000% allows: "
    ):
        _make(source, tmp_path / "D", min_frames=2, on_bad_clip="skip", max_bad="40%")
    kept = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "D" / ".generation" / "index").glob("*.entry")
    }
    assert len(kept) == 11
    sources = _make(source, tmp_path / "D", min_frames=2, on_bad_clip="skip", max_bad="50%")
    assert sources["used"] == 6


@pytest.mark.parametrize("on_bad_clip", ["skip", "trim"])
def test_bad_clips_are_left_out_and_named_in_the_manifest(tmp_path: Path, on_bad_clip: str) -> None:
    source = _source_with_bad_clips(tmp_path / "S")
    sources = _make(source, tmp_path / "D", min_frames=2, on_bad_clip=on_bad_clip, max_bad="50%")
    bad, trimmed = sources["bad"], sources["trimmed"]
    assert {name: bad[name].startswith(reason) for name, reason in BAD.items()} == dict.fromkeys(BAD, True)
    assert sources["ignored"] == {"hidden": 1, "no video or image by its suffix": 2}
    found = _by_clip(tmp_path / "D")
    if on_bad_clip == "skip":
        assert bad.keys() == {*BAD, "a/cut.avi"}
        assert not trimmed
        assert "a/cut.avi" not in found
    else:
        assert bad.keys() == BAD.keys()
        assert trimmed == {"a/cut.avi": trimmed["a/cut.avi"]}
        ((_, example),) = found["a/cut.avi"]
        assert 2 <= len(example["video"]) < 8
    assert sources["used"] == len(found) == 6 + (on_bad_clip == "trim")
    manifest = Dataset.open(str(tmp_path / "D")).manifest
    printed = summary(manifest, str(tmp_path / "D"), 1.0)
    assert "  classes    1: a; a single class leaves nothing to tell apart\n" in printed
    assert "  bad        a/bad.mp4: cannot be opened" in printed
    assert "  ignored    2 files: no video or image by its suffix" in printed
    assert verify(str(tmp_path / "D"), against_sources=True).passed


def test_what_could_not_be_read_is_read_by_the_next_run(tmp_path: Path) -> None:
    source = write(tmp_path / "S", class_folders(["a"], 3))
    (source / "a" / "late.mp4").symlink_to("nothing")
    with pytest.raises(WorkError, match=r"a/late\.mp4: cannot be read \(No such file"):
        _make(source, tmp_path / "D")
    (source / "a" / "nothing").touch()  # Of the size that a link to nothing has.
    with pytest.raises(WorkError, match=r"a/late\.mp4: cannot be opened"):
        _make(source, tmp_path / "D")


def test_a_clip_that_took_too_long_is_read_again_with_more_time(tmp_path: Path) -> None:
    from pipeline.clips.index import Entry
    from pipeline.clips.sources import Source

    source = write(tmp_path / "S", class_folders(["a"], 4))
    definition = _clips(source).listed(str(tmp_path / "D"))
    cache = definition._cache(str(tmp_path / "D"))
    listed = definition.listing().sources
    os.makedirs(cache.path)
    entry = Entry(listed[0], "sha", {}, "took longer than 600 s to decode")
    cache.write_entry(listed[0], entry)
    cache.write_batch([listed[0]], [entry])
    assert isinstance(listed[0], Source)
    assert _make(source, tmp_path / "D", clip_timeout=1200)["bad"] == {}


def _indexed(definition: Clips, directory: Path) -> bytes:
    """Read the sources and claim the directory, as `generate` does before it makes shards; the index."""
    listed = definition.listed(str(directory))
    directory.mkdir(exist_ok=True)
    prepared, index = listed.prepare(str(directory), _run_here)
    claim(choose_target(str(directory), listed, False), prepared, index)
    assert index is not None
    return index


def test_bad_clips_are_read_again_if_they_were_mended(tmp_path: Path) -> None:
    """A download that was completed has the size that it had, if the space for it was taken before."""
    source, directory = write(tmp_path / "S", class_folders(["a"], 5)), tmp_path / "D"
    short = clip(50, 3)
    write(
        source, {"a/late.mp4": bytes(len(clip(9))), "a/short.mp4": short + bytes(len(clip(8)) - len(short))}
    )
    settings = {"on_bad_clip": "skip", "max_bad": "50%", "min_frames": 2}
    before = _indexed(_clips(source, **settings), directory)
    shard = directory / "clips-train.tfrecord-00000-of-00009"
    shard.write_bytes(b"of the index before")
    entries = {path: path.stat().st_ino for path in directory.glob(".generation/index/*.entry")}
    assert len(entries) == 7
    assert _indexed(_clips(source, **settings), directory) == before
    assert {path: path.stat().st_ino for path in entries} == entries
    assert shard.exists()

    write(source, {"a/late.mp4": clip(9), "a/short.mp4": clip(8)})
    index = _indexed(_clips(source, **settings), directory)
    assert (index.count(b'"reason":""'), before.count(b'"reason":""')) == (7, 5)
    assert sum(path.stat().st_ino != inode for path, inode in entries.items()) == 2
    assert not shard.exists(), "its records may be others"


def test_a_dry_run_writes_nothing(source: Path, tmp_path: Path) -> None:
    before = snapshot(source, tmp_path)
    lines = "\n".join(dry_run_report(_clips(source), str(tmp_path / "new" / "D"), 2))
    assert "classes      2: cat, dog\n  clips        10, of which 10 were decoded for this estimate" in lines
    assert "records      about 10" in lines
    assert "time         about" in lines
    assert snapshot(source, tmp_path) == before


@pytest.mark.parametrize(
    "flags",
    [
        {"direct_num_workers": 2},
        pytest.param({"direct_num_workers": 4}, marks=pytest.mark.storm),
        {"direct_num_workers": 2, "direct_running_mode": "multi_threading"},
    ],
)
def test_workers_make_the_bytes_of_one(
    source: Path, made: Path, tmp_path: Path, flags: dict[str, Any]
) -> None:
    generate(_clips(source, sequences_per_shard=2), str(tmp_path / "D"), **flags)
    assert data_files(tmp_path / "D") == data_files(made)
    assert (
        Dataset.open(str(tmp_path / "D")).manifest.fingerprint == Dataset.open(str(made)).manifest.fingerprint
    )


def test_a_finished_request_is_left_alone_also_with_moved_sources(copy: tuple[Path, Path]) -> None:
    source, directory = copy
    before = snapshot(directory)
    for place in (source, source.with_name("moved")):
        if place != source:
            source.rename(place)
        _, changed = generate(_clips(place, sequences_per_shard=2), str(directory), direct_num_workers=1)
        assert not changed
        assert dry_run_report(_clips(place, sequences_per_shard=2), str(directory), 2)[0].startswith(
            "  it is already there"
        )
        assert snapshot(directory) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda source: write(source, {"dog/9.mp4": clip(99)}), "10 clips, .* dog/9.mp4 is new"),
        (lambda source: (source / "dog" / "0.mp4").unlink(), "not 9 clips, .* dog/0.mp4 is gone"),
        (lambda source: write(source, {"cat/1.mp4": b"x"}), r"cat/1\.mp4 had \d+ bytes, has 1"),
        (
            lambda source: (source / "cat" / "1.mp4").rename(source / "cat" / "b.mp4"),
            r"cat/1\.mp4 is gone, cat/b\.mp4 is new",
        ),
    ],
)
def test_changed_sources_are_named_by_the_next_run(copy: tuple[Path, Path], change: Any, named: str) -> None:
    source, directory = copy
    change(source)
    before = snapshot(source, directory)
    with pytest.raises(RequestError, match=named):
        generate(_clips(source, sequences_per_shard=2), str(directory), direct_num_workers=1)
    assert snapshot(source, directory) == before


def test_a_lost_shard_is_made_again_by_the_next_run(copy: tuple[Path, Path], made: Path) -> None:
    source, directory = copy
    (directory / "clips-train.tfrecord-00001-of-00003").unlink()
    moved = source.rename(source.with_name("moved"))
    _, changed = generate(_clips(moved, sequences_per_shard=2), str(directory), direct_num_workers=1)
    assert changed
    assert data_files(directory) == data_files(made)


def test_a_replacement_keeps_what_was_decoded_and_the_old_data_set(
    copy: tuple[Path, Path], made: Path
) -> None:
    source, directory = copy
    replacement = directory / ".replacement"
    generate(_clips(source, fps=1.0), str(tmp := directory.parent / "other"), direct_num_workers=1)
    shutil.copytree(tmp, replacement)  # Of a run with --overwrite that was given up, all but finished.
    write(source, {"cat/bad.mp4": b"no video"})
    definition = _clips(source, fps=4.0)
    with pytest.raises(WorkError, match=r"cat/bad\.mp4: cannot be opened"):
        generate(definition, str(directory), direct_num_workers=1, overwrite=True)
    index = replacement / ".generation" / "index"
    before = {path.name: path.stat().st_ino for path in index.glob("*.entry")}
    assert len(before) == 11
    listed = replace(definition, on_bad_clip="skip", max_bad="10%").listed(str(directory))
    target = choose_target(str(directory), listed, True)
    prepared, content = listed.prepare(target.directory, _run_here)
    claim(target, prepared, content)
    assert {path.name: path.stat().st_ino for path in index.glob("*.entry")} == before
    assert {path.name for path in replacement.iterdir()} == {".generation", "sources.jsonl"}
    assert {name: (directory / name).read_bytes() for name in data_files(made)} == data_files(made)


@pytest.mark.slow
def test_other_settings_replace_it_only_on_request(copy: tuple[Path, Path], made: Path) -> None:
    source, directory = copy
    with pytest.raises(
        RequestError, match=r"holds a data set made with other settings \(fps 8\.0, not 4\.0\)"
    ):
        _make(source, directory, fps=4.0, sequences_per_shard=2)
    generate(_clips(source, fps=4.0), str(directory), direct_num_workers=1, overwrite=True)
    assert verify(str(directory)).passed
    generate(_clips(source, sequences_per_shard=2), str(directory), direct_num_workers=1, overwrite=True)
    assert data_files(directory) == data_files(made)


def test_a_source_that_changed_stops_resuming_by_name(tmp_path: Path, source: Path) -> None:
    """Between index and generation a clip is replaced by one of the same size."""
    changed = Path(shutil.copytree(source, tmp_path / "S"))
    definition = _clips(changed).listed(str(tmp_path / "D"))
    target = choose_target(str(tmp_path / "D"), definition, False)
    (tmp_path / "D").mkdir()
    prepared, index = definition.prepare(target.directory, _run_here)
    claim(target, prepared, index)
    content = bytearray((changed / "dog" / "3.mp4").read_bytes())
    content[-1] ^= 1
    (changed / "dog" / "3.mp4").write_bytes(content)
    with pytest.raises(
        WorkError, match=r"S/dog/3\.mp4: has changed since it was indexed; restore it, or generate"
    ):
        _make(changed, tmp_path / "D")
    content[-1] ^= 1
    (changed / "dog" / "3.mp4").write_bytes(content)
    _make(changed, tmp_path / "D")
    assert verify(str(tmp_path / "D"), against_sources=True).passed


def _run_here(build: Any, *_: object) -> None:
    import apache_beam as beam
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        build(pipeline)


def test_verification_reads_every_byte(copy: tuple[Path, Path], made: Path) -> None:
    """Of flips anywhere in the shards, each is found and named by clip, and repaired from the source."""
    _, directory = copy
    assert verify(str(directory), against_sources=True).passed
    shards, generator = sorted(directory.glob("*tfrecord*")), random.Random(0)
    for _ in range(20):
        path = generator.choice(shards)
        content = bytearray(path.read_bytes())
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        path.write_bytes(content)
        check = verify(str(directory))
        assert not check.passed
        assert {problem.file for problem in check.problems} == {path.name}
        assert verify(str(directory), repair=True).repaired >= {path.name}
        assert data_files(directory) == data_files(made)


@pytest.mark.parametrize("damage", ["shard", "digests", "metadata", "all shards"])
def test_repair_gives_the_same_bytes(copy: tuple[Path, Path], made: Path, damage: str) -> None:
    _, directory = copy
    names = {
        "shard": ["clips-train.tfrecord-00001-of-00003"],
        "digests": ["clips-test.digests-00000-of-00001"],
        "metadata": ["features.json", "label.labels.txt"],
        "all shards": [path.name for path in directory.glob("clips-*")],
    }[damage]
    for name in names:
        (directory / name).unlink()
    assert not verify(str(directory)).passed
    assert verify(str(directory), repair=True).passed
    assert data_files(directory) == data_files(made)


def test_a_damaged_clip_is_named_with_its_frame(copy: tuple[Path, Path]) -> None:
    _, directory = copy
    ((_, example),) = _by_clip(directory)["cat/2.mp4"]
    image = example["video"][2]
    (path,) = [each for each in directory.glob("*tfrecord*") if image in each.read_bytes()]
    content = bytearray(path.read_bytes())
    content[content.index(image) + len(image) // 2] ^= 1
    path.write_bytes(content)
    (problem,) = verify(str(directory)).problems
    assert "(clip cat/2.mp4, frame 2)" in str(problem)


def test_repair_takes_only_the_source_that_was_indexed(copy: tuple[Path, Path], made: Path) -> None:
    source, directory = copy
    for path in directory.glob("*train.tfrecord*"):
        path.unlink()
    used = sorted({example["clip"] for _, example in _examples(made, ["train"])})
    clip_path = source / used[0]
    content = clip_path.read_bytes()
    clip_path.write_bytes(with_free_box(content))  # Its frames are the same, its bytes are not.
    with pytest.raises(WorkError, match=rf"S/{used[0]}: has changed since it was indexed; restore it"):
        verify(str(directory), repair=True, places={"source": str(source)})
    clip_path.unlink()
    with pytest.raises(WorkError, match=rf"S/{used[0]}: cannot be read \(No such file"):
        verify(str(directory), repair=True, places={"source": str(source)})
    clip_path.write_bytes(content)
    moved = source.rename(source.with_name("elsewhere"))
    assert verify(str(directory), repair=True, places={"source": str(moved)}).passed
    assert data_files(directory) == data_files(made)


def test_sources_are_compared_on_request(copy: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    source, directory = copy
    (source / "cat" / "0.mp4").write_bytes(clip(98))
    (source / "dog" / "4.mp4").unlink()
    moved = source.rename(source.with_name("moved"))
    assert verify_main([str(directory)]) == 0
    assert verify_main([str(directory), "--against_sources", f"--source={moved}"]) == 1
    printed = capsys.readouterr().out
    assert f"{moved}/cat/0.mp4: has changed since it was indexed" in printed
    assert f"{moved}/dog/4.mp4: cannot be read (No such file or directory)" in printed
    assert "2 findings in the sources and splits" in printed


def test_sources_that_are_not_there_are_one_wrong_request(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []
    argv = [str(made), "--against_sources", f"--source={tmp_path}/typo"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["verify", *argv])
        run("pipeline.verify", verify_main, codes.append)
    assert codes == [2]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"--against_sources: no such folder {tmp_path}/typo; say where the sources are" in printed.err
    assert printed.err.count("error") == 1


def test_a_source_that_changes_after_it_was_listed_stops_the_work(tmp_path: Path) -> None:
    source = write(tmp_path / "S", class_folders(["a"], 3))
    definition = _clips(source).listed(str(tmp_path / "D"))
    write(source, {"b/late.mp4": clip(9)})
    for work in (lambda: definition.prepare(str(tmp_path / "D"), _run_here), definition.estimate_sources):
        with pytest.raises(WorkError, match=r"/S: has changed since this program started; run it again"):
            work()
    assert not (tmp_path / "D").exists()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, ("/old/c.csv", "/old/media")),
        ({"root": "/new/media"}, ("/old/c.csv", "/new/media")),
        ({"source": "/new/c.csv", "root": "/new/media"}, ("/new/c.csv", "/new/media")),
        ({"source": "/new/c.csv"}, ("/new/c.csv", "")),
        ({"source": "/new"}, ("/new", "")),
    ],
)
def test_a_root_is_that_of_its_source(given: dict[str, str], found: tuple[str, str]) -> None:
    """What was given comes before what the manifest says."""
    known = {"source": "/old/c.csv", "root": "/old/media"}
    located = Clips().at("/D", {"source": "", "root": "", **given}).at("/D", known)
    assert (located.source, located.root, located.directory) == (*found, "/D")


def test_progress_counts_the_clips_of_this_request(tmp_path: Path) -> None:
    source, directory = write(tmp_path / "S", class_folders(["a"], 3)), tmp_path / "D"
    _clips(source, fps=2.0).listed(str(directory)).prepare(str(directory), _run_here)
    counts: list[int] = []

    def run_job(build: Any, count: Any, total: int, unit: str) -> None:
        counts.append(count())
        _run_here(build)
        counts.extend((count(), total))

    _clips(source).listed(str(directory)).prepare(str(directory), run_job)
    assert counts == [0, 3, 3]


def test_a_damaged_index_is_found(copy: tuple[Path, Path], made: Path) -> None:
    _, directory = copy
    index = directory / "sources.jsonl"
    content = index.read_bytes()
    for number in range(20):
        place = number * len(content) // 20
        index.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert _reasons(verify(str(directory))) == [
            f"{index}: is damaged: restore it, or generate the data set again"
        ]
    index.unlink()
    assert _reasons(verify(str(directory))) == [f"{index}: cannot be read (No such file or directory)"]
    index.write_bytes(content)
    assert verify(str(directory)).passed


def test_leaks_fail_verification_unless_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(
        tmp_path / "S",
        {
            f"{split}/a/{number}.mp4": clip(10 * place + number)
            for place, split in enumerate(SPLITS)
            for number in range(3)
        },
    )
    copies = {
        "test/a/copy.mp4": clip(2),
        "test/a/other_file.mp4": with_free_box(clip(1)),
        "train/a/again.mp4": clip(0),
        "validation/a/near.mp4": clip(0, codec="libx264"),
    }
    sources = _make(write(source, copies), tmp_path / "D")
    assert sources["same"] == [
        "train/a/1.mp4 (train) shows the same frames as test/a/other_file.mp4 (test)",
        "train/a/2.mp4 (train) shows the same frames as test/a/copy.mp4 (test)",
        "train/a/again.mp4 (train) shows the same frames as train/a/0.mp4 (train)",
        "validation/a/near.mp4 (validation) looks like train/a/0.mp4 (train)",
    ]
    assert (sources["num_same"], sources["num_same_across"]) == (4, 3)
    check = verify(str(tmp_path / "D"))
    across = [pair for pair in sources["same"] if "again" not in pair]
    assert check.findings == [f"{pair}; allow it with --allow_leaks" for pair in across]
    assert verify_main([str(tmp_path / "D")]) == 1
    assert verify_main([str(tmp_path / "D"), "--allow_leaks"]) == 0
    assert "leaks      " in capsys.readouterr().out


def test_hundreds_of_classes_are_one_label_each(tmp_path: Path) -> None:
    write(tmp_path / "S", {f"class {number:04d}/1.png": still(number) for number in range(200)})
    _make(tmp_path / "S", tmp_path / "D", allow_missing_classes=True, frame_size="8")
    labels = {example["clip"]: example["label"] for _, example in _examples(tmp_path / "D")}
    assert labels == {f"class {number:04d}/1.png": number for number in range(200)}
    printed = summary(Dataset.open(str(tmp_path / "D")).manifest, str(tmp_path / "D"), None)
    assert (
        "  classes    200: class 0000, class 0001, class 0002, class 0003, class 0004 and 195 more\n"
        in printed
    )
    names = (tmp_path / "D" / "label.labels.txt").read_text().splitlines()
    assert names == [f"class {number:04d}" for number in range(200)]


@pytest.mark.parametrize("is_csv", [False, True])
def test_an_object_store_as_source_and_as_output(
    store: Store, source: Path, made: Path, is_csv: bool
) -> None:
    for path in source.rglob("*.mp4"):
        store.put(f"store://b/S [1]/{path.relative_to(source)}", path.read_bytes())
    where = "store://b/S [1]"
    if is_csv:
        rows = (f"{path.relative_to(source)},{path.parent.name}\n" for path in source.rglob("*.mp4"))
        store.put("store://b/S [1]/c.csv", f"path,label\n{''.join(rows)}".encode())
        where = "store://b/S [1]/c.csv"
    before = store.objects("store://b/S [1]/")
    _make(where, "store://b/D", sequences_per_shard=2)
    found = {
        path.removeprefix("store://b/D/"): content for path, content in store.objects("store://b/D/").items()
    }
    assert {name: found[name] for name in data_files(made)} == data_files(made)
    assert set(found) == {*data_files(made), "manifest.json"}
    store.remove("store://b/D/clips-train.tfrecord-00000-of-00003")
    assert not verify("store://b/D").passed
    assert verify("store://b/D", repair=True, against_sources=True).passed
    store.put("store://b/S [1]/cat/0.mp4", clip(97))
    (finding,) = verify("store://b/D", against_sources=True).findings
    assert finding == "store://b/S [1]/cat/0.mp4: has changed since it was indexed"
    assert store.objects("store://b/S [1]/").keys() == before.keys()


def test_the_index_is_one_line_a_clip(made: Path) -> None:
    first, *lines = (json.loads(line) for line in (made / "sources.jsonl").read_text().splitlines())
    assert first == {"version": 1}
    assert [line["source"]["path"] for line in lines] == sorted(line["source"]["path"] for line in lines)
    assert {line["facts"]["codec"] for line in lines} == {"mpeg4"}
