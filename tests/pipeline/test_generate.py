import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.command_line.errors import RequestError, WorkError
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.reader import Dataset
from pipeline.generate import _call_repeatedly, generate, main, summary
from pipeline.generation.request import Request
from pipeline.moving_line.definition import MovingLine
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import Int64Array, Uint8Array, sample_sequences
from pipeline.storage.sealed_json import seal
from tests.conftest import SMALL, SPLITS, Program, make_dataset
from tests.processes import children

# Written down once: a change here changes the bytes of every data set that users have made.
GOLDEN_FINGERPRINTS = {
    "path": "sha256:5efb2f7ff42e00a22fa11d8b9df2fdb60aed6967e75835b76951e177bbcf6b81",
    "frames": "sha256:125803411205d1983b792226e9d43fa1f4aafe364a46775cc20691f43bb38a84",
}
GOLDEN_CONTENT = "sha256:a171c1d3400f03dea9164c2f605c0857658f1d1fd86f1c9eacb9c0262f248ccf"


def _settings(**changes: object) -> MovingLine:
    return MovingLine(**{"seed": 3, "image_size": 8, "encoding": "path", **SMALL, **changes})  # type: ignore[arg-type]


def _files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def _shards(directory: Path) -> dict[str, bytes]:
    return {name: content for name, content in _files(directory).items() if "tfrecord" in name}


def _lines(dataset: Dataset, split: str, first: int, count: int) -> tuple[Uint8Array, Int64Array]:
    """Paths, and labels, of sequences ``first`` .. ``first + count - 1``."""
    definition = dataset.manifest.definition
    assert isinstance(definition, MovingLine)
    payloads = dataset.read(split, first, count)
    paths, labels = zip(
        *(definition.codec.decode_record(payload, definition.image_size) for payload in payloads), strict=True
    )
    return np.array(paths), np.array(labels)


@pytest.mark.parametrize("split", SPLITS)
def test_a_data_set_holds_the_sequences_of_its_seed(dataset_dir: Path, split: str) -> None:
    count = SMALL[f"num_{split}"]
    paths, labels = _lines(Dataset.open(str(dataset_dir)), split, 0, count)
    expected_paths, expected_labels = sample_sequences(3, split, 8, 0, count)
    np.testing.assert_array_equal(paths, expected_paths)
    np.testing.assert_array_equal(labels, expected_labels)


def test_the_directory_holds_shards_metadata_and_manifest_only(dataset_dir: Path) -> None:
    names = set(_files(dataset_dir))
    shards = {name for name in names if "tfrecord" in name}
    assert names - shards == {"dataset_info.json", "features.json", "label.labels.txt", "manifest.json"}
    assert len(shards) == 3 * 16


@pytest.mark.parametrize("encoding", list(ENCODINGS))
@pytest.mark.parametrize("per_shard", [600, 200, 38])
def test_sequences_do_not_depend_on_sharding_or_encoding(
    tmp_path: Path, path_dataset_dir: Path, encoding: str, per_shard: int
) -> None:
    generate(
        _settings(encoding=encoding, sequences_per_shard=per_shard), str(tmp_path / "d"), direct_num_workers=1
    )
    made, reference = Dataset.open(str(tmp_path / "d")), Dataset.open(str(path_dataset_dir))
    assert len(made.manifest.splits["train"].shards) == {600: 1, 200: 3, 38: 16}[per_shard]
    for split in SPLITS:
        count = SMALL[f"num_{split}"]
        for part, expected in zip(
            _lines(made, split, 0, count), _lines(reference, split, 0, count), strict=True
        ):
            np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("encoding", list(ENCODINGS))
@pytest.mark.parametrize(
    "runner",
    [
        {"direct_num_workers": 2},
        pytest.param({"direct_num_workers": 4}, marks=pytest.mark.storm),
        {"direct_num_workers": 2, "direct_running_mode": "multi_threading"},
        {"runner": "DirectRunner", "direct_running_mode": "in_memory"},
    ],
)
def test_bytes_and_fingerprint_do_not_depend_on_the_runner(
    tmp_path: Path, encoding: str, runner: dict[str, object]
) -> None:
    reference, _ = generate(_settings(encoding=encoding), str(tmp_path / "a"), direct_num_workers=1)
    manifest, _ = generate(_settings(encoding=encoding), str(tmp_path / "b"), **runner)  # type: ignore[arg-type]
    assert manifest.fingerprint == reference.fingerprint
    assert _shards(tmp_path / "b") == _shards(tmp_path / "a")


