import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.command_line.errors import RequestError, WorkError
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.reader import Dataset
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import sample_sequences
from pipeline.storage.tf_example import encode_example
from pipeline.storage.tfrecord import frame_record
from pipeline.verification.dataset_check import verify
from pipeline.verification.shard_check import MAX_PROBLEMS_PER_SHARD, check_shard
from pipeline.verify import main
from tests.conftest import Program, make_dataset

SHARD = "moving_line-train.tfrecord-00003-of-00016"
OTHER = "moving_line-train.tfrecord-00007-of-00016"


def _files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


@pytest.fixture(params=list(ENCODINGS))
def copied(request: pytest.FixtureRequest, tmp_path: Path, dataset_dirs: dict[str, Path]) -> Path:
    """A data set of each encoding that a test may damage."""
    return Path(shutil.copytree(dataset_dirs[request.param], tmp_path / request.param))


@pytest.fixture(scope="session")
def dataset_dirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("verified")
    return {encoding: make_dataset(directory / encoding, encoding=encoding) for encoding in ENCODINGS}


def _records(directory: Path, shard: str) -> list[bytes]:
    """The framed records of a shard."""
    manifest = Dataset.open(str(directory)).manifest
    (listed,) = [r for split in manifest.splits.values() for r in split.shards if r.file == shard]
    paths, labels = sample_sequences(3, "train", 8, listed.first_sequence, listed.num_sequences)
    encode = ENCODINGS[manifest.settings["encoding"]].encode
    records = [encode(paths[i : i + 1], labels[i : i + 1]) for i in range(len(paths))]
    assert b"".join(records) == (directory / shard).read_bytes()
    return records


def _expect(directory: Path, file: str, record: int | None, offset: int | None, reason: str) -> None:
    """Verification finds exactly this; repair gives the bytes back that were there before."""
    (problem,) = verify(str(directory)).problems
    assert (problem.file, problem.record, problem.offset_bytes) == (file, record, offset)
    assert reason in problem.reason


def _repairs(directory: Path, before: dict[str, bytes]) -> None:
    damaged = _files(directory)
    assert damaged != before
    found = verify(str(directory), repair=True)
    assert found.passed
    assert found.repaired
    assert _files(directory) == before
    assert verify(str(directory)).problems == []


def test_a_whole_data_set_passes(copied: Path) -> None:
    before = _files(copied)
    found = verify(str(copied))
    assert found.passed
    assert found.problems == []
    assert len(found.tests) == 3 * 5
    assert _files(copied) == before


@pytest.mark.parametrize("place", [0, 9, 12, 20, -1])
def test_a_flipped_byte_is_named_with_its_record(copied: Path, place: int) -> None:
    before, records = _files(copied), _records(copied, SHARD)
    offset = sum(map(len, records[:5]))
    content = bytearray(before[SHARD])
    content[offset + place % len(records[5])] ^= 0x20
    (copied / SHARD).write_bytes(bytes(content))
    _expect(copied, SHARD, 5, offset, "checksum does not match")
    _repairs(copied, before)


def _cut(records: list[bytes]) -> bytes:
    return b"".join(records)[:-3]


def _drop_last(records: list[bytes]) -> bytes:
    return b"".join(records[:-1])


def _nothing(records: list[bytes]) -> bytes:
    return b""


def _append(records: list[bytes]) -> bytes:
    return b"".join([*records, records[0]])


def _swap(records: list[bytes]) -> bytes:
    return b"".join([records[1], records[0], *records[2:]])


@pytest.mark.parametrize(
    ("change", "record", "reason"),
    [
        (_cut, -1, "the file ends inside the record"),
        (_drop_last, None, "has 37 records, the manifest says 38"),
        (_nothing, None, "has 0 records, the manifest says 38"),
        (_append, 38, "is one too many: the manifest says 38 records"),
    ],
)
def test_a_file_of_another_length_is_named(
    copied: Path, change: Callable[[list[bytes]], bytes], record: int | None, reason: str
) -> None:
    before, records = _files(copied), _records(copied, SHARD)
    (copied / SHARD).write_bytes(change(records))
    number = len(records) - 1 if record == -1 else record
    _expect(copied, SHARD, number, None if number is None else sum(map(len, records[:number])), reason)
    _repairs(copied, before)


