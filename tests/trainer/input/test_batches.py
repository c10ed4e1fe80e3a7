import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.moving_line.definition import MovingLine
from pipeline.moving_line.lines import draw_frames, sample_sequences
from tests.conftest import ROOT, make_dataset
from trainer.distributed.strategy import Distribution
from trainer.input import records
from trainer.input.batches import sequential_batches, steps_per_pass, training_batches
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.split_files import SplitFiles, read_manifest, split_files
from trainer.moving_line.records import batch_encoding


def _files(directory: Path, split: str = "train") -> SplitFiles:
    return split_files(str(directory), read_manifest(str(directory)), split)


def _paths_of(batches: object, count: int) -> list[bytes]:
    return [features["path"].tobytes() for features, _ in batches.take(count).as_numpy_iterator()]  # type: ignore[attr-defined]


def _train(files: SplitFiles, **changes: Any) -> object:
    arguments = {"batch_size": 32, "seed": 1, "readers": 5, "shuffle_window": 100, **changes}
    return training_batches(files, **arguments)


def test_sequential_batches_hold_every_sequence_in_order(dataset_dir: Path) -> None:
    batches = list(sequential_batches(_files(dataset_dir, "test"), batch_size=40).as_numpy_iterator())
    assert [len(labels) for _, labels in batches] == [40, 40, 40, 30]
    assert len(sequential_batches(_files(dataset_dir, "test"), batch_size=40)) == 4
    paths, labels = sample_sequences(3, "test", 8, 0, 150)
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches])[:, 0], labels)
    if "path" in batches[0][0]:
        np.testing.assert_array_equal(np.concatenate([x["path"] for x, _ in batches]), paths)
        np.testing.assert_array_equal(np.concatenate([x["label"] for x, _ in batches]), labels)
    else:
        frames = np.concatenate([x["frames"] for x, _ in batches])
        np.testing.assert_array_equal(frames, draw_frames(paths, labels))


@pytest.mark.parametrize("first", [0, 1, 9, 10, 140, 149])
def test_sequential_batches_begin_anywhere(path_dataset_dir: Path, first: int) -> None:
    batches = sequential_batches(_files(path_dataset_dir, "test"), batch_size=40, first=first)
    paths = np.concatenate([features["path"] for features, _ in batches.as_numpy_iterator()])
    np.testing.assert_array_equal(paths, sample_sequences(3, "test", 8, first, 150 - first)[0])


@pytest.mark.parametrize(("readers", "window"), [(1, 1), (1, 100), (5, 100), (16, 16), (16, 10_000)])
def test_an_epoch_holds_every_sequence_at_most_once(
    path_dataset_dir: Path, readers: int, window: int
) -> None:
    files = _files(path_dataset_dir)
    steps = steps_per_pass(files, 32)
    assert steps == 600 // 32
    batches = _train(files, readers=readers, shuffle_window=window)
    rows = np.concatenate([f["path"] for f, _ in batches.take(steps).as_numpy_iterator()])  # type: ignore[attr-defined]
    everything = sample_sequences(3, "train", 8, 0, 600)[0]
    counts = {row.tobytes(): 0 for row in everything}
    for row in everything:
        counts[row.tobytes()] += 1
    for row in rows:
        counts[row.tobytes()] -= 1
    assert min(counts.values()) >= 0
    assert sum(counts.values()) == 600 - steps * 32


def test_features_and_labels_stay_together(dataset_dir: Path) -> None:
    paths, labels = sample_sequences(3, "train", 8, 0, 600)
    name = batch_encoding(_files(dataset_dir).spec)
    stored = {"path": paths, "frames": draw_frames(paths, labels)}[name]
    known = {(item.tobytes(), label) for item, label in zip(stored, labels.tolist(), strict=True)}
    batches = training_batches(_files(dataset_dir), batch_size=50, seed=0, readers=4)
    for features, expected in batches.take(12).as_numpy_iterator():
        assert expected.shape == (50, 1)
        for item, label in zip(features[name], expected[:, 0], strict=True):
            assert (item.tobytes(), int(label)) in known


@pytest.mark.storm
def test_the_order_is_a_function_of_seed_epoch_and_readers(path_dataset_dir: Path) -> None:
    files = _files(path_dataset_dir)
    steps = steps_per_pass(files, 32)
    two_epochs = _paths_of(_train(files), 2 * steps)
    assert _paths_of(_train(files), 2 * steps) == two_epochs
    assert two_epochs[:steps] != two_epochs[steps:]
    assert _paths_of(_train(files, seed=2), steps) != two_epochs[:steps]
    assert _paths_of(_train(files, readers=4), steps) != two_epochs[:steps]
    # Seeds beyond 32 bits are told apart too.
    assert _paths_of(_train(files, seed=2**32 + 1), steps) != two_epochs[:steps]


@pytest.mark.parametrize(
    ("readers", "window"),
    [
        (1, 7),
        *(
            pytest.param(*case, marks=pytest.mark.storm)
            for case in [(5, 7), (5, 100), (5, 10_000), (16, 100)]
        ),
    ],
)
def test_a_run_starts_at_any_step(path_dataset_dir: Path, readers: int, window: int) -> None:
    files = _files(path_dataset_dir)
    steps = steps_per_pass(files, 32)
    whole = _paths_of(_train(files, readers=readers, shuffle_window=window), steps + 3)
    for first in (1, steps - 1, steps + 1):
        part = _train(files, readers=readers, shuffle_window=window, first_step=first)
        assert _paths_of(part, 2) == whole[first : first + 2]


