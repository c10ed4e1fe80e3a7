"""What cannot be written or read on the way into a run directory is named, and nothing is half there."""

from pathlib import Path

import pytest

from trainer.checkpoints import copy_checkpoint
from trainer.run_directory import private_copy, write_bytes


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
        write_bytes(str(tmp_path / name), b"new")
    assert caught.value.filename == str(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file"]


def test_a_file_that_cannot_be_copied_is_named_and_not_its_copy(tmp_path: Path) -> None:
    source = str(tmp_path / (300 * "n"))
    with pytest.raises(OSError, match="too long") as caught, private_copy(source):
        pytest.fail("there is no such file")
    assert caught.value.filename == source
