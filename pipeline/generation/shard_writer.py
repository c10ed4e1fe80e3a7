"""Makes shards: writes their examples block by block, atomically."""

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
from pipeline.generation.shard_summary import Summarizer
from pipeline.generation.work_folder import Request, ShardReport, Workspace, file_sha256
from pipeline.storage import atomic_files, files
from pipeline.storage.atomic_files import AtomicFile
from pipeline.storage.tfrecord import read_records

# Written shards that wait for the disk: a journal commits several at once. More would only fill the memory.
_MOST_WAITING = 4


class Publisher:
    """Brings finished files to the disk, in threads of its own, while the next ones are being made."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_MOST_WAITING, "publisher")
        self._waiting: deque[Future[None]] = deque()

    def submit(self, publish: Callable[[], None]) -> None:
        """Call ``publish`` soon. What earlier calls raised is raised here, or by `wait`."""
        while len(self._waiting) >= _MOST_WAITING or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._threads.submit(publish))

    def wait(self) -> None:
        """Wait for all calls to end; raise what the first failing one raised."""
        waiting, self._waiting = self._waiting, deque()
        futures.wait(waiting)
        for call in waiting:
            call.result()

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()


def _at_once(publish: Callable[[], None]) -> None:
    publish()


def make_shard(
    shard: Shard,
    definition: Definition,
    directory: str,
    submit: Callable[[Callable[[], None]], None] = _at_once,
) -> str:
    """Write a shard under its final name and report what it holds, unless an earlier run already did.

    Memory does not grow with the shard: examples pass through in blocks. The report comes last, when the
    shard would survive a power cut; reports and hashes need not, for a rerun checks their digests.

    Args:
        shard: which examples.
        definition: of the data set.
        directory: of the data set.
        submit: calls what brings the written shard to its place, at once or soon; see `Publisher`.

    Returns:
        The shard's file name.

    Raises:
        OSError: if the shard cannot be written; nothing is left under its final name.
        WorkError: if the directory has been given to another request; likewise.
    """
    workspace, request = Workspace(directory), Request.of(definition)
    if workspace.finished_manifest(definition) is not None:
        return shard.file_name
    workspace.check_request(request)
    if workspace.finished_report(shard, request, definition) is not None:
        return shard.file_name
    with ExitStack() as stack:

        def open_file(path: str, temporary_directory: str) -> AtomicFile:
            return stack.enter_context(AtomicFile(path, temporary_directory))

        made = [open_file(workspace.path(shard), workspace.state)]
        if not definition.is_pure:
            made.append(open_file(workspace.digests_path(shard), workspace.state))
        hash_file = open_file(workspace.hashes_path(shard), workspace.hashes)
        hashes = stack.enter_context(HashWriter(hash_file.stream))
        summarizer = Summarizer(definition, shard, hashes)
        entry = _write(shard, definition, [file.stream for file in made], summarizer)

    def discard() -> None:
        for file in (*made, hash_file):
            file.discard()

    def publish() -> None:
        try:
            workspace.check_request(request)
            for file in made:
                file.publish()
            hash_file.publish(durable=False)
        except BaseException:
            discard()
            raise
        report = ShardReport(entry, summarizer.summary(), hashes.sha256, request)
        workspace.write_report(shard, report)

    try:
        submit(publish)
    except BaseException:  # Of an earlier call: this one was not taken.
        discard()
        raise
    return shard.file_name


def rebuild_shard(listed: tuple[Shard, ShardEntry], definition: Definition, directory: str) -> None:
    """Write a shard of a finished data set anew, with the very bytes that it had.

    Args:
        listed: the shard, and what the manifest says of it.
        definition: of the data set.
        directory: of the data set.

    Raises:
        WorkError: if this program's bytes would be others than the manifest says; the shard stays as it is.
        OSError: if it cannot be written; likewise.
    """
    shard, entry = listed
    workspace = Workspace(directory)
    path = workspace.path(shard)
    if not definition.is_pure and _rebuild_digests(listed, workspace):
        return
    with ExitStack() as stack:
        made = [stack.enter_context(atomic_files.write_atomically(path, workspace.state))]
        if not definition.is_pure:
            digests_path = workspace.digests_path(shard)
            made.append(stack.enter_context(atomic_files.write_atomically(digests_path, workspace.state)))
        if _write(shard, definition, made, None) != entry:
            raise WorkError(
                f"{path}: this program would write other bytes than the manifest says (it was made by another"
                " version, with another zlib, or from other sources); generate the data set into another"
                " directory"
            )


def _rebuild_digests(listed: tuple[Shard, ShardEntry], workspace: Workspace) -> bool:
    """Write the digests of a shard's records anew, if the shard itself is whole; whether it is."""
    shard, entry = listed
    path = workspace.path(shard)
    if not files.file_exists(path) or file_sha256(path) != entry.sha256:
        return False
    with files.open_binary(path) as stream:
        digests = b"".join(map(content_of, read_records(stream)))
    atomic_files.write_bytes(workspace.digests_path(shard), digests, workspace.state)
    return True


def _write(
    shard: Shard, definition: Definition, streams: Sequence[BinaryIO], summarizer: Summarizer | None
) -> ShardEntry:
    """Write a shard's records to the first stream and, if there is a second one, their digests to that."""
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
