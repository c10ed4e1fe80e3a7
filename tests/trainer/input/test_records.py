"""Data sets of any kind are read as their definition says, in the order that lines are read in."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.command_line.errors import RequestError, WorkError
from pipeline.dataset.features import ClassLabel, Tensor, Video, encode
from pipeline.definition import Definition
from pipeline.generate import generate
from pipeline.storage.tfrecord import HEADER_BYTES, frame_record, read_records
from tests.object_store.store import Store
from tests.trainer.scenes_kind import FoundScenes, Scenes
from trainer.input.batches import sequential_batches, steps_per_pass, training_batches
from trainer.input.data_service import DataService
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.feeds import Part, training_part, validation_part
from trainer.input.name_damaged_records import damage_named
from trainer.input.records import ExampleRecords
from trainer.input.skip_damaged_records import open_split
from trainer.input.split_files import SplitFiles, read_manifest, split_files
from trainer.training.settings import TrainingSettings

_service = tf.data.experimental.service
SHARD = "scenes-test.tfrecord-00001-of-00004"
FOUND = "found_scenes-test.tfrecord-00001-of-00004"


def _made(definition: Definition, directory: Path) -> Path:
    generate(definition, str(directory), direct_num_workers=1)
    return directory


@pytest.fixture(scope="module")
def scenes_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made(Scenes(), tmp_path_factory.mktemp("scenes") / "d")


@pytest.fixture(scope="module")
def found_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made(FoundScenes(), tmp_path_factory.mktemp("found") / "d")


@pytest.fixture(params=[SHARD, FOUND])
def copied(
    request: pytest.FixtureRequest, scenes_dir: Path, found_dir: Path, tmp_path: Path
) -> tuple[Path, str]:
    """A data set that a test may damage, and one of its shards: of a pure kind, and of one that is not."""
    made = scenes_dir if request.param == SHARD else found_dir
    return Path(shutil.copytree(made, tmp_path / "d")), request.param


def _files(directory: Path, split: str = "train") -> SplitFiles:
    return split_files(str(directory), read_manifest(str(directory)), split)


def _rows(batches: tf.data.Dataset) -> Iterator[dict[str, Any]]:
    """The examples of batches, without what they were padded with."""
    for features, labels in batches.as_numpy_iterator():
        assert set(features) == {"frames", "camera", "length"}
        assert features["length"].dtype == np.int32
        assert labels.shape == (len(features["length"]), 1)
        assert features["frames"].shape[1] == features["length"].max()
        for frames, camera, length, label in zip(*map(features.get, ("frames", "camera", "length")), labels):  # noqa: B905
            assert not frames[length:].any()
            yield {"frames": frames[:length], "camera": camera, "scene": int(label[0])}


def _bytes(example: dict[str, Any]) -> bytes:
    return encode(Scenes().features, example)


def _expected(split: str, count: int, definition: Definition | None = None) -> list[bytes]:
    definition = definition or Scenes()
    return [_bytes(dict(definition.example(split, index))) for index in range(count)]


def _train(files: SplitFiles, **changes: Any) -> tf.data.Dataset:
    return training_batches(
        files, **{"batch_size": 8, "seed": 1, "readers": 3, "shuffle_window": 20, **changes}
    )


def _content(batches: tf.data.Dataset, count: int) -> list[list[bytes]]:
    return [list(map(_bytes, _rows(tf.data.Dataset.from_tensors(batch)))) for batch in batches.take(count)]


def test_a_data_set_says_what_it_holds(scenes_dir: Path) -> None:
    spec = DatasetSpec.of(read_manifest(str(scenes_dir)))
    assert (spec.name, spec.input, spec.target) == ("scenes", "frames", "scene")
    assert spec.class_names == ("day", "dusk", "night")
    assert spec.num_frames is None
    assert spec.counts == {"train": 90, "validation": 20, "test": 30}
    with pytest.raises(RequestError, match=r"--split dev: give one of train, validation, test$"):
        spec.check_split("dev")


@pytest.mark.parametrize("first", [0, 1, 9, 29])
def test_every_record_is_read_once_and_as_it_was_made(scenes_dir: Path, first: int) -> None:
    batches = sequential_batches(_files(scenes_dir, "test"), batch_size=7, first=first)
    assert list(map(_bytes, _rows(batches))) == _expected("test", 30)[first:]


def test_an_epoch_holds_every_example_and_the_order_follows_from_seed_and_epoch(scenes_dir: Path) -> None:
    files = _files(scenes_dir)
    steps = steps_per_pass(files, 9)
    two_epochs = _content(_train(files, batch_size=9), 2 * steps)
    assert _content(_train(files, batch_size=9), 2 * steps) == two_epochs
    for epoch in (two_epochs[:steps], two_epochs[steps:]):
        assert sorted(chain.from_iterable(epoch)) == sorted(_expected("train", 90))
    assert two_epochs[:steps] != two_epochs[steps:]
    assert _content(_train(files, batch_size=9, seed=2), steps) != two_epochs[:steps]


def test_a_run_starts_at_any_step(scenes_dir: Path) -> None:
    files = _files(scenes_dir)
    steps = steps_per_pass(files, 8)
    whole = _content(_train(files), steps + 3)
    for first in (1, steps - 1, steps + 1):
        assert _content(_train(files, first_step=first), 2) == whole[first : first + 2]


def test_feeds_of_different_lengths_become_one_batch(scenes_dir: Path) -> None:
    files, settings = _files(scenes_dir), TrainingSettings(batch_size=4, feeds=2, seed=3)
    whole = _content(training_part(files, settings, 2, 5, Part(0, 1)), 6)
    parts = [_content(training_part(files, settings, 2, 5, Part(index, 2)), 6) for index in range(2)]
    assert [one + other for one, other in zip(*parts, strict=True)] == whole


def test_validation_weighs_every_example_once(scenes_dir: Path) -> None:
    settings, seen = TrainingSettings(batch_size=8, seed=3), []
    for index in range(2):
        part = validation_part(_files(scenes_dir, "validation"), settings, 7, Part(index, 2))
        for features, labels, weights in part:
            batch = ({name: rows[weights > 0] for name, rows in features.items()}, labels[weights > 0])
            seen += list(map(_bytes, _rows(tf.data.Dataset.from_tensors(batch)))) if len(batch[1]) else []
    assert seen == _expected("validation", 20)


@pytest.mark.storm
def test_a_data_service_gives_the_same_batches(scenes_dir: Path) -> None:
    dispatcher = _service.DispatchServer(_service.DispatcherConfig(port=0))
    address = dispatcher.target.removeprefix("grpc://")
    worker = _service.WorkerServer(_service.WorkerConfig(dispatcher_address=address))
    service, files = DataService(dispatcher.target, "test"), _files(scenes_dir)
    service.check(files, 120)
    assert _content(_train(files, service=service), 15) == _content(_train(files), 15)
    (windows,) = service._served
    assert windows.num_came > 0
    service.close()
    worker._stop()
    dispatcher._stop()


def _flip(directory: Path, shard: str, record: int) -> None:
    """Change a byte of a record's payload."""
    path = directory / shard
    with open(path, "rb") as stream:
        sizes = [len(frame_record(payload)) for payload in read_records(stream)]
    content = bytearray(path.read_bytes())
    content[sum(sizes[:record]) + HEADER_BYTES + 9] ^= 1
    path.write_bytes(content)


