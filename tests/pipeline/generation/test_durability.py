"""Finished work is on the disk, not only in memory: a power cut cannot leave zeros in its place."""

import os
import tempfile
from pathlib import Path

import pytest

from pipeline.generate import generate
from pipeline.generation.request import Request
from pipeline.generation.shard_writer import Publisher, make_shard
from pipeline.generation.work_folder import WorkFolder
from pipeline.storage import atomic_files
from pipeline.verification.dataset_check import verify
from tests.conftest import make_dataset
from tests.pipeline.test_generate import _interrupt, _settings, _shards

SHARD = "moving_line-train.tfrecord-00003-of-00016"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is synced and renamed, in order, by the path that it has then."""
    found: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def recording_fsync(descriptor: int) -> None:
        fsync(descriptor)
        found.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))

    def recording_replace(source: str, destination: str) -> None:
        replace(source, destination)
        found.append(("rename", destination))
        found.append(("from", source))

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(os, "replace", recording_replace)
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="paths of descriptors are found in /proc")
def test_shards_are_on_the_disk_before_the_manifest_is(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    directory = tmp_path / "d"
    generate(_settings(), str(directory), direct_num_workers=1)
    manifest = calls.index(("rename", str(directory / "manifest.json")))
    synced_directory = max(i for i, call in enumerate(calls[:manifest]) if call == ("sync", str(directory)))
    names = [*_shards(directory), "dataset_info.json", "features.json", "label.labels.txt", "manifest.json"]
    for name in names:
        renamed = calls.index(("rename", str(directory / name)))
        (_, temporary) = calls[renamed + 1]
        assert ("sync", temporary) in calls[:renamed], name
        assert renamed < synced_directory or name == "manifest.json", name
    assert ("sync", str(directory)) in calls[manifest:]
    assert ("sync", str(tmp_path)) in calls[:manifest]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="paths of descriptors are found in /proc")
def test_a_repaired_shard_is_on_the_disk(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    directory = make_dataset(tmp_path / "d")
    (directory / SHARD).write_bytes(b"damaged")
    calls.clear()
    assert verify(str(directory), repair=True).passed
    renamed = calls.index(("rename", str(directory / SHARD)))
    assert ("sync", calls[renamed + 1][1]) in calls[:renamed]
    assert ("sync", str(directory)) in calls[renamed:]


def test_a_shard_that_is_not_taken_leaves_no_file(tmp_path: Path) -> None:
    work_folder, settings = WorkFolder(str(tmp_path)), _settings()
    work_folder.make()
    work_folder.write_request(Request.of(settings))

    def refuse(publish: object) -> None:
        raise OSError(5, "Input/output error", "an earlier shard")

    with pytest.raises(OSError, match="an earlier shard"):
        make_shard(settings.shards()[0], settings, str(tmp_path), refuse)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["request.json"]


def test_what_killed_workers_left_half_written_goes_with_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "d"
    _interrupt(directory, monkeypatch, after=5)
    left = [directory / ".generation" / name for name in (f"{SHARD}.1.tmp", f"hashes/{SHARD}.2.tmp")]
    for path in left:
        path.write_bytes(b"half")
    _interrupt(directory, monkeypatch, after=5)
    assert not any(path.exists() for path in left)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run a program as somebody else")
def test_a_directory_that_cannot_be_read_needs_no_sync(tmp_path: Path) -> None:
    nobody = 65534
    with tempfile.TemporaryDirectory() as parent:  # Pytest's own directories nobody else gets to.
        os.chown(parent, nobody, nobody)
        os.chmod(parent, 0o311)
        os.seteuid(nobody)
        try:
            with pytest.raises(PermissionError):
                os.listdir(parent)
            atomic_files.sync(parent)
            atomic_files.write_bytes(f"{parent}/file", b"content", parent)
        finally:
            os.seteuid(0)
        assert Path(parent, "file").read_bytes() == b"content"


def test_a_publisher_raises_what_a_call_raised_and_finishes_the_others() -> None:
    publisher, called = Publisher(), []

    def fail() -> None:
        raise OSError(5, "Input/output error", "shard")

    for number in range(20):
        publisher.submit(lambda number=number: called.append(number))  # type: ignore[misc]
    publisher.wait()
    assert sorted(called) == list(range(20))
    publisher.submit(fail)
    with pytest.raises(OSError, match="shard"):
        publisher.wait()
    publisher.wait()
    publisher.close()
