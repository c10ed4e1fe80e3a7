"""Writes shards atomically, block by block."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, BinaryIO

from pipeline.command_line.errors import WorkError
from pipeline.dataset.block import content_of
from pipeline.dataset.duplicates import HashWriter
from pipeline.dataset.shard_plan import Shard
from pipeline.dataset.splits import ShardEntry
from pipeline.definition import Definition
from pipeline.generation.finished_shard import ShardReport
from pipeline.generation.request import Request
from pipeline.generation.shard_summary import Summarizer
from pipeline.generation.work_folder import WorkFolder, file_sha256
from pipeline.storage import atomic_files, files
from pipeline.storage.atomic_files import AtomicFile
from pipeline.storage.tfrecord import read_records

# Shards that are flushed at the same time: a file system's journal commits several in one write.
_MAX_WAITING = 4


class Publisher:
    """Calls functions that flush and rename written files, in threads, while the next files are made."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_MAX_WAITING, "publisher")
        self._waiting: deque[Future[None]] = deque()

    def submit(self, publish: Callable[[], None]) -> None:
        """Call ``publish`` in a thread. Raises the error of an earlier call, without taking this one."""
        while len(self._waiting) >= _MAX_WAITING or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._threads.submit(publish))

    def wait(self) -> None:
        """Wait until all calls have ended; raise the error of the first one that failed."""
        waiting, self._waiting = self._waiting, deque()
        futures.wait(waiting)
        for call in waiting:
            call.result()

    def close(self) -> None:
        """Stop the threads after the calls that were submitted."""
        self._threads.shutdown()


def _call(publish: Callable[[], None]) -> None:
    publish()


def make_shard(
    shard: Shard,
    definition: Definition,
    directory: str,
    submit: Callable[[Callable[[], None]], None] = _call,
) -> str:
    """Write a shard and its report, unless an earlier run of the request has finished the shard.

    Memory does not grow with the shard: its examples are written in blocks. The report is written last, when
    the shard is durable. Reports and hashes need not be durable, because a rerun checks their digests.

    Args:
        shard: the shard.
        definition: definition of the data set.
        directory: directory of the data set, with the work folder of this request.
        submit: calls the function that publishes the written shard, now or later; see `Publisher`.

    Returns:
        The shard's file name.

    Raises:
        OSError: if the shard cannot be written; there is no file under its final name then.
        WorkError: if the directory is filled for another request; likewise.
    """
    work_folder, request, definition = WorkFolder(directory), Request.of(definition), definition.at(directory)
    if work_folder.finished_manifest(definition) is not None:
        return shard.file_name
    work_folder.check_request(request)
    if work_folder.finished_report(shard, request, definition) is not None:
        return shard.file_name
    with ExitStack() as stack:

        def open_file(path: str, temporary_directory: str) -> AtomicFile:
            return stack.enter_context(AtomicFile(path, temporary_directory))

        made = [open_file(work_folder.shard_path(shard), work_folder.path)]
        if not definition.is_pure:
            made.append(open_file(work_folder.digests_path(shard), work_folder.path))
        hash_file = open_file(work_folder.hashes_path(shard), work_folder.hashes_directory)
        hashes = stack.enter_context(HashWriter(hash_file.stream))
        summarizer = Summarizer(definition, shard, hashes)
        entry = _write(shard, definition, [file.stream for file in made], summarizer)

    def discard() -> None:
        for file in (*made, hash_file):
            file.discard()

    def publish() -> None:
        try:
            work_folder.check_request(request)
            for file in made:
                file.publish()
            hash_file.publish(durable=False)
        except BaseException:
            discard()
            raise
        report = ShardReport(entry, summarizer.summary(), hashes.sha256, request)
        work_folder.write_report(shard, report)

    try:
        submit(publish)
    except BaseException:  # `submit` raised the error of an earlier call and did not take this one.
        discard()
        raise
    return shard.file_name


def rebuild_shard(listed: tuple[Shard, ShardEntry], definition: Definition, directory: str) -> None:
    """Write a shard of a finished data set again, with the same bytes.

    Args:
        listed: the shard and its entry in the manifest.
        definition: definition of the data set.
        directory: directory of the data set, with a work folder.

    Raises:
        WorkError: if the digest of the new bytes is not the manifest's; the shard is not changed then.
        OSError: if it cannot be written; likewise.
    """
    (shard, entry), definition = listed, definition.at(directory)
    work_folder = WorkFolder(directory)
    path = work_folder.shard_path(shard)
    if not definition.is_pure and _rebuild_digests(listed, work_folder):
        return
    with ExitStack() as stack:
        made = [stack.enter_context(atomic_files.write_atomically(path, work_folder.path))]
        if not definition.is_pure:
            digests_path = work_folder.digests_path(shard)
            made.append(stack.enter_context(atomic_files.write_atomically(digests_path, work_folder.path)))
        if _write(shard, definition, made, None) != entry:
            raise WorkError(
                f"{path}: this program would write other bytes than the manifest says (it was made by another"
                " version, with another zlib, or from other sources); generate the data set into another"
                " directory"
            )


def _rebuild_digests(listed: tuple[Shard, ShardEntry], work_folder: WorkFolder) -> bool:
    """Write the digests of a shard's records again, if the shard itself is intact; return whether it is."""
    shard, entry = listed
    path = work_folder.shard_path(shard)
    if not files.file_exists(path) or file_sha256(path) != entry.sha256:
        return False
    with files.open_binary(path) as stream:
        digests = b"".join(map(content_of, read_records(stream)))
    atomic_files.write_bytes(work_folder.digests_path(shard), digests, work_folder.path)
    return True


def _write(
    shard: Shard, definition: Definition, streams: Sequence[BinaryIO], summarizer: Summarizer | None
) -> ShardEntry:
    """Write a shard's records to the first stream and their digests to the second one, if there is one."""
    digests, num_bytes = [hashlib.sha256() for _ in streams], 0
    for block in definition.blocks(shard.split, shard.first_sequence, shard.num_sequences):
        records = block.records()
        num_bytes += len(records)
        parts: tuple[Any, ...] = (records, block.contents)
        for stream, digest, content in zip(streams, digests, parts, strict=False):
            stream.write(content)
            digest.update(content)
        if summarizer is not None:
            summarizer.add(block)
    sha256s = [digest.hexdigest() for digest in digests]
    return ShardEntry(shard.file_name, shard.first_sequence, shard.num_sequences, num_bytes, *sha256s)
