"""One random byte of a data set of clips, or of its sources, is changed: found, named, and put back."""

import random
import shutil
from pathlib import Path

import pytest

from pipeline.clips.definition import Clips
from pipeline.generate import generate
from pipeline.verification.dataset_check import verify
from tests.pipeline.clips.clip_folders import class_folders, data_files, still, write

pytestmark = pytest.mark.storm

NUM_FLIPS = 300


@pytest.mark.parametrize("records", ["tfds", "sequence_example"])
def test_every_flipped_byte_is_found_named_and_repaired(tmp_path: Path, records: str) -> None:
    source, directory = write(tmp_path / "S", class_folders(["cat", "dog"], 4)), tmp_path / "D"
    settings = {"frame_size": "32x24", "sequences_per_shard": 2, "records": records}
    generate(Clips(source=str(source), **settings), str(directory), direct_num_workers=1)  # type: ignore[arg-type]
    before, generator = data_files(directory), random.Random(records)
    for _ in range(NUM_FLIPS):
        name = generator.choice([name for name in before if name != "sources.jsonl"])
        content = bytearray(before[name])
        content[generator.randrange(len(content))] ^= generator.randrange(1, 256)
        (directory / name).write_bytes(content)
        problems = verify(str(directory)).problems
        assert {problem.file for problem in problems} == {name}
        found = verify(str(directory), repair=True)
        assert found.passed
        assert name in found.repaired
        assert data_files(directory) == before
    shutil.rmtree(directory)


def test_every_flipped_byte_of_a_source_is_found_and_named(tmp_path: Path) -> None:
    source, directory = write(tmp_path / "S", class_folders(["cat", "dog"], 3)), tmp_path / "D"
    write(source, {f"cat/run/{number}.png": still(number) for number in range(3)})
    generate(Clips(source=str(source), frame_size="32x24"), str(directory), direct_num_workers=1)
    paths, generator = [path for path in source.rglob("*") if path.is_file()], random.Random(0)
    before = data_files(directory)
    for _ in range(NUM_FLIPS):
        path = generator.choice(paths)
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[generator.randrange(len(content))] ^= generator.randrange(1, 256)
        path.write_bytes(flipped)
        clip = path.parent if path.parent.name == "run" else path
        (finding,) = verify(str(directory), against_sources=True).findings
        assert finding == f"{clip}: has changed since it was indexed"
        path.write_bytes(content)
    assert verify(str(directory), against_sources=True).passed
    assert data_files(directory) == before
