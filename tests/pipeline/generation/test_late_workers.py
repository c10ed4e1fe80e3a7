"""Steps that a runner does again, and workers that go on when the data set is finished, change nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.command_line.errors import WorkError
from pipeline.dataset.duplicates import Duplicates
from pipeline.dataset.reader import Dataset
from pipeline.generate import generate
from pipeline.generation.beam_job import _count_duplicates, _finish
from pipeline.generation.request import Request
from pipeline.generation.shard_writer import make_shard
from pipeline.generation.work_folder import WorkFolder
from pipeline.moving_line.definition import MovingLine
from tests.conftest import SPLITS, make_dataset


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "d")


def _settings(directory: Path) -> MovingLine:
    definition = Dataset.open(str(directory)).manifest.definition
    assert isinstance(definition, MovingLine)
    return definition


def _content(directory: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_ino) for path in files}


def test_every_step_may_be_done_again_after_the_last(directory: Path) -> None:
    before, settings = _content(directory), _settings(directory)
    for shard in settings.shards():
        assert make_shard(shard, settings, str(directory)) == shard.file_name
    counts = [_count_duplicates(0, settings, str(directory))]
    _finish(counts, settings, str(directory))
    assert _content(directory) == before


def test_a_worker_of_an_earlier_request_writes_nothing_into_a_later_one(directory: Path) -> None:
    settings = _settings(directory)
    late = replace(settings, seed=settings.seed + 1)
    before = _content(directory)
    for step in (
        lambda: make_shard(late.shards()[0], late, str(directory)),
        lambda: _count_duplicates(0, late, str(directory)),
        lambda: _finish([Duplicates.zero(SPLITS)], late, str(directory)),
    ):
        with pytest.raises(WorkError, match="no longer being filled for this request"):
            step()
    assert _content(directory) == before


def test_a_shard_of_an_earlier_request_is_not_taken_for_a_later_ones(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "made")
    settings = _settings(made)
    early, work_folder = replace(settings, seed=settings.seed + 1), WorkFolder(str(tmp_path / "d"))
    work_folder.make()
    work_folder.write_request(Request.of(early))
    for shard in early.shards():
        make_shard(shard, early, work_folder.directory)
    work_folder.write_request(Request.of(settings))
    generate(settings, work_folder.directory, direct_num_workers=1)
    assert (
        Dataset.open(work_folder.directory).manifest.fingerprint
        == Dataset.open(str(made)).manifest.fingerprint
    )


def test_a_worker_that_loses_its_place_leaves_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, settings = _content(directory), _settings(directory)
    # It looked before the data set was finished, and goes on now.
    monkeypatch.setattr("pipeline.generation.work_folder.WorkFolder.finished_manifest", lambda *_: None)
    monkeypatch.setattr("pipeline.generation.work_folder.WorkFolder.check_request", lambda *_: None)
    shard = settings.shards()[0]
    with pytest.raises(FileNotFoundError, match=shard.file_name):
        make_shard(shard, settings, str(directory))
    assert _content(directory) == before
    assert not (directory / ".generation").exists()
