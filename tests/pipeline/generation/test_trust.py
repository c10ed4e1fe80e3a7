"""What a rerun and a verification believe: neither damage nor another version passes for finished work."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.command_line.errors import RequestError, WorkError
from pipeline.dataset.reader import Dataset
from pipeline.generate import generate
from pipeline.generation.request import Request
from pipeline.generation.shard_writer import make_shard
from pipeline.generation.work_folder import WorkFolder
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.storage.sealed_json import seal, unseal
from pipeline.verification.dataset_check import verify
from tests.conftest import ROOT, SPLITS
from tests.pipeline.test_generate import _files, _interrupt, _settings, _shards

SHARD = "moving_line-train.tfrecord-00003-of-00016"


def _other_sources(directory: Path, old: str, new: str) -> Path:
    """The sources of this program with another definition of the moving line."""
    sources = directory / "other"
    shutil.copytree(ROOT / "pipeline", sources / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    lines = sources / "pipeline" / "moving_line" / "lines.py"
    text = lines.read_text()
    assert old in text
    lines.write_text(text.replace(old, new))
    return sources


@pytest.fixture
def other_version(tmp_path: Path) -> Path:
    return _other_sources(tmp_path, "DEFINITION_VERSION = 1\n", "DEFINITION_VERSION = 2\n")


def _generate(sources: Path, directory: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pipeline.generate", f"--output_dir={directory}", "--image_size=8"]
    sizes = ["--num_train=600", "--num_validation=70", "--num_test=150", "--direct_num_workers=1"]
    environment = {**os.environ, "PYTHONPATH": str(sources)}
    return subprocess.run(
        [*command, "--seed=3", *sizes, *flags],
        cwd=sources,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_verification_holds_every_record_against_the_definition(tmp_path: Path, encoding: str) -> None:
    other = _other_sources(tmp_path, 'f"moving_line {', 'f"another_line {')
    # Shards of whole content leaves, so that no digest but the records' own could notice.
    flags = ["--num_train=8192", "--num_validation=4096", "--num_test=4096", "--sequences_per_shard=4096"]
    made = _generate(other, tmp_path / "d", *flags, f"--encoding={encoding}")
    assert made.returncode == 0, made.stderr
    found = verify(str(tmp_path / "d"))
    assert len({problem.file for problem in found.problems}) == 4
    assert all("is not sequence" in problem.reason for problem in found.problems)
    assert not found.passed


@pytest.mark.storm
def test_a_run_is_not_gone_on_with_by_another_version(
    tmp_path: Path, other_version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt(tmp_path / "d", monkeypatch, after=20)
    before = _files(tmp_path / "d")
    refused = _generate(other_version, tmp_path / "d")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "made with another version of this program (definition 1, not 2)" in line
    assert _files(tmp_path / "d") == before
    assert _generate(other_version, tmp_path / "d", "--overwrite").returncode == 0
    reference = _generate(other_version, tmp_path / "reference")
    assert _shards(tmp_path / "d") == _shards(tmp_path / "reference"), reference.stderr
    again = _generate(ROOT, tmp_path / "d")
    assert again.returncode == 2
    assert "definition 2, not 1" in again.stderr
    (problem,) = verify(str(tmp_path / "d")).problems
    assert problem.file == "manifest.json"
    assert "is of another version of this program (definition 2, not 1)" in problem.reason


def test_versions_that_decide_no_byte_are_no_part_of_a_request() -> None:
    def names(encoding: str, size: int) -> set[str]:
        return set(Request.of(_settings(encoding=encoding, image_size=size)).versions)

    assert names("path", 3) == names("frames", 50) == {"definition", "format"}
    assert names("frames", 3) == names("frames", 182) == {"definition", "format", "zlib"}


def test_a_worker_of_another_version_writes_nothing(tmp_path: Path) -> None:
    work_folder, settings = WorkFolder(str(tmp_path)), _settings()
    work_folder.make()
    own = Request.of(settings)
    claimed = replace(own, versions={**own.versions, "definition": "2"})
    work_folder.write_request(claimed)
    with pytest.raises(WorkError, match=r"definition 2, not 1\); install the same versions everywhere"):
        make_shard(settings.shards()[0], settings, str(tmp_path))
    assert _shards(tmp_path) == {}


def _zeros(content: bytes) -> bytes:
    return bytes(len(content))


def _nothing(content: bytes) -> bytes:
    return b""


def _other_count(content: bytes) -> bytes:
    assert b'"left": ' in content
    return content.replace(b'"left": ', b'"left": 1', 1)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (f"hashes/{SHARD}", _zeros),
        (f"hashes/{SHARD}", _nothing),
        (f"reports/{SHARD}.json", _zeros),
        (f"reports/{SHARD}.json", _nothing),
        (f"reports/{SHARD}.json", _other_count),
    ],
)
def test_damaged_notes_of_an_earlier_run_are_not_believed(
    tmp_path: Path,
    path_dataset_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    change: Callable[[bytes], bytes],
) -> None:
    _interrupt(tmp_path / "d", monkeypatch, after=30)
    note = tmp_path / "d" / ".generation" / name
    note.write_bytes(change(note.read_bytes()))
    manifest, _ = generate(_settings(), str(tmp_path / "d"), direct_num_workers=1)
    expected = Dataset.open(str(path_dataset_dir)).manifest
    assert manifest.duplicates == expected.duplicates
    assert manifest._document() | {"environment": {}} == expected._document() | {"environment": {}}
    assert verify(str(tmp_path / "d")).passed


@pytest.mark.parametrize("change", [_zeros, _nothing])
def test_a_damaged_request_is_one_line_and_can_be_overwritten(
    tmp_path: Path, path_dataset_dir: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes]
) -> None:
    _interrupt(tmp_path / "d", monkeypatch, after=5)
    request = tmp_path / "d" / ".generation" / "request.json"
    request.write_bytes(change(request.read_bytes()))
    with pytest.raises(RequestError, match=r"request.json is damaged.*or add --overwrite"):
        generate(_settings(), str(tmp_path / "d"), direct_num_workers=1)
    generate(_settings(), str(tmp_path / "d"), direct_num_workers=1, overwrite=True)
    assert _shards(tmp_path / "d") == _shards(path_dataset_dir)
    assert os.listdir(tmp_path) == ["d"]


def test_sealed_documents_are_as_they_were_written() -> None:
    document = {"b": [1, None, "é"], "a": {"c": 0.5}}
    content = seal(document)
    assert unseal(content) == document
    for place in range(len(content)):
        for value in (0, ord("7"), ord(" ")):
            changed = content[:place] + bytes([value]) + content[place + 1 :]
            try:
                assert unseal(changed) == document  # Space between tokens means nothing.
            except ValueError:
                continue
    with pytest.raises(ValueError, match="not a sealed document"):
        unseal(b"[]")


def test_a_shard_that_vanished_is_not_listed(tmp_path: Path) -> None:
    from pipeline.dataset.duplicates import Duplicates
    from pipeline.generation.beam_job import _finish

    work_folder, settings = WorkFolder(str(tmp_path)), _settings()
    work_folder.make()
    work_folder.write_request(Request.of(settings))
    for shard in settings.shards():
        make_shard(shard, settings, str(tmp_path))
    whole = (tmp_path / SHARD).read_bytes()
    for content, reason in ((None, "is missing"), (whole[:-1], f"has {len(whole) - 1} bytes")):
        (tmp_path / SHARD).unlink(missing_ok=True)
        if content is not None:
            (tmp_path / SHARD).write_bytes(content)
        with pytest.raises(WorkError, match=f"{SHARD}: {reason}"):
            _finish([Duplicates.zero(SPLITS)], settings, str(tmp_path))
        assert not (tmp_path / "manifest.json").exists()