def test_swapped_records_are_named(copied: Path) -> None:
    before, records = _files(copied), _records(copied, SHARD)
    (copied / SHARD).write_bytes(_swap(records))
    first, second = verify(str(copied)).problems
    assert (first.record, first.offset_bytes) == (0, 0)
    assert (second.record, second.offset_bytes) == (1, len(records[1]))
    assert "is not sequence 112 of split train" in first.reason
    _repairs(copied, before)


def test_swapped_shards_are_named(copied: Path) -> None:
    before = _files(copied)
    (copied / SHARD).write_bytes(before[OTHER])
    (copied / OTHER).write_bytes(before[SHARD])
    found = verify(str(copied))
    assert {problem.file for problem in found.problems} == {SHARD, OTHER}
    assert all(
        "is not sequence" in problem.reason or "too many" in problem.reason for problem in found.problems
    )
    assert len(found.problems) == 2 * MAX_PROBLEMS_PER_SHARD
    _repairs(copied, before)


def test_a_missing_shard_is_named(copied: Path) -> None:
    before = _files(copied)
    (copied / SHARD).unlink()
    _expect(copied, SHARD, None, None, "is missing")
    _repairs(copied, before)


def test_an_unreadable_shard_is_named_and_not_replaced(copied: Path) -> None:
    (copied / SHARD).unlink()
    (copied / SHARD / "mine").mkdir(parents=True)
    _expect(copied, SHARD, None, None, "cannot be read (Is a directory)")
    with pytest.raises(OSError, match=SHARD):
        verify(str(copied), repair=True)
    assert (copied / SHARD / "mine").exists()


def test_an_extra_shard_is_named_and_left(copied: Path) -> None:
    extra = "moving_line-train.tfrecord-00000-of-00099"
    shutil.copy(copied / SHARD, copied / extra)
    _expect(copied, extra, None, None, "is no part of the data set")
    assert not verify(str(copied), repair=True).passed
    assert (copied / extra).exists()


def test_other_files_are_nobodys_business(copied: Path) -> None:
    (copied / "notes.txt").write_text("mine")
    assert verify(str(copied)).passed


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json", "label.labels.txt"])
@pytest.mark.parametrize("change", ["missing", "edited"])
def test_metadata_is_verified(copied: Path, name: str, change: str) -> None:
    before = _files(copied)
    (copied / name).unlink()
    if change == "edited":
        (copied / name).write_bytes(before[name].replace(b"l", b"L"))
    _expect(copied, name, None, None, "is missing" if change == "missing" else "does not say")
    _repairs(copied, before)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format_version": 2}'])
def test_a_damaged_manifest_is_named(copied: Path, content: str) -> None:
    (copied / "manifest.json").write_text(content)
    _expect(copied, "manifest.json", None, None, "is damaged")
    assert not verify(str(copied), repair=True).passed
    assert main([str(copied)]) == 1


def test_a_missing_manifest_is_named(copied: Path) -> None:
    (copied / "manifest.json").unlink()
    _expect(copied, "manifest.json", None, None, "is missing")


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["splits"]["train"]["statistics"]["start_rows"].reverse(),
        lambda document: document["duplicates"]["across"].update(test_in_train=12345),
    ],
)
def test_statistics_that_are_not_those_of_the_sequences_are_named(
    copied: Path, change: Callable[[dict[str, object]], None]
) -> None:
    before = _files(copied)
    document = json.loads(before["manifest.json"])
    change(document)
    (copied / "manifest.json").write_text(json.dumps(document))
    _expect(copied, "manifest.json", None, None, "are not those of the sequences")
    _repairs(copied, before)