def test_a_data_set_stays_what_it_is(dataset_dir: Path) -> None:
    manifest = Dataset.open(str(dataset_dir)).manifest
    assert manifest.fingerprint == GOLDEN_FINGERPRINTS.get(dataset_dir.name)
    assert manifest.content_digest == GOLDEN_CONTENT


@pytest.mark.storm
def test_the_fingerprint_tells_every_setting_apart(tmp_path: Path) -> None:
    changes: list[dict[str, object]] = [
        {},
        {"seed": 4},
        {"image_size": 9},
        {"encoding": "frames"},
        {"num_test": 151},
        {"sequences_per_shard": 100},
    ]
    made = [
        generate(_settings(**change), str(tmp_path / str(i)), direct_num_workers=1)[0]
        for i, change in enumerate(changes)
    ]
    assert len({manifest.fingerprint for manifest in made}) == len(changes)


def test_the_manifest_describes_the_files(dataset_dir: Path) -> None:
    import hashlib

    manifest = Dataset.open(str(dataset_dir)).manifest
    listed = [shard for split in manifest.splits.values() for shard in split.shards]
    shards = _shards(dataset_dir)
    assert {shard.file for shard in listed} == set(shards)
    for shard in listed:
        assert len(shards[shard.file]) == shard.num_bytes
        assert hashlib.sha256(shards[shard.file]).hexdigest() == shard.sha256
    document = json.loads((dataset_dir / "manifest.json").read_text())
    assert document["fingerprint"] == manifest.fingerprint
    assert document["splits"]["train"]["num_sequences"] == SMALL["num_train"]


def test_statistics_count_what_the_definition_draws(path_dataset_dir: Path) -> None:
    statistics = Dataset.open(str(path_dataset_dir)).manifest.splits["train"].statistics
    paths, labels = sample_sequences(3, "train", 8, 0, SMALL["num_train"])
    assert statistics["labels"] == {"left": int((labels == 0).sum()), "right": int((labels == 1).sum())}
    assert statistics["start_rows"] == np.bincount(paths[:, 0], minlength=8).tolist()
    before, steps = paths[:, :-1], np.diff(paths.astype(int), axis=1)
    places = {
        "interior": (before > 0) & (before < 7),
        "lower_border": before == 0,
        "upper_border": before == 7,
    }
    for place, where in places.items():
        counts = {name: int((steps[where] == step).sum()) for name, step in [("-1", -1), ("0", 0), ("+1", 1)]}
        assert statistics["steps"][place] == counts


def test_a_finished_request_is_left_alone(tmp_path: Path) -> None:
    generate(_settings(), str(tmp_path / "d"), direct_num_workers=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "d").iterdir()}
    _, made = generate(_settings(), str(tmp_path / "d"), direct_num_workers=1)
    assert not made
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "d").iterdir()} == before