def test_damage_is_named(copied: tuple[Path, str]) -> None:
    directory, shard = copied
    _flip(directory, shard, 2)
    files = _files(directory, "test")
    told = f"{shard}: record 2.*run python -m pipeline.verify {directory} --repair"
    with pytest.raises(WorkError, match=told), damage_named(files):
        list(sequential_batches(files, batch_size=7))


def test_a_record_of_other_features_is_named(scenes_dir: Path, tmp_path: Path) -> None:
    """Whose checksums are right."""
    directory = Path(shutil.copytree(scenes_dir, tmp_path / "d"))
    path = directory / SHARD
    with open(path, "rb") as stream:
        payloads = list(read_records(stream))
    example = {**Scenes().example("test", 10), "frames": np.zeros((2, 6, 8, 1), np.uint8)}
    features = {**Scenes().features, "frames": Tensor("uint8", (None, 6, 8, 1), "zlib")}
    payloads[3] = encode(features, {**example, "frames": example["frames"][:1]})
    path.write_bytes(b"".join(map(frame_record, payloads)))
    manifest = read_manifest(str(directory))
    shards = [str(directory / entry.file) for entry in manifest.splits["test"].shards]
    counts = [entry.num_sequences for entry in manifest.splits["test"].shards]
    files = SplitFiles(tuple(shards), tuple(counts), 10_000, DatasetSpec.of(manifest))
    with (
        pytest.raises(WorkError, match=f"{SHARD}: record 3: feature frames: 48 numbers"),
        damage_named(files),
    ):
        list(sequential_batches(files, batch_size=7))


