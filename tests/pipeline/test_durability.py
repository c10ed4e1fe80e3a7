"""Finished work is on the disk, not only in memory: a power cut cannot leave zeros in its place."""

import os
from pathlib import Path

import pytest

from pipeline.generate import generate
from pipeline.shard_writer import Publisher
from pipeline.verification import verify
from tests.conftest import make_dataset
from tests.pipeline.test_generate import _settings, _shards

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
    assert ("sync", str(tmp_path)) in calls[manifest:]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="paths of descriptors are found in /proc")
def test_a_repaired_shard_is_on_the_disk(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    directory = make_dataset(tmp_path / "d")
    (directory / SHARD).write_bytes(b"damaged")
    calls.clear()
    assert verify(str(directory), repair=True).passed
    renamed = calls.index(("rename", str(directory / SHARD)))
    assert ("sync", calls[renamed + 1][1]) in calls[:renamed]
    assert ("sync", str(directory)) in calls[renamed:]


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
