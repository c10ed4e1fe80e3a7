"""Where the time goes when a shard of paths is made."""

from __future__ import annotations

import hashlib
import io
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.breakdowns import Breakdown
from benchmarks.limits import Limits, seconds_a_call
from pipeline.dataset.content_digest import LeafDigests
from pipeline.dataset.duplicates import HASHES_PER_RUN, HashWriter
from pipeline.generation.request import Request
from pipeline.generation.shard_writer import Publisher, make_shard
from pipeline.generation.work_folder import WorkFolder
from pipeline.moving_line.definition import MovingLine, contents_of
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import paths_from_words, random_words, words_per_sequence
from pipeline.moving_line.statistics import LineStatistics

_SIZE, _SEED = 50, 0


def measure(directory: Path, limits: Limits, num_train: int) -> Breakdown:
    """Parts of a block's way into a shard, and whole shards as a Beam worker makes them."""
    count = MovingLine.examples_per_leaf
    words = random_words(_SEED, "train", _SIZE, 0, count)
    paths, labels = paths_from_words(words, _SIZE)
    encode = ENCODINGS["path"].encode
    block = encode(paths, labels)
    contents = contents_of(paths, labels)

    def hash_a_run() -> None:
        with HashWriter(io.BytesIO()) as hashes:
            for _ in range(HASHES_PER_RUN // count):
                hashes.add(contents)

    parts = {
        "random words": seconds_a_call(lambda: random_words(_SEED, "train", _SIZE, 0, count)) / count,
        "words to paths": seconds_a_call(lambda: paths_from_words(words, _SIZE)) / count,
        "records and their checksums": seconds_a_call(lambda: encode(paths, labels)) / count,
        "digest of the file": seconds_a_call(lambda: hashlib.sha256(block)) / count,
        "digest of the content": seconds_a_call(lambda: LeafDigests(count).add(0, contents)) / count,
        "statistics": seconds_a_call(lambda: LineStatistics.of(paths, labels)) / count,
        "hashes, sorted, for duplicates": seconds_a_call(hash_a_run) / HASHES_PER_RUN,
        "writing, to the page cache": _writing(directory, block) / count,
    }
    record, content = len(block) / count, _SIZE + 1
    necessary = {
        "words": words_per_sequence(_SIZE) / 2 / limits.random_words,
        "CRC-32C": record / limits.crc32c,
        "SHA-256": (record + content) / limits.sha256,
        "copy": record / limits.copy,
    }
    return Breakdown(
        "generation, paths",
        {name: 1e9 * taken for name, taken in parts.items()},
        1e9 * _whole(directory, num_train),
        1e9 * sum(necessary.values()),
        f"{words_per_sequence(_SIZE) // 2} words of Philox, {record:.0f} bytes of CRC-32C,"
        f" {record + content:.0f} of SHA-256 and {record:.0f} copied",
    )


def _writing(directory: Path, block: bytes) -> float:
    """Seconds a block of a file of 64 MiB, its sync counted."""
    blocks = 2**26 // len(block)
    with TemporaryDirectory(dir=directory) as scratch:

        def write() -> None:
            with (Path(scratch) / "file").open("wb") as stream:
                for _ in range(blocks):
                    stream.write(block)

        return seconds_a_call(write, 1.0) / blocks


def _whole(directory: Path, num_train: int) -> float:
    """Seconds a sequence."""
    definition = MovingLine(_SEED, _SIZE, "path", num_train, 1, 1)
    with TemporaryDirectory(dir=directory) as data:
        work_folder = WorkFolder(data)
        work_folder.make()
        work_folder.write_request(Request.of(definition))
        plan, publisher = definition.shards(), Publisher()
        others = [shard for shard in plan if shard.split != "train"]
        for shard in others:  # Which builds what is built once.
            make_shard(shard, definition, data)
        start = time.perf_counter()
        for shard in plan:
            make_shard(shard, definition, data, publisher.submit)
        publisher.wait()
        return (time.perf_counter() - start) / num_train
