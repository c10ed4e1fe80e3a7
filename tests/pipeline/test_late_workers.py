"""Steps that a runner does again, and workers that go on when the data set is finished, change nothing."""

from pathlib import Path

import pytest

from pipeline.dataset import Dataset
from pipeline.job import _count_duplicates, _finish
from pipeline.settings import DatasetSettings, plan_shards
from pipeline.shard_writer import make_shard
from tests.conftest import make_dataset


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "d")


def _settings(directory: Path) -> DatasetSettings:
    return Dataset.open(str(directory)).manifest.settings


def _content(directory: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_ino) for path in files}


def test_every_step_may_be_done_again_after_the_last(directory: Path) -> None:
    before, settings = _content(directory), _settings(directory)
    for shard in plan_shards(settings):
        assert make_shard(shard, settings, str(directory)) == shard.file_name
    counts = [_count_duplicates(0, settings, str(directory))]
    _finish(counts, settings, str(directory))
    assert _content(directory) == before


def test_a_worker_that_loses_its_place_leaves_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, settings = _content(directory), _settings(directory)
    # It looked before the data set was finished, and goes on now.
    monkeypatch.setattr("pipeline.workspace.Workspace.finished_manifest", lambda *_: None)
    shard = plan_shards(settings)[0]
    with pytest.raises(FileNotFoundError, match=shard.file_name):
        make_shard(shard, settings, str(directory))
    assert _content(directory) == before
    assert not (directory / ".generation").exists()
