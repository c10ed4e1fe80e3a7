"""Writing files atomically: which file an error names, and what is left."""

import os
from pathlib import Path

import pytest

from pipeline.storage import atomic_files, files


def test_an_error_of_a_source_is_not_blamed_on_what_is_written(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="Input/output error") as caught,
        atomic_files.write_atomically(str(tmp_path / "file"), str(tmp_path)),
    ):
        raise OSError(5, "Input/output error")
    assert caught.value.filename is None
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_failed_write_names_the_file_that_was_to_be(tmp_path: Path) -> None:
    stream = files.create_binary("/dev/full", "known as this")
    with pytest.raises(OSError, match="No space left on device") as caught:
        stream.write(bytes(100_000))
    assert caught.value.filename == "known as this"


def test_sizes_of_a_tree_come_by_relative_path(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"123")
    (tmp_path / "d").write_bytes(b"")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert files.list_sizes(str(tmp_path)) == {"a/b/c": 3, "d": 0}
    assert files.list_sizes(str(tmp_path / "no")) == {}