def _left(directory: Path | str, split: str = "test") -> tuple[list[bytes], dict[str, int], Any]:
    with open_split(str(directory), read_manifest(str(directory)), split, "skip") as files:
        rows = list(map(_bytes, _rows(sequential_batches(files, batch_size=7))))
        return rows, dict(files.left_out), files.numbers


def test_skip_loses_only_what_is_damaged(
    copied: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    directory, shard = copied
    definition = Scenes() if shard == SHARD else FoundScenes()
    expected, first = _expected("test", 30, definition), 7
    assert _left(directory) == (expected, {}, None)
    _flip(directory, shard, 2)
    rows, left_out, numbers = _left(directory)
    assert left_out == {shard: 1}
    assert rows == expected[: first + 2] + expected[first + 3 :]
    assert list(numbers) == [n for n in range(30) if n != first + 2]
    assert f"{shard}: 1 of 8 sequences left out (record 2 at byte" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["missing", "other"])
def test_without_its_digests_a_damaged_shard_is_left_out(
    found_dir: Path, tmp_path: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = Path(shutil.copytree(found_dir, tmp_path / "d"))
    _flip(directory, FOUND, 2)
    digests = directory / FOUND.replace("tfrecord", "digests")
    digests.write_bytes(bytes(digests.stat().st_size))
    if change == "missing":
        digests.unlink()
    rows, left_out, _ = _left(directory)
    assert left_out == {FOUND: 8}
    assert len(rows) == 22
    reason = "No such file" if change == "missing" else "is not as the manifest says"
    assert f"{FOUND}: 8 of 8 sequences left out ({digests.name}" in (told := capsys.readouterr().err)
    assert reason in told


def test_the_kind_is_needed_only_to_tell_what_is_damaged(scenes_dir: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(scenes_dir, tmp_path / "d"))
    elsewhere = replace(read_manifest(str(directory)), kind="of_somebody_else:Scenes")
    (directory / "manifest.json").write_bytes(elsewhere.to_bytes())
    assert _left(directory) == (_expected("test", 30), {}, None)
    _flip(directory, SHARD, 2)
    with pytest.raises(RequestError, match="--dataset of_somebody_else:Scenes: cannot be imported"):
        _left(directory)


def test_shards_where_only_beam_reads_are_fetched(store: Store, copied: tuple[Path, str]) -> None:
    (directory, shard), home = copied, "store://bucket/scenes"
    definition = Scenes() if shard == SHARD else FoundScenes()
    for path in directory.iterdir():
        store.put(f"{home}/{path.name}", path.read_bytes())
    with open_split(home, read_manifest(home), "test", "fail") as files:
        read = list(map(_bytes, _rows(sequential_batches(files, batch_size=7))))
    assert read == _expected("test", 30, definition)
    _flip(directory, shard, 2)
    store.remove(f"{home}/{shard}")
    store.put(f"{home}/{shard}", (directory / shard).read_bytes())
    with (
        pytest.raises(WorkError, match=f"{home}/{shard}: is not as the manifest says"),
        open_split(home, read_manifest(home), "test", "fail"),
    ):
        pass
    rows, left_out, _ = _left(home)
    assert left_out == {shard: 1}
    assert len(rows) == 29


NUMBERS = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32"]
SHAPES: list[tuple[int | None, ...]] = [(2, 3), (None, 3), (2, None), (), (None,)]


@pytest.mark.parametrize(
    ("dtype", "encoding", "shape"),
    [
        *((dtype, "bytes", (None, 3)) for dtype in [*NUMBERS, "uint64", "float16", "float64"]),
        *((dtype, "none", (None, 3)) for dtype in NUMBERS),
        *((*each, shape) for each in [("uint8", "zlib"), ("float32", "none")] for shape in SHAPES),
    ],
)
def test_every_tensor_comes_as_it_was_stored(
    tmp_path: Path, dtype: str, encoding: str, shape: tuple[int | None, ...]
) -> None:
    features = {"input": Tensor(dtype, shape, encoding)}
    random, varies = np.random.default_rng(5), shape.count(None) > 0
    arrays = []
    for count in (2, 0, 3):
        size = [count if each is None else each for each in shape]
        limits = (0, 2) if dtype == "bool" else (0, 100)
        array = random.integers(*limits, size).astype(dtype)
        if np.dtype(dtype).kind in "iu" and array.size and encoding != "none":
            array.flat[0] = np.iinfo(dtype).max
        arrays.append(array)
    path = tmp_path / "shard"
    path.write_bytes(b"".join(frame_record(encode(features, {"input": array})) for array in arrays))
    files = SplitFiles((str(path),), (3,), path.stat().st_size, DatasetSpec("mine", features, {"train": 3}))
    ((read, labels),) = sequential_batches(files, batch_size=5).as_numpy_iterator()
    assert labels.shape == (3, 0)
    assert read["input"].dtype == dtype
    assert set(read) == ({"input", "length"} if varies else {"input"})
    for place, array in enumerate(arrays):
        found = read["input"][place]
        if varies:
            axis = shape.index(None)
            assert read["length"][place] == array.shape[axis]
            found = np.take(found, range(array.shape[axis]), axis)
        np.testing.assert_array_equal(found, array, strict=True)
    for payload in read_records(open(path, "rb")):  # noqa: SIM115
        ExampleRecords(files.spec).check(payload)


def test_data_sets_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(RequestError, match="data set mine: has no video and no tensor"):
        DatasetSpec("mine", {"label": ClassLabel(("a", "b"))}, {})
    with pytest.raises(RequestError, match="feature length has the name of a length"):
        DatasetSpec("mine", {"sound": Tensor("int16", (None,)), "length": Tensor("int32", ())}, {})


def test_a_video_is_an_input_without_tensors() -> None:
    spec = DatasetSpec("mine", {"label": ClassLabel(("a", "b")), "film": Video((8, 9, 3), "jpeg")}, {})
    assert (spec.input, spec.frame_shape, spec.has_frames) == ("film", (8, 9, 3), True)
    # To frames, reading adds no length of that name.
    frames = Tensor("uint8", (None, 8, 9, 1))
    assert DatasetSpec("mine", {"frames": frames, "length": Tensor("int32", ())}, {}).has_frames


@dataclass(frozen=True)
class _LabelFirst(Scenes):
    name = "label_first"

    @property
    def features(self) -> Any:
        return dict(reversed(list(Scenes().features.items())))


def test_the_first_tensor_is_the_input_wherever_the_label_stands(tmp_path: Path) -> None:
    spec = DatasetSpec.of(read_manifest(str(_made(_LabelFirst(), tmp_path / "d"))))
    assert (spec.input, spec.target, spec.lengths) == ("camera", "scene", {"frames": "frames_length"})
