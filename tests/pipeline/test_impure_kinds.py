"""Data sets whose records cannot be made again from settings alone: digests are kept beside the shards."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.command_line.errors import WorkError
from pipeline.dataset.reader import Dataset
from pipeline.generate import generate
from pipeline.storage.tfrecord import frame_record, read_records
from pipeline.verification.dataset_check import verify
from tests.conftest import ROOT
from tests.pipeline.notes_kind import Notes, write_sources
from tests.processes import environment

SHARD = "notes-train.tfrecord-00001-of-00003"
DIGESTS = "notes-train.digests-00001-of-00003"


@pytest.fixture
def definition(tmp_path: Path) -> Notes:
    return write_sources(tmp_path / "sources")


@pytest.fixture
def made(tmp_path: Path, definition: Notes) -> Path:
    generate(definition, str(tmp_path / "d"), direct_num_workers=1)
    return tmp_path / "d"


def _files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def _payloads(path: Path) -> list[bytes]:
    with open(path, "rb") as stream:
        return list(read_records(stream))


def test_digests_of_the_records_lie_beside_the_shards(made: Path) -> None:
    manifest = Dataset.open(str(made)).manifest
    files = _files(made)
    assert {name for name in files if "digests" in name} == {
        shard.digests_name for shard in manifest.listed_shards()
    }
    for shard, entry in manifest.listed_shards().items():
        digests = [hashlib.sha256(payload).digest() for payload in _payloads(made / entry.file)]
        assert files[shard.digests_name] == b"".join(digests)
        assert entry.digests_sha256 == hashlib.sha256(files[shard.digests_name]).hexdigest()


def test_verification_needs_no_sources(made: Path, definition: Notes) -> None:
    shutil.rmtree(definition.source)
    found = verify(str(made))
    assert found.passed
    assert found.manifest == Dataset.open(str(made)).manifest


def test_a_flipped_byte_is_named_and_repaired_from_the_sources(made: Path) -> None:
    before = _files(made)
    content = bytearray(before[SHARD])
    start = len(b"".join(map(frame_record, _payloads(made / SHARD)[:5])))
    content[start + 20] ^= 1
    (made / SHARD).write_bytes(bytes(content))
    (problem,) = verify(str(made)).problems
    assert (problem.file, problem.record, problem.offset_bytes) == (SHARD, 5, start)
    assert verify(str(made), repair=True).repaired == {SHARD, DIGESTS}
    assert _files(made) == before


def test_records_in_each_others_place_are_named(made: Path) -> None:
    payloads = _payloads(made / SHARD)
    payloads[3], payloads[9] = payloads[9], payloads[3]
    (made / SHARD).write_bytes(b"".join(map(frame_record, payloads)))
    problems = verify(str(made)).problems
    assert problems[0].record == 3
    assert {problem.file for problem in problems} == {SHARD}


@pytest.mark.parametrize("content", [None, b"", b"x" * 640])
def test_damaged_digests_are_made_again_without_the_sources(
    made: Path, definition: Notes, content: bytes | None
) -> None:
    before = _files(made)
    (made / DIGESTS).unlink()
    if content is not None:
        (made / DIGESTS).write_bytes(content)
    (problem,) = verify(str(made)).problems
    assert problem.file == DIGESTS
    shutil.rmtree(definition.source)
    assert verify(str(made), repair=True).passed
    assert _files(made) == before


def test_damage_of_both_files_is_told_of_both_and_repaired(made: Path) -> None:
    before = _files(made)
    (made / SHARD).write_bytes(before[SHARD][:-1])
    (made / DIGESTS).unlink()
    assert [problem.file for problem in verify(str(made)).problems] == [DIGESTS, SHARD]
    assert verify(str(made), repair=True).passed
    assert _files(made) == before


def test_nothing_is_repaired_from_changed_sources(made: Path, definition: Notes) -> None:
    (Path(definition.source) / "train-25").write_bytes(b"another")
    before = _files(made)
    (made / SHARD).unlink()
    with pytest.raises(WorkError, match=f"{SHARD}: this program would write other bytes"):
        verify(str(made), repair=True)
    assert _files(made) == {name: content for name, content in before.items() if name != SHARD}


def test_a_killed_run_goes_on_with_what_is_finished(tmp_path: Path, made: Path, definition: Notes) -> None:
    """A source that cannot be read yet (a pipe) holds the last training shard up until the kill."""
    held = Path(definition.source) / "train-59"
    content = held.read_bytes()
    held.unlink()
    os.mkfifo(held)
    code = (
        "from pipeline.generate import generate; from tests.pipeline.notes_kind import Notes;"
        f"generate(Notes({definition.source!r}), {str(tmp_path / 'again')!r}, direct_num_workers=1)"
    )
    job = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment())
    reports, deadline = tmp_path / "again" / ".generation" / "reports", time.monotonic() + 60
    try:
        while not (reports.is_dir() and list(reports.glob("*.json"))):
            assert time.monotonic() < deadline
            assert job.poll() is None
            time.sleep(0.02)
    finally:
        job.send_signal(signal.SIGKILL)
        job.wait(30)
    held.unlink()
    held.write_bytes(content)
    finished = [path.name.removesuffix(".json") for path in reports.glob("*.json")]
    kept = {name: (tmp_path / "again" / name).stat().st_ino for name in finished}
    generate(definition, str(tmp_path / "again"), direct_num_workers=1)
    assert {name: (tmp_path / "again" / name).stat().st_ino for name in finished} == kept
    without = {"manifest.json"}
    again, reference = _files(tmp_path / "again"), _files(made)
    assert {name: again[name] for name in again.keys() - without} == {
        name: reference[name] for name in reference.keys() - without
    }
    assert (
        Dataset.open(str(tmp_path / "again")).manifest.fingerprint
        == Dataset.open(str(made)).manifest.fingerprint
    )