def _framed(path: list[int], label: int) -> bytes:
    return frame_record(encode_example({"path": bytes(path), "label": label}))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (_framed([0, 1, 2, 3, 4, 5, 6, 6], 2), "label 2, expected 0 or 1"),
        (_framed([0, 1, 2, 3, 4, 5, 6, 4], 1), "a step of -2 rows at timestep 7"),
        (_framed([7, 8, 7, 7, 7, 7, 7, 7], 1), "row 8, expected 0 to 7"),
        (_framed([0] * 8, 1), "is not sequence 117 of split train"),
        (_framed([0] * 7, 1), "a path of 7 bytes, expected 8"),
        (frame_record(b"no example"), ""),
        (frame_record(encode_example({"path": bytes(8)})), "features ['path'], expected"),
    ],
)
def test_records_that_cannot_be_are_named_though_their_checksums_hold(
    tmp_path: Path, dataset_dirs: dict[str, Path], record: bytes, reason: str
) -> None:
    directory = Path(shutil.copytree(dataset_dirs["path"], tmp_path / "d"))
    before, records = _files(directory), _records(directory, SHARD)
    (directory / SHARD).write_bytes(b"".join([*records[:5], record, *records[6:]]))
    _expect(directory, SHARD, 5, 5 * len(records[0]), reason)
    _repairs(directory, before)


def test_frames_that_no_line_draws_are_named(tmp_path: Path, dataset_dirs: dict[str, Path]) -> None:
    import zlib

    from pipeline.moving_line.lines import draw_frames

    directory = Path(shutil.copytree(dataset_dirs["frames"], tmp_path / "d"))
    before, records = _files(directory), _records(directory, SHARD)
    paths, labels = sample_sequences(3, "train", 8, 117, 1)
    frames = draw_frames(paths, labels)[0]
    frames[4, 0, 0, 0] ^= 1
    features: dict[str, bytes | int] = {"frames": zlib.compress(frames.tobytes()), "label": int(labels[0])}
    record = frame_record(encode_example(features))
    (directory / SHARD).write_bytes(b"".join([*records[:5], record, *records[6:]]))
    _expect(directory, SHARD, 5, sum(map(len, records[:5])), "frames that no path and label draw")
    _repairs(directory, before)


def test_right_sequences_in_other_bytes_are_told_apart(tmp_path: Path, dataset_dirs: dict[str, Path]) -> None:
    import zlib

    from pipeline.moving_line.lines import draw_frames

    directory = Path(shutil.copytree(dataset_dirs["frames"], tmp_path / "d"))
    records = _records(directory, SHARD)
    paths, labels = sample_sequences(3, "train", 8, 117, 1)
    content = zlib.compress(draw_frames(paths, labels)[0].tobytes(), 9)
    record = frame_record(encode_example({"frames": content, "label": int(labels[0])}))
    assert record != records[5]
    (directory / SHARD).write_bytes(b"".join([*records[:5], record, *records[6:]]))
    _expect(directory, SHARD, None, None, "every sequence is right, but the bytes are not those")


def test_a_repair_that_would_give_other_bytes_is_refused(
    tmp_path: Path, dataset_dirs: dict[str, Path]
) -> None:
    directory = Path(shutil.copytree(dataset_dirs["path"], tmp_path / "d"))
    manifest = Dataset.open(str(directory)).manifest
    document = json.loads(manifest.to_bytes())
    document["splits"]["train"]["shards"][3]["sha256"] = "0" * 64
    forged = Manifest._from_document(document)
    (directory / "manifest.json").write_bytes(forged.to_bytes())
    before = _files(directory)
    with pytest.raises(WorkError, match=f"{SHARD}: this program would write other bytes"):
        verify(str(directory), repair=True)
    assert _files(directory) == before
    assert not (directory / ".generation").exists()


def test_settings_that_make_other_shards_are_named(tmp_path: Path, dataset_dirs: dict[str, Path]) -> None:
    directory = Path(shutil.copytree(dataset_dirs["path"], tmp_path / "d"))
    document = json.loads((directory / "manifest.json").read_bytes())
    document["settings"]["num_train"] = 601
    forged = Manifest._from_document(document)
    (directory / "manifest.json").write_bytes(forged.to_bytes())
    _expect(directory, "manifest.json", None, None, "lists other shards than its settings make")


