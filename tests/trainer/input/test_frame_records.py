"""Records of frames to windows, in all layouts in which they are stored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.clips.frame_files import encode_frame
from pipeline.dataset.features import ClassLabel, Feature, Tensor, Text, Video, decode, encode
from pipeline.dataset.reader import Dataset
from tests.trainer.frames import data_sets
from trainer.input.batches import sequential_batches
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.feeds import Part, num_validation_batches, training_part, validation_part
from trainer.input.frame_records import FrameRecords, stored_labels
from trainer.input.frame_view import FrameView
from trainer.input.split_files import SplitFiles, read_manifest, split_files
from trainer.training.settings import TrainingSettings

VIEW = FrameView(10, has_names=True)
RANDOM = FrameView(6, is_random=True, seed=5, crop=(10, 13), flip=True, brightness=0.1, contrast=0.1)
SETTINGS = TrainingSettings(batch_size=8, feeds=2, num_frames=6)
LAYOUTS: dict[str, dict[str, Any]] = {
    "jpeg": {},
    "png": {"image_encoding": "png", "channels": 1},
    "sequence": {"records": "sequence_example"},
}


@pytest.fixture(
    scope="module",
    params=["balls", "jpeg", *(pytest.param(name, marks=pytest.mark.slow) for name in ("png", "sequence"))],
)
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("layouts") / request.param
    if request.param == "balls":
        return data_sets.balls(path)
    return data_sets.clips(path, **LAYOUTS[request.param])


def _files(directory: Path, split: str = "train", view: FrameView = VIEW) -> SplitFiles:
    return split_files(str(directory), read_manifest(str(directory)), split).shown(view)


def _stored(directory: Path, split: str) -> list[tuple[np.ndarray[Any, Any], int, dict[str, Any]]]:
    """Frames, label and example of every record, read without TensorFlow."""
    dataset = Dataset.open(str(directory))
    manifest = dataset.manifest
    found = []
    for payload in dataset.read(split, 0, manifest.splits[split].num_sequences):
        if manifest.dataset == "clips":
            example = manifest.definition.decode(payload)
            frames = manifest.definition.frames(example)
        else:
            example = decode(manifest.features, payload)
            frames = example["frames"]
        found.append((frames.reshape(*frames.shape[:3], -1), int(example["label"]), example))
    return found


def test_the_middle_window_of_every_record_is_read(directory: Path) -> None:
    expected = _stored(directory, "train")
    files = _files(directory)
    rows = [
        (features, label)
        for batch, labels in sequential_batches(files, batch_size=7).as_numpy_iterator()
        for *features, label in zip(
            batch["frames"],
            batch["length"],
            batch["stored_length"],
            batch["clip"],
            batch["group"],
            labels[:, 0],
            strict=True,
        )
    ]
    assert len(rows) == len(expected)
    for ((frames, length, stored_length, clip, group), label), (known, known_label, example) in zip(
        rows, expected, strict=True
    ):
        assert (label, stored_length, length) == (known_label, len(known), min(10, len(known)))
        first = (len(known) - length) // 2
        np.testing.assert_array_equal(frames[:length], known[first : first + length])
        assert not frames[length:].any()
        assert (clip.decode(), group.decode()) == (example.get("clip", ""), example.get("group", ""))


def test_one_frame_is_shown_all_the_time(directory: Path) -> None:
    files = _files(directory, "test", replace(VIEW, is_single=True))
    (batch, _), *_ = sequential_batches(files, batch_size=4).as_numpy_iterator()
    (known, _, _), *_ = _stored(directory, "test")
    length = min(10, len(known))
    middle = known[(len(known) - length) // 2 + (length - 1) // 2]
    for frame in batch["frames"][0][:length]:
        np.testing.assert_array_equal(frame, middle)
    assert not batch["frames"][0][length:].any()


def _taken(files: SplitFiles, first_step: int, part: Part, count: int) -> list[Any]:
    return list(training_part(files, SETTINGS, 1, first_step, part).take(count).as_numpy_iterator())


def _assert_same(one: Any, other: Any) -> None:
    tf.nest.map_structure(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("first_step", [3, *(pytest.param(step, marks=pytest.mark.slow) for step in (0, 17))])
def test_a_step_has_the_same_batch_wherever_the_training_begins(directory: Path, first_step: int) -> None:
    """Over several passes, with windows, crops and colours that are random."""
    files = _files(directory, view=RANDOM)
    whole = _taken(files, 0, Part(0, 1), first_step + 2)
    for one, other in zip(_taken(files, first_step, Part(0, 1), 2), whole[first_step:], strict=True):
        _assert_same(one, other)
    frames = [batch["frames"] for batch, _ in whole]
    assert frames[0].shape == (8, 6, 10, 13, frames[0].shape[-1])


def test_processes_read_parts_of_the_same_batches(directory: Path) -> None:
    files = _files(directory, view=RANDOM)
    whole = _taken(files, 2, Part(0, 1), 3)
    parts = [_taken(files, 2, Part(index, 2), 3) for index in range(2)]
    for batch, *shares in zip(whole, *parts, strict=True):
        _assert_same(tf.nest.map_structure(lambda *rows: np.concatenate(rows), *shares), batch)


def test_a_clip_is_shown_in_another_window_in_every_epoch(tmp_path: Path) -> None:
    directory = data_sets.balls(tmp_path / "d")
    view = FrameView(4, is_random=True, seed=1)
    files = _files(directory, view=view)
    seen: dict[bytes, set[bytes]] = {}
    steps = files.num_sequences // 8
    for batch, _ in _taken(files, 0, Part(0, 1), 3 * steps):
        for frames in batch["frames"]:
            seen.setdefault(frames[0, 0, 0].tobytes(), set()).add(frames.tobytes())
    # The colours in the corner are few, the windows of three epochs many.
    assert sum(map(len, seen.values())) > 2 * files.num_sequences


def test_validation_weighs_every_record_once(directory: Path) -> None:
    files = _files(directory, "validation", VIEW.judged())
    expected, size = _stored(directory, "validation"), 4
    read = []
    for index in range(2):
        part = Part(index, 2)
        batches = list(validation_part(files, SETTINGS, size, part).as_numpy_iterator())
        assert len(batches) == num_validation_batches(files, size, part)
        read += [row for batch, _, weights in batches for row in batch["frames"][weights > 0]]
    assert len(read) == len(expected)
    for frames, (known, _, _) in zip(read, expected, strict=True):
        length = min(10, len(known))
        first = (len(known) - length) // 2
        np.testing.assert_array_equal(frames[:length], known[first : first + length])


def test_labels_are_counted_without_frames(directory: Path) -> None:
    files = _files(directory)
    found = list(stored_labels(files.spec, files.paths).as_numpy_iterator())
    assert found == [label for _, label, _ in _stored(directory, "train")]


def test_only_frames_that_are_shown_are_decoded(tmp_path: Path) -> None:
    """A frame that cannot be decoded hurts nobody who does not see it."""
    directory = data_sets.clips(tmp_path / "d", image_encoding="png")
    files = _files(directory, view=FrameView(2))
    path = Path(files.paths[0])
    (record, *_) = list(tf.data.TFRecordDataset(str(path)))
    example = tf.train.Example.FromString(record.numpy())
    images = example.features.feature["video"].bytes_list.value
    images[0], images[-1] = b"no image", b"none either"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    alone = replace(files, paths=(str(path),), counts=(1,))
    ((batch, _),) = sequential_batches(alone, batch_size=1).as_numpy_iterator()
    assert batch["frames"].any()
    images[len(images) // 2 - 1] = b"no image"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(tf.errors.InvalidArgumentError):
        list(sequential_batches(alone, batch_size=1).as_numpy_iterator())


@pytest.mark.parametrize("other", [ClassLabel(("left", "right")), Text(is_list=True), Tensor("int64", ())])
def test_a_feature_by_the_name_of_a_group_that_is_none_is_not_taken_for_one(other: Feature) -> None:
    features = {"frames": Tensor("uint8", (None, 2, 2, 1)), "group": other}
    value: Any = [] if isinstance(other, Text) else 1
    message = encode(features, {"frames": np.ones((3, 2, 2, 1), np.uint8), "group": value})
    records = FrameRecords(DatasetSpec("mine", features, {}), FrameView(3, has_names=True))
    shown, label = records.window(tf.constant(message), tf.constant(0, tf.int64))
    assert (shown["group"], shown["clip"]) == (b"", b"")
    assert list(label) == ([1] if isinstance(other, ClassLabel) else [])


def test_a_record_that_cannot_be_shown_is_told_from_others() -> None:
    stored = [encode_frame(np.zeros((height, 6, 3), np.uint8), "png", 90) for height in (4, 4, 5)]
    video = DatasetSpec("mine", {"film": Video((4, 6, 3), "png")}, {})
    records = FrameRecords(video, FrameView(3))
    records.check(encode(video.features, {"film": stored[:2]}))
    for images, told in ((stored, "frame 2 cannot be decoded"), ([b"x"], "frame 0 cannot be decoded")):
        with pytest.raises(ValueError, match=told):
            records.check(encode(video.features, {"film": images}))
    arrays = DatasetSpec("mine", {"frames": Tensor("uint8", (None, 4, 6, 3))}, {})
    empty = encode(arrays.features, {"frames": np.zeros((0, 4, 6, 3), np.uint8)})
    with pytest.raises(ValueError, match="has no frames"):
        FrameRecords(arrays, FrameView(3)).check(empty)