def test_a_window_holds_64_mib_of_stored_bytes_at_most(path_dataset_dir: Path) -> None:
    # Records so large that 100 of them fill a window.
    files = replace(_files(path_dataset_dir), num_bytes=600 * 64 * 2**20 // 100)
    steps = steps_per_pass(files, 32)
    bounded = _paths_of(_train(files, shuffle_window=10_000), steps)
    assert bounded == _paths_of(_train(files, shuffle_window=100), steps)
    assert bounded != _paths_of(_train(_files(path_dataset_dir), shuffle_window=10_000), steps)


def test_both_encodings_come_in_one_order(path_dataset_dir: Path, tmp_path: Path) -> None:
    frames_files = _files(make_dataset(tmp_path / "frames", encoding="frames"))
    features, labels = next(_train(_files(path_dataset_dir), first_step=3).as_numpy_iterator())  # type: ignore[attr-defined]
    frames, frames_labels = next(_train(frames_files, first_step=3).as_numpy_iterator())  # type: ignore[attr-defined]
    np.testing.assert_array_equal(frames_labels, labels)
    np.testing.assert_array_equal(frames["frames"], draw_frames(features["path"], features["label"]))


def test_frames_keep_their_order_on_many_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = _files(make_dataset(tmp_path / "frames", encoding="frames"))

    def frames(cores: int) -> list[bytes]:
        monkeypatch.setattr(records, "usable_cores", lambda: cores)
        return [f["frames"].tobytes() for f, _ in _train(files).take(20).as_numpy_iterator()]  # type: ignore[attr-defined]

    assert frames(60) == frames(1)


def test_as_many_frames_are_decompressed_at_once_as_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    monkeypatch.setattr(records, "usable_cores", lambda: 60)
    spec = DatasetSpec("moving_line", MovingLine(image_size=8, encoding="frames").features, {})
    kind = records.ExampleRecords(spec)
    batches = kind.batches(tf.data.Dataset.from_tensors(kind.nothing), 4)
    variant = batches._variant_tensor
    graph = tf.compat.v1.GraphDef.FromString(tf.raw_ops.DatasetToGraphV2(input_dataset=variant).numpy())
    nodes = {node.name: node for node in graph.node}

    def constant(operation: str, place: int) -> int:
        (found,) = (node for node in graph.node if node.op == operation)
        return int(tf.make_ndarray(nodes[found.input[place]].attr["value"].tensor))

    assert constant("ParallelMapDatasetV2", 1) == 60
    assert constant("ParallelBatchDataset", 2) == 5


_ON_ANOTHER_DEVICE = """
import numpy as np, tensorflow as tf
cpu, two = tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
import keras
from trainer.input.batches import ahead_on
batches = tf.data.Dataset.range(40).map(lambda n: ({"n": n[None, None]}, tf.cast(n, tf.float32)[None, None]))
ahead = ahead_on(batches, tf.config.list_logical_devices("CPU")[1].name)
taken = list(ahead)
assert [int(features["n"][0, 0]) for features, _ in taken] == list(range(40))
assert all(label.device.endswith("CPU:1") for _, label in taken), taken[0][1].device
weights = []
for source in (batches, ahead):
    keras.utils.set_random_seed(0)
    inputs = {"n": keras.Input((1,), name="n")}
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs["n"]))
    model.compile("adam", "mse", steps_per_execution=2)
    model.fit(source, steps_per_epoch=20, epochs=2, validation_data=source, validation_steps=4, verbose=0)
    weights.append(model.get_weights())
np.testing.assert_array_equal(weights[0][0], weights[1][0])
"""


@pytest.mark.storm
def test_batches_go_ahead_to_a_device_in_their_order() -> None:
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    subprocess.run(
        [sys.executable, "-c", _ON_ANOTHER_DEVICE], check=True, timeout=300, cwd=ROOT, env=environment
    )


def test_on_a_cpu_batches_stay_where_they_are(path_dataset_dir: Path) -> None:
    batches = sequential_batches(_files(path_dataset_dir), batch_size=8)
    assert Distribution("CPU", None, None).batches(lambda: batches, 8) is batches


def test_records_of_all_shards_mix(path_dataset_dir: Path) -> None:
    files = _files(path_dataset_dir)
    features, _ = next(_train(files, shuffle_window=10_000).as_numpy_iterator())  # type: ignore[attr-defined]
    everything = [row.tobytes() for row in sample_sequences(3, "train", 8, 0, 600)[0]]
    shards = {everything.index(row.tobytes()) * 16 // 600 for row in features["path"]}
    assert len(shards) > 8


def test_shards_of_unequal_sizes_are_read_to_the_end(tmp_path: Path) -> None:
    files = _files(make_dataset(tmp_path / "d", num_train=37))
    assert sorted(set(files.counts)) == [2, 3]
    batches = training_batches(files, batch_size=1, seed=0, readers=5, shuffle_window=6)
    rows = [features["path"][0].tobytes() for features, _ in batches.take(37).as_numpy_iterator()]
    assert sorted(rows) == sorted(row.tobytes() for row in sample_sequences(3, "train", 8, 0, 37)[0])


@pytest.mark.parametrize("batch_size", [1, 7, 128])
def test_fewer_records_than_promised_are_an_error(tmp_path: Path, batch_size: int) -> None:
    import tensorflow as tf

    directory = make_dataset(tmp_path / "d", num_test=30)
    shard = max(path for path in directory.iterdir() if "-test." in path.name)
    files = _files(directory, "test")
    shard.write_bytes(b"")
    with pytest.raises(tf.errors.OpError):
        list(sequential_batches(files, batch_size=batch_size))