def _interrupt(directory: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Make a data set whose job dies after some shards, as a full disk would end it."""
    import pipeline.generation.shard_writer as writer

    made: list[object] = []
    original = writer.make_shard

    def failing(shard: object, *arguments: object) -> object:
        if len(made) == after:
            raise OSError(28, "No space left on device", "shard")
        made.append(shard)
        return original(shard, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.generation.beam_job.make_shard", failing)
        with pytest.raises(WorkError, match=r"No space left on device.*goes on where it stopped"):
            generate(_settings(), str(directory), direct_num_workers=1)


def test_an_interrupted_job_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, path_dataset_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "d"
    _interrupt(directory, monkeypatch, after=20)
    assert not (directory / "manifest.json").exists()
    kept = {name: (directory / name).stat().st_mtime_ns for name in _shards(directory)}
    assert len(kept) == 20
    damaged = min(kept)
    (directory / damaged).write_bytes(b"half a shard")
    manifest, made = generate(_settings(), str(directory), direct_num_workers=1)
    assert made
    assert _shards(directory) == _shards(path_dataset_dir)
    assert manifest.fingerprint == Dataset.open(str(path_dataset_dir)).manifest.fingerprint
    for name in set(kept) - {damaged}:
        assert (directory / name).stat().st_mtime_ns == kept[name]


def test_an_unfinished_directory_is_not_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _interrupt(tmp_path / "d", monkeypatch, after=5)
    with pytest.raises(RequestError, match="not a finished data set"):
        Dataset.open(str(tmp_path / "d"))


def test_an_unfinished_directory_of_another_request_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt(tmp_path / "d", monkeypatch, after=5)
    with pytest.raises(RequestError, match="seed 3, not 4"):
        generate(_settings(seed=4), str(tmp_path / "d"), direct_num_workers=1)


def test_a_failure_in_a_worker_process_is_one_line_and_exit_1(tmp_path: Path, program: Program) -> None:
    # A directory where a shard should go: the rename in the worker process fails.
    blocked = tmp_path / "d" / "moving_line-train.tfrecord-00003-of-00016" / "in_the_way"
    work_folder = tmp_path / "d" / ".generation"
    work_folder.mkdir(parents=True)
    (work_folder / "request.json").write_bytes(seal(Request.of(_settings()).to_json()))
    blocked.mkdir(parents=True)
    done = program("pipeline.generate", *_flags(tmp_path / "d"), "--direct_num_workers=2")
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    assert len(lines) == 1
    assert "moving_line-train.tfrecord-00003-of-00016" in lines[0]
    assert "Traceback" not in done.stderr


def _flags(directory: Path) -> list[str]:
    sizes = [f"--num_{split}={SMALL[f'num_{split}']}" for split in SPLITS]
    return [f"--output_dir={directory}", *sizes, "--image_size=8", "--seed=3"]


def test_the_program_on_every_core_prints_a_summary(
    tmp_path: Path, path_dataset_dir: Path, program: Program
) -> None:
    done = program("pipeline.generate", *_flags(tmp_path / "d"))
    assert done.returncode == 0, done.stderr
    fingerprint = Dataset.open(str(path_dataset_dir)).manifest.fingerprint
    assert fingerprint in done.stdout
    assert "820 of 820 sequences" in done.stderr
    again = program("pipeline.generate", *_flags(tmp_path / "d"))
    assert again.returncode == 0
    assert "nothing to do" in again.stdout


def test_the_summary_tells_counts_bytes_rate_and_fingerprint(path_dataset_dir: Path) -> None:
    manifest: Manifest = Dataset.open(str(path_dataset_dir)).manifest
    text = summary(manifest, "here", 2.0)
    assert "600 sequences" in text
    assert f"{manifest.splits['train'].num_bytes:,} bytes" in text
    assert "410 sequences/s" in text
    assert manifest.fingerprint in text


def test_large_shards_pass_through_in_blocks(tmp_path: Path) -> None:
    directory = make_dataset(tmp_path / "d", num_train=20_000, image_size=5)
    paths, labels = _lines(Dataset.open(str(directory)), "train", 0, 20_000)
    expected_paths, expected_labels = sample_sequences(3, "train", 5, 0, 20_000)
    np.testing.assert_array_equal(paths, expected_paths)
    np.testing.assert_array_equal(labels, expected_labels)


@pytest.mark.slow
def test_a_killed_worker_is_one_line_and_the_rerun_finishes(tmp_path: Path) -> None:
    import signal
    import subprocess
    import sys
    import time

    from tests.conftest import ROOT

    # Many shards, so that most of them are still to be made when two are seen.
    flags = [f"--output_dir={tmp_path / 'd'}", "--num_train=30000", "--sequences_per_shard=50"]
    flags += ["--num_validation=500", "--num_test=500"]
    command = [sys.executable, "-m", "pipeline.generate", *flags, "--direct_num_workers=2"]
    job = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(_finished(tmp_path / "d")) < 2:
        time.sleep(0.005)
    workers = children(job.pid, "pipeline.workers.local_worker")
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    _, errors = job.communicate(timeout=240)
    assert job.returncode == 1
    assert [line for line in errors.splitlines() if "of 31,000" not in line] == [
        "pipeline.generate: error: a worker process died (killed, or out of memory);"
        " the same command goes on where it stopped"
    ]
    kept = {path: path.stat().st_mtime_ns for path in _finished(tmp_path / "d")}
    again = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=240, check=False)
    assert again.returncode == 0
    for path, written in kept.items():
        assert path.stat().st_mtime_ns == written
    paths, _ = _lines(Dataset.open(str(tmp_path / "d")), "train", 29_990, 10)
    np.testing.assert_array_equal(paths, sample_sequences(0, "train", 50, 29_990, 10)[0])


def _finished(directory: Path) -> list[Path]:
    """Shards that have their report beside them."""
    reports = (directory / ".generation" / "reports").glob("*.json")
    return [directory / path.name.removesuffix(".json") for path in reports]


@pytest.mark.parametrize("change", ["missing", "short"])
def test_a_finished_data_set_that_lost_a_shard_gets_it_back(tmp_path: Path, change: str) -> None:
    directory = make_dataset(tmp_path / "d")
    before = _files(directory)
    lost = "moving_line-train.tfrecord-00003-of-00016"
    written = {path: path.stat().st_mtime_ns for path in directory.iterdir() if path.name != lost}
    (directory / lost).unlink()
    if change == "short":
        (directory / lost).write_bytes(b"short")
    _, made = generate(_settings(), str(directory), direct_num_workers=1)
    assert made
    assert _files(directory) == before
    assert {path: path.stat().st_mtime_ns for path in directory.iterdir() if path.name != lost} == written


@pytest.mark.parametrize("encoding", list(ENCODINGS))
@pytest.mark.parametrize("image_size", [5, 50, 182])
def test_the_disk_that_a_data_set_takes_is_known_before(
    tmp_path: Path, encoding: str, image_size: int
) -> None:
    from pipeline.generation.estimate import DiskSpace

    settings = MovingLine(0, image_size, encoding, 40 if image_size > 100 else 3000, 20, 20, 1000)
    space = DiskSpace.of(settings, str(tmp_path / "not" / "there"))
    generate(settings, str(tmp_path / "d"), direct_num_workers=1)
    taken = sum(path.stat().st_size for path in (tmp_path / "d").iterdir())
    assert 0.8 * taken <= space.num_bytes <= 1.25 * taken + 16_384
    assert DiskSpace.of(settings, str(tmp_path / "d")).present_bytes == taken


def test_a_dry_run_tells_what_to_expect_and_writes_nothing(tmp_path: Path, program: Program) -> None:
    done = program("pipeline.generate", *_flags(tmp_path / "new" / "d"), "--dry_run")
    assert done.returncode == 0, done.stderr
    for told in ("sequences    820", "shards       48", "on disk", "free disk", "peak memory", "time"):
        assert told in done.stdout
    assert list(tmp_path.iterdir()) == []
    make_dataset(tmp_path / "d")
    before = _files(tmp_path / "d")
    assert "already there" in program("pipeline.generate", *_flags(tmp_path / "d"), "--dry_run").stdout
    assert _files(tmp_path / "d") == before


def test_progress_goes_on_after_a_listing_that_failed() -> None:
    looked: list[int] = []

    def look() -> None:
        looked.append(1)
        if len(looked) == 1:
            raise OSError("the store is busy")

    with _call_repeatedly(look):
        deadline = time.monotonic() + 60
        while len(looked) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_dry_run_for_an_engine_elsewhere_prices_no_local_workers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"--output_dir={tmp_path / 'd'}", "--num_train=600", "--dry_run"]
    assert main([*arguments, "--runner=FlinkRunner"]) == 0
    told = capsys.readouterr().out
    assert "local workers" not in told
    assert "core-seconds" in told
    assert "MiB a worker process" in told
    assert main([*arguments, "--runner=DirectRunner", "--direct_num_workers=2"]) == 0
    assert "s with 2 local workers" in capsys.readouterr().out
