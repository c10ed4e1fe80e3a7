"""One random byte of a random shard is changed, a thousand times: found, named, and put back."""

import random
import shutil
from pathlib import Path

import pytest

from pipeline.dataset.reader import Dataset
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.storage.tfrecord import FOOTER_BYTES, HEADER_BYTES
from pipeline.verification.dataset_check import verify
from tests.conftest import make_dataset

pytestmark = pytest.mark.storm

NUM_FLIPS = 1000


def _records(content: bytes) -> list[tuple[int, int]]:
    """Where the records of a whole shard start and end."""
    found, start = [], 0
    while start < len(content):
        size = int.from_bytes(content[start : start + 8], "little")
        end = start + HEADER_BYTES + size + FOOTER_BYTES
        found.append((start, end))
        start = end
    return found


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_every_flipped_byte_is_found_named_and_repaired(tmp_path: Path, encoding: str) -> None:
    counts = {"num_train": 40, "num_validation": 10, "num_test": 10, "sequences_per_shard": 10}
    directory = make_dataset(tmp_path / "d", encoding=encoding, image_size=12, **counts)
    manifest = Dataset.open(str(directory)).manifest
    shards = [record.file for split in manifest.splits.values() for record in split.shards]
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    generator = random.Random(encoding)
    for _ in range(NUM_FLIPS):
        name = generator.choice(shards)
        place = generator.randrange(len(before[name]))
        content = bytearray(before[name])
        content[place] ^= generator.randrange(1, 256)
        (directory / name).write_bytes(bytes(content))
        (record,) = [i for i, (start, end) in enumerate(_records(before[name])) if start <= place < end]

        (problem,) = verify(str(directory)).problems
        start = _records(before[name])[record][0]
        assert (problem.file, problem.record, problem.offset_bytes) == (name, record, start)
        found = verify(str(directory), repair=True)
        assert found.passed
        assert found.repaired == {name}
        assert (directory / name).read_bytes() == before[name]
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    shutil.rmtree(directory)
