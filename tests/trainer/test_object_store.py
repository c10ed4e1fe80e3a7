"""Training, judging and predicting on a data set where only Beam can read: as on a disk."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.command_line.errors import WorkError
from tests.object_store.store import Store
from trainer.input.skip_damaged_records import open_split
from trainer.input.split_files import read_manifest
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model
from trainer.training.loop import train
from trainer.training.settings import TrainingSettings

HOME = "store://bucket/lines"
SHARD = "moving_line-test.tfrecord-00003-of-00016"


@pytest.fixture
def stored(store: Store, path_dataset_dir: Path) -> Store:
    """The store with a data set in it."""
    for path in path_dataset_dir.iterdir():
        store.put(f"{HOME}/{path.name}", path.read_bytes())
    return store


@pytest.mark.storm
def test_metrics_are_those_of_the_data_set_on_a_disk(
    stored: Store, path_dataset_dir: Path, run_dir: Path, tmp_path: Path
) -> None:
    def judge(data_dir: str, name: str) -> dict[str, object]:
        flags = [f"--data_dir={data_dir}", f"--model_dir={run_dir}", f"--output={tmp_path / name}"]
        done = stored.run("trainer.evaluate", *flags)
        assert done.returncode == 0, done.stderr
        document: dict[str, dict[str, object]] = json.loads((tmp_path / name).read_text())
        del document["dataset"]["path"]
        return {part: document[part] for part in ("metrics", "dataset")}

    assert judge(HOME, "there.json") == judge(str(path_dataset_dir), "here.json")
    refused = stored.run(
        "trainer.evaluate",
        f"--data_dir={HOME}/no",
        f"--model_dir={run_dir}",
        f"--output={tmp_path / 'no.json'}",
    )
    assert refused.returncode == 2
    assert f"--data_dir {HOME}/no: no such directory" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.storm
def test_predictions_are_those_of_the_data_set_on_a_disk(
    stored: Store, path_dataset_dir: Path, run_dir: Path
) -> None:
    told = [
        stored.run("trainer.predict", f"--model_dir={run_dir}", f"--data_dir={data_dir}", "--first=40")
        for data_dir in (HOME, path_dataset_dir)
    ]
    assert told[0].returncode == told[1].returncode == 0, told[0].stderr
    assert told[0].stdout == told[1].stdout


@pytest.mark.storm
def test_weights_are_those_of_the_data_set_on_a_disk(
    stored: Store, path_dataset_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(epochs=1, steps_per_epoch=3, batch_size=16, readers=4)
    train(settings, str(path_dataset_dir), str(tmp_path / "here"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    flags = ["--epochs=1", "--steps_per_epoch=3", "--batch_size=16", "--readers=4"]
    done = stored.run("trainer.task", f"--data_dir={HOME}", f"--model_dir={tmp_path / 'there'}", *flags)
    assert done.returncode == 0, done.stderr
    here, there = (
        load_trained_model(RunDirectory(str(tmp_path / name))).classifier.get_weights()
        for name in ("here", "there")
    )
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one, other)
    left = os.listdir(tmp_path / "temporary")
    assert [name for name in left if name.startswith("moving_line-")] == []


@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_damage_is_named_where_it_is_or_left_out(stored: Store, damage: str) -> None:
    content = bytearray(stored.get(f"{HOME}/{SHARD}"))
    content[60] ^= 1
    stored.remove(f"{HOME}/{SHARD}")
    if damage == "flipped":
        stored.put(f"{HOME}/{SHARD}", bytes(content))
    manifest = read_manifest(HOME)
    reason = "is missing" if damage == "missing" else "is not as the manifest says"
    with (
        pytest.raises(WorkError, match=f"{HOME}/{SHARD}: {reason}; run python -m pipeline.verify {HOME}"),
        open_split(HOME, manifest, "test", "fail"),
    ):
        pass
    with open_split(HOME, manifest, "test", "skip") as files:
        assert files.left_out == {SHARD: 1 if damage == "flipped" else 9}


def test_no_room_for_copies_says_where_to_make_some(
    stored: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "full"
    place.mkdir()
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *_: str(place))
    (place / SHARD).symlink_to("/dev/full")
    with (
        pytest.raises(WorkError, match=r"No space left on device \(temporary files; TMPDIR names"),
        open_split(HOME, read_manifest(HOME), "test", "fail"),
    ):
        pass
    assert not place.exists()
