"""Files appear whole or not at all, and an error names the file that cannot be written or read."""

import os
from pathlib import Path

import pytest
import tensorflow as tf

from trainer.run.tensorflow_files import save_bytes, save_json, temporary_copy
from trainer.training.checkpoints import copy_checkpoint


def test_a_checkpoint_that_has_vanished_is_named_and_not_its_copy(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"old")
    source = tmp_path / "checkpoints; old" / "step-00000005.keras"
    with pytest.raises(OSError, match="No such file or directory") as caught:
        copy_checkpoint(str(source), str(tmp_path / "model.keras"))
    assert caught.value.filename == str(source)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("name", ["file/model.keras", "directory"])
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory") as caught:
        save_bytes(str(tmp_path / name), b"new")
    assert caught.value.filename == str(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file"]


def test_a_file_that_cannot_be_copied_is_named_and_not_its_copy(tmp_path: Path) -> None:
    source = str(tmp_path / (300 * "n"))
    with pytest.raises(OSError, match="too long") as caught, temporary_copy(source):
        pytest.fail("there is no such file")
    assert caught.value.filename == source


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="paths of descriptors are found in /proc")
@pytest.mark.parametrize("kind", ["checkpoint", "metrics"])
def test_what_is_finished_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    (tmp_path / "best.keras").write_bytes(b"weights")
    calls: list[tuple[str, str]] = []
    fsync, rename = os.fsync, tf.io.gfile.rename

    def recording_fsync(descriptor: int) -> None:
        fsync(descriptor)
        calls.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))

    def recording_rename(source: str, destination: str, overwrite: bool) -> None:
        rename(source, destination, overwrite)
        calls.extend([("from", source), ("rename", destination)])

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(tf.io.gfile, "rename", recording_rename)
    path = tmp_path / "model.keras"
    if kind == "checkpoint":
        copy_checkpoint(str(tmp_path / "best.keras"), str(path))
    else:
        save_json(str(path), {"accuracy": 1.0})
    temporary = next(source for call, source in calls if call == "from")
    expected = [("sync", temporary), ("from", temporary), ("rename", str(path)), ("sync", str(tmp_path))]
    assert calls == expected
