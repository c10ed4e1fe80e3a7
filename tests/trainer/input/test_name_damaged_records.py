"""Training and evaluation on damaged data: fail names it, skip loses only what is damaged."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.command_line.errors import RequestError, WorkError
from pipeline.dataset.reader import Dataset
from pipeline.moving_line.lines import draw_frames, sample_sequences
from pipeline.storage.tfrecord import FOOTER_BYTES, HEADER_BYTES
from trainer.evaluate import main as evaluate_main
from trainer.input import name_damaged_records as damage
from trainer.input.batches import sequential_batches
from trainer.input.skip_damaged_records import open_split
from trainer.input.split_files import read_manifest, split_files
from trainer.training.history import read_history
from trainer.training.loop import train
from trainer.training.settings import Execution, TrainingSettings

TEST_SHARD = "moving_line-test.tfrecord-00004-of-00016"
TRAIN_SHARD = "moving_line-train.tfrecord-00004-of-00016"
TIMED = {"seconds", "sequences_per_second", "input_wait"}
SETTINGS = TrainingSettings(epochs=1, steps_per_epoch=3, batch_size=16, readers=4)


@pytest.fixture
def copied(dataset_dir: Path, tmp_path: Path) -> Path:
    """A data set of each encoding that a test may damage."""
    return Path(shutil.copytree(dataset_dir, tmp_path / dataset_dir.name))


def _starts(content: bytes) -> list[int]:
    """Where each record starts, and the end."""
    starts = [0]
    while starts[-1] < len(content):
        size = int.from_bytes(content[starts[-1] : starts[-1] + 8], "little")
        starts.append(starts[-1] + HEADER_BYTES + size + FOOTER_BYTES)
    return starts


def _flip_payload(content: bytes) -> bytes:
    place = _starts(content)[2] + HEADER_BYTES + 5
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def _flip_length(content: bytes) -> bytes:
    place = _starts(content)[2]
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def _lose_a_page(content: bytes) -> bytes:
    starts = _starts(content)
    return content[: starts[2] + 3] + bytes(starts[5] - starts[2]) + content[starts[5] + 3 :]


def _cut(content: bytes) -> bytes:
    return content[: _starts(content)[6] + 9]


def _empty(content: bytes) -> bytes:
    return b""


def _insert(content: bytes) -> bytes:
    place = _starts(content)[2]
    return content[:place] + b"something else" + content[place:]


# What is done to a shard of nine sequences, and which of them remain.
DAMAGES: list[tuple[Callable[[bytes], bytes], list[int]]] = [
    (_flip_payload, [0, 1, 3, 4, 5, 6, 7, 8]),
    (_flip_length, [0, 1, 3, 4, 5, 6, 7, 8]),
    (_lose_a_page, [0, 1, 6, 7, 8]),
    (_cut, [0, 1, 2, 3, 4, 5]),
    (_empty, []),
    (_insert, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
]


def _damage(directory: Path, shard: str, change: Callable[[bytes], bytes]) -> None:
    path = directory / shard
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(("change", "kept"), DAMAGES)
def test_skip_loses_only_what_is_damaged(
    copied: Path, change: Callable[[bytes], bytes], kept: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    _damage(copied, TEST_SHARD, change)
    listed = Dataset.open(str(copied)).manifest.splits["test"].shards[4]
    first, count = listed.first_sequence, listed.num_sequences
    remaining = [*range(first), *(first + i for i in kept if i < count), *range(first + count, 150)]
    with open_split(str(copied), read_manifest(str(copied)), "test", "skip") as files:
        batches = list(sequential_batches(files, batch_size=20).as_numpy_iterator())
        assert files.left_out == ({TEST_SHARD: 150 - len(remaining)} if len(remaining) < 150 else {})
    labels = np.concatenate([labels[:, 0] for _, labels in batches])
    paths, expected = sample_sequences(3, "test", 8, 0, 150)
    np.testing.assert_array_equal(labels, expected[remaining])
    if "path" in batches[0][0]:
        read = np.concatenate([features["path"] for features, _ in batches])
        np.testing.assert_array_equal(read, paths[remaining])
    else:
        read = np.concatenate([features["frames"] for features, _ in batches])
        np.testing.assert_array_equal(read, draw_frames(paths, expected)[remaining])
    told = capsys.readouterr().err
    assert (f"{TEST_SHARD}: {150 - len(remaining)} of {count} sequences left out" in told) == (
        len(remaining) < 150
    )


@pytest.mark.parametrize("gone", ["missing", "unreadable", "swapped"])
def test_skip_leaves_out_shards_that_are_not_there(copied: Path, gone: str) -> None:
    path = copied / TEST_SHARD
    content = path.read_bytes()
    path.unlink()
    if gone == "unreadable":
        path.mkdir()
    elif gone == "swapped":
        other = copied / TEST_SHARD.replace("00004", "00009", 1)
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)
    with open_split(str(copied), read_manifest(str(copied)), "test", "skip") as files:
        assert sum(files.left_out.values()) == 150 - files.num_sequences
        assert len(files.left_out) == (2 if gone == "swapped" else 1)
        assert sum(len(y) for _, y in sequential_batches(files, batch_size=20)) == files.num_sequences


def test_nothing_left_is_one_line(copied: Path) -> None:
    for path in copied.glob("*-test.*"):
        path.write_bytes(b"nothing")
    with (
        pytest.raises(WorkError, match=r"nothing of split test can be read; run python -m pipeline.verify"),
        open_split(str(copied), read_manifest(str(copied)), "test", "skip"),
    ):
        pass


def test_evaluation_skips_and_counts(
    copied: Path, tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    _damage(copied, TEST_SHARD, _flip_payload)
    output = tmp_path / "m.json"
    flags = [f"--model_dir={run_dir}", f"--data_dir={copied}", f"--output={output}"]
    with pytest.raises(WorkError, match=rf"{TEST_SHARD}: record 2.*pipeline.verify {copied} --repair"):
        evaluate_main(flags)
    assert not output.exists()
    assert evaluate_main([*flags, "--on_corrupt=skip"]) == 0
    document = json.loads(output.read_text())["dataset"]
    assert document["num_sequences"] == 149
    assert document["left_out"] == {"num_sequences": 1, "shards": {TEST_SHARD: 1}}
    assert list((tmp_path / "temporary").iterdir()) == []


def test_evaluation_of_whole_data_is_the_same_either_way(
    dataset_dir: Path, tmp_path: Path, run_dir: Path
) -> None:
    documents = []
    for choice in ("fail", "skip"):
        output = tmp_path / f"{choice}.json"
        flags = [f"--model_dir={run_dir}", f"--data_dir={dataset_dir}", f"--output={output}"]
        assert evaluate_main([*flags, f"--on_corrupt={choice}"]) == 0
        documents.append(json.loads(output.read_text()))
    assert documents[0]["metrics"] == documents[1]["metrics"]
    assert documents[0]["dataset"] == documents[1]["dataset"]
    assert documents[0]["dataset"]["left_out"] == {"num_sequences": 0, "shards": {}}


@pytest.mark.slow
@pytest.mark.parametrize(
    "dataset_dir", ["path", pytest.param("frames", marks=pytest.mark.slow)], indirect=True
)
def test_training_skips_and_counts(copied: Path, tmp_path: Path) -> None:
    _damage(copied, TRAIN_SHARD, _lose_a_page)
    with pytest.raises(WorkError, match=rf"{TRAIN_SHARD}: record 2.*pipeline.verify {copied} --repair"):
        # A pass over all of the split comes upon the damage.
        train(TrainingSettings(epochs=1, batch_size=100), str(copied), str(tmp_path / "failed"))
    result = train(SETTINGS, str(copied), str(tmp_path / "run"), Execution(on_corrupt="skip"))
    assert result.step == 3
    (row,) = read_history(str(tmp_path / "run" / "history.csv"))
    assert row["left_out"] == f"{TRAIN_SHARD}:4"
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["dataset"]["left_out"] == {TRAIN_SHARD: 4}
    # The same damage is the same run; another is not, for its sequences come in another order.
    assert train(SETTINGS, str(copied), str(tmp_path / "run"), Execution(on_corrupt="skip")).resumed_from == 3
    _damage(copied, "moving_line-train.tfrecord-00007-of-00016", _flip_payload)
    with pytest.raises(RequestError, match="left_out"):
        train(SETTINGS, str(copied), str(tmp_path / "run"), Execution(on_corrupt="skip"))


def test_the_search_for_the_record_has_an_end(
    copied: Path, tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _damage(copied, TEST_SHARD, _flip_payload)
    monkeypatch.setattr(damage, "SEARCH_SECONDS", 0.0)
    flags = [f"--model_dir={run_dir}", f"--data_dir={copied}", f"--output={tmp_path / 'm.json'}"]
    what = r"\((assertion failed: \[a record of a path is damaged\]|corrupted record at \d+)\)"
    told = f"^{copied}: cannot be read {what}; 0 seconds did not .*; python -m pipeline.verify {copied} finds"
    with pytest.raises(WorkError, match=told):
        evaluate_main(flags)


def test_what_can_be_read_again_is_not_called_damaged(copied: Path) -> None:
    files = split_files(str(copied), read_manifest(str(copied)), "test")
    path, elsewhere = copied / TEST_SHARD, copied / "elsewhere"

    def read_too_early() -> None:
        path.rename(elsewhere)
        try:
            list(sequential_batches(files, batch_size=20))
        finally:
            elsewhere.rename(path)

    told = rf"{TEST_SHARD}; No such file .*, but now it can; run this again"
    with pytest.raises(WorkError, match=told), damage.damage_named(files):
        read_too_early()


@pytest.mark.parametrize("change", [_flip_payload, _lose_a_page, _cut, _empty, _insert])
def test_whatever_reading_stops_at_is_found(copied: Path, change: Callable[[bytes], bytes]) -> None:
    files = split_files(str(copied), read_manifest(str(copied)), "test")
    _damage(copied, TEST_SHARD, change)
    told = rf"{TEST_SHARD}: (record|has 0 records)"
    with pytest.raises(WorkError, match=told), damage.damage_named(files):
        list(sequential_batches(files, batch_size=20))


@pytest.mark.storm
def test_training_on_whole_data_is_the_same_either_way(path_dataset_dir: Path, tmp_path: Path) -> None:
    histories = []
    for choice in ("fail", "skip"):
        train(SETTINGS, str(path_dataset_dir), str(tmp_path / choice), Execution(on_corrupt=choice))
        (row,) = read_history(str(tmp_path / choice / "history.csv"))
        histories.append({name: value for name, value in row.items() if name not in TIMED})
    assert histories[0] == histories[1]
    assert histories[0]["left_out"] == ""
    # Whichever was chosen, it is the same run.
    assert (
        train(
            SETTINGS, str(path_dataset_dir), str(tmp_path / "fail"), Execution(on_corrupt="skip")
        ).resumed_from
        == 3
    )