@pytest.mark.parametrize("damaged", [False, True])
def test_the_program_tells_people_and_machines(copied: Path, program: Program, damaged: bool) -> None:
    if damaged:
        content = bytearray((copied / SHARD).read_bytes())
        content[40] ^= 1
        (copied / SHARD).write_bytes(bytes(content))
    manifest = json.loads((copied / "manifest.json").read_bytes())
    told = program("pipeline.verify", copied)
    assert told.returncode == int(damaged), told.stderr
    assert manifest["fingerprint"] in told.stdout
    assert manifest["content_digest"] in told.stdout
    assert ("every byte is as it should be" in told.stdout) != damaged
    assert (f"{SHARD}: record 0 at byte 0:" in told.stdout) == damaged
    assert ("--repair" in told.stdout) == damaged
    assert "Warning" not in told.stderr
    document = json.loads(program("pipeline.verify", copied, "--json").stdout)
    assert document["passed"] != damaged
    assert document["fingerprint"] == manifest["fingerprint"]
    assert [problem["file"] for problem in document["problems"]] == [SHARD] * damaged
    assert len(document["fits"]) == (0 if damaged else 15)
    repaired = program("pipeline.verify", copied, "--repair")
    assert repaired.returncode == 0
    assert ("(repaired)" in repaired.stdout) == damaged


def test_large_data_sets_are_verified_and_repaired_on_every_core(tmp_path: Path, program: Program) -> None:
    directory = make_dataset(tmp_path / "d", num_train=100_000, image_size=50)
    before = _files(directory)
    for shard, place in ((SHARD, 12_345), (OTHER, 500_000)):
        content = bytearray(before[shard])
        content[place] ^= 0xFF
        (directory / shard).write_bytes(bytes(content))
    told = program("pipeline.verify", directory, "--repair")
    assert told.returncode == 0, told.stderr
    assert f"{SHARD}: record {12_345 // 98} at byte {12_345 // 98 * 98}:" in told.stdout
    assert f"{OTHER}: record {500_000 // 98} at byte {500_000 // 98 * 98}:" in told.stdout
    assert "2 files repaired" in told.stdout
    assert _files(directory) == before
    assert not any(name in told.stderr for name in ("Traceback", "WARNING"))


@pytest.mark.parametrize("name", ["pipeline.generate", "pipeline.verify"])
def test_a_directory_that_another_process_works_in_is_left_alone(
    copied: Path, program: Program, name: str
) -> None:
    holder = os.open(copied, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    before = _files(copied)
    flags = ["--seed=3", "--image_size=8", "--num_train=600", "--num_validation=70", "--num_test=150"]
    generate = [f"--output_dir={copied}", f"--encoding={copied.name}", *flags]
    arguments = {"pipeline.generate": generate, "pipeline.verify": [str(copied), "--repair"]}
    refused = program(name, *arguments[name])
    assert refused.returncode == 1
    assert "another process is working there" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    os.close(holder)
    assert program(name, *arguments[name]).returncode == 0
    assert _files(copied) == before


def test_a_directory_without_a_data_set_is_a_wrong_request(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "no"):
        with pytest.raises(RequestError, match=str(directory)):
            verify(str(directory))


def test_a_full_place_for_temporary_files_is_not_taken_for_damage(
    tmp_path: Path, dataset_dirs: dict[str, Path]
) -> None:
    directory = dataset_dirs["path"]
    manifest = Dataset.open(str(directory)).manifest
    listed = next(iter(manifest.listed_shards().items()))
    (tmp_path / listed[0].file_name).symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device.*TMPDIR") as caught:
        check_shard(listed, manifest.definition, str(directory), str(tmp_path))
    assert caught.value.filename == str(tmp_path)


def test_a_lost_page_costs_the_records_that_it_touches(copied: Path) -> None:
    before, records = _files(copied), _records(copied, SHARD)
    starts = [sum(map(len, records[:i])) for i in range(len(records) + 1)]
    content = bytearray(before[SHARD])
    lost = slice(starts[4] + 7, starts[9] + 20)
    content[lost] = bytes(lost.stop - lost.start)
    (copied / SHARD).write_bytes(bytes(content))
    first, *others = verify(str(copied)).problems
    assert (first.record, first.offset_bytes) == (4, starts[4])
    assert all(4 < problem.record < 10 for problem in others if problem.record is not None)
    _repairs(copied, before)
