"""Paths with a scheme go through Beam's FileSystems; here to one that keeps its files below a directory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem

from pipeline.dataset import Dataset
from pipeline.generate import generate
from pipeline.program import RequestError
from pipeline.settings import DatasetSettings
from pipeline.verification import verify


class ShelfFileSystem(LocalFileSystem):
    """``shelf://NAME`` is NAME below ``root``, with the prefix that object stores have."""

    root = ""

    @classmethod
    def scheme(cls) -> str:
        return "shelf"

    def _local(self, path: str) -> str:
        return path.replace("shelf://", f"{self.root}/", 1)

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def exists(self, path: str) -> bool:
        return bool(super().exists(self._local(path)))

    def open(self, path: str, *arguments: Any, **named: Any) -> Any:
        return super().open(self._local(path), *arguments, **named)

    def create(self, path: str, *arguments: Any, **named: Any) -> Any:
        return super().create(self._local(path), *arguments, **named)

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        super().rename([*map(self._local, source_file_names)], [*map(self._local, destination_file_names)])

    def delete(self, paths: list[str]) -> None:
        super().delete([*map(self._local, paths)])

    def metadata(self, path: str) -> FileMetadata:
        return super().metadata(self._local(path))

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for found in super()._list(self._local(dir_or_prefix)):
            yield FileMetadata(found.path.replace(f"{self.root}/", "shelf://", 1), found.size_in_bytes)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ShelfFileSystem, "root", str(tmp_path))
    return tmp_path


SETTINGS = DatasetSettings(3, 8, "path", 100, 20, 20)


def test_a_data_set_is_made_resumed_verified_and_repaired_there(shelf: Path) -> None:
    manifest, made = generate(SETTINGS, "shelf://deep/lines", direct_num_workers=1)
    assert made
    reference, _ = generate(SETTINGS, str(shelf / "local"), direct_num_workers=1)
    assert manifest.fingerprint == reference.fingerprint
    names = {path.name for path in (shelf / "local").iterdir()}
    assert {path.name for path in (shelf / "deep" / "lines").iterdir()} == names
    assert not generate(SETTINGS, "shelf://deep/lines", direct_num_workers=1)[1]
    assert Dataset.open("shelf://deep/lines").read("test", 0, 20)[1].shape == (20,)

    shard = shelf / "deep" / "lines" / "moving_line-train.tfrecord-00002-of-00016"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    assert not verify("shelf://deep/lines").passed
    assert verify("shelf://deep/lines", repair=True).passed
    assert shard.read_bytes() == whole
    shard.unlink()
    assert generate(SETTINGS, "shelf://deep/lines", direct_num_workers=1)[1]
    assert shard.read_bytes() == whole
    assert {path.name for path in (shelf / "deep" / "lines").iterdir()} == names


def test_other_settings_are_refused_there(shelf: Path) -> None:
    generate(SETTINGS, "shelf://lines", direct_num_workers=1)
    other = DatasetSettings(4, 8, "path", 100, 20, 20)
    with pytest.raises(RequestError, match="seed 3, not 4"):
        generate(other, "shelf://lines", direct_num_workers=1)
    with pytest.raises(RequestError, match="cannot be exchanged at once"):
        generate(other, "shelf://lines", direct_num_workers=1, overwrite=True)
