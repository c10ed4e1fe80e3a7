"""TFDS opens a data set's directory by its public interface."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import draw_frames, sample_sequences
from tests.conftest import SMALL, SPLITS


@pytest.mark.parametrize("split", SPLITS)
def test_every_record_decodes_to_its_sequence(dataset_dir: Path, split: str) -> None:
    builder = tfds.builder_from_directory(str(dataset_dir))
    count = SMALL[f"num_{split}"]
    assert builder.info.splits[split].num_examples == count
    paths, labels = sample_sequences(3, split, 8, 0, count)
    read_config = tfds.ReadConfig(interleave_cycle_length=1)
    examples = list(tfds.as_numpy(builder.as_dataset(split=split, read_config=read_config)))
    assert [example["label"] for example in examples] == labels.tolist()
    expected = {"path": paths, "frames": draw_frames(paths, labels)}
    for name in expected.keys() & examples[0].keys():
        np.testing.assert_array_equal([example[name] for example in examples], expected[name])


def test_names_shapes_and_supervised_pairs(dataset_dir: Path) -> None:
    builder = tfds.builder_from_directory(str(dataset_dir))
    assert builder.name == "moving_line"
    assert builder.info.features["label"].names == ["left", "right"]
    features, label = next(iter(builder.as_dataset(split="test", as_supervised=True)))
    assert tuple(features.shape) == ENCODINGS[dataset_dir.name].shape(8)
    assert label.shape == ()


def test_splits_can_be_cut(dataset_dir: Path) -> None:
    builder = tfds.builder_from_directory(str(dataset_dir))
    assert len(list(builder.as_dataset(split="train[10%:30%]"))) == 120
