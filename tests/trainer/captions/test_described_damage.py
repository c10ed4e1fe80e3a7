"""Damaged records of data sets that are described: named by the pass over captions, or left out."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.command_line.errors import WorkError
from tests.trainer.captions.caption_kinds import captioned_clips
from tests.trainer.captions.conftest import SHORT
from tests.trainer.captions.data_sets import described_balls
from trainer.input.skip_damaged_records import open_split
from trainer.input.split_files import read_manifest
from trainer.training.loop import train
from trainer.training.plan import make_plan
from trainer.training.settings import Execution


def _damage(data: Path, name: str) -> Path:
    """Change a byte in the first record of a split's second shard."""
    shard = sorted(data.glob(name))[1]
    content = bytearray(shard.read_bytes())
    content[60] ^= 1
    shard.write_bytes(content)
    return shard


def test_damage_is_named_before_a_model_is_built(tmp_path: Path) -> None:
    data = described_balls(tmp_path / "data")
    shard = _damage(data, "*-train.tfrecord-*-of-*")
    with pytest.raises(WorkError, match=rf"{shard.name}: record 0 .*pipeline.verify .* --repair") as found:
        train(SHORT, str(data), str(tmp_path / "run"))
    assert "\n" not in str(found.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_damage_of_sequence_examples_is_named(tmp_path: Path) -> None:
    data = captioned_clips(tmp_path / "data", "sequence_example")
    shard = _damage(data, "*-train.tfrecord-*-of-*")
    with pytest.raises(WorkError, match=rf"{shard.name}: record 0 .*pipeline.verify .* --repair"):
        train(SHORT, str(data), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_words_of_damaged_records_are_left_out(tmp_path: Path) -> None:
    data = described_balls(tmp_path / "data", num_train=8, num_validation=3, sequences_per_shard=4)
    _damage(data, "*-train.tfrecord-*-of-*")
    manifest = read_manifest(str(data))
    with open_split(str(data), manifest, "train", "skip") as files:
        assert files.num_sequences == 7
        expected = make_plan(SHORT, Execution(), files, 1).view
    assert expected is not None
    assert expected.vocabulary is not None
    run = tmp_path / "run"
    train(replace(SHORT, steps_per_epoch=1), str(data), str(run), Execution(on_corrupt="skip"))
    vocabulary = json.loads((run / "vocabulary.json").read_text())
    assert vocabulary == {"words": list(expected.vocabulary.words), "sha256": expected.vocabulary.sha256}
    config = json.loads((run / "config.json").read_text())
    assert sum(config["dataset"]["left_out"].values()) == 1
