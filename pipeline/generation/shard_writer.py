"""Makes shards: samples their sequences block by block and writes them atomically."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from pipeline.command_line.errors import WorkError
from pipeline.dataset.content_digest import blocks
from pipeline.dataset.duplicates import HashWriter
from pipeline.dataset.manifest import ShardRecord
from pipeline.dataset.shard_plan import DatasetSettings, Shard
from pipeline.generation.shard_summary import Summarizer
from pipeline.generation.work_folder import Request, ShardReport, Workspace
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import sample_sequences
from pipeline.storage import atomic_files

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
    settings: DatasetSettings,
    directory: str,
    submit: Callable[[Callable[[], None]], None] = _at_once,
) -> str:
    """Write a shard under its final name and report what it holds, unless an earlier run already did.

    Memory does not grow with the shard: sequences pass through in blocks. The report comes last, when the
    shard would survive a power cut; reports and hashes need not, for a rerun checks their digests.

    Args:
        shard: which sequences.
        settings: of the data set.
        directory: of the data set.
        submit: calls what brings the written shard to its place, at once or soon; see `Publisher`.

    Returns:
        The shard's file name.

    Raises:
        OSError: if the shard cannot be written; nothing is left under its final name.
        WorkError: if the directory has been given to another request; likewise.
    """
    workspace, request = Workspace(directory), Request.of(settings)
    if workspace.finished_manifest(settings) is not None:
        return shard.file_name
    workspace.check_request(request)
    if workspace.finished_report(shard, request) is not None:
        return shard.file_name
    with (
        atomic_files.AtomicFile(workspace.path(shard), workspace.state) as shard_file,
        atomic_files.AtomicFile(workspace.hashes_path(shard), workspace.hashes) as hash_file,
        HashWriter(hash_file.stream) as hashes,
    ):
        summarizer = Summarizer(settings, shard, hashes)
        record = _write(shard, settings, shard_file.stream, summarizer)

    def discard() -> None:
        shard_file.discard()
        hash_file.discard()

    def publish() -> None:
        try:
            workspace.check_request(request)
            shard_file.publish()
            hash_file.publish(durable=False)
        except BaseException:
            discard()
            raise
        report = ShardReport(record, summarizer.summary(), hashes.sha256, request)
        workspace.write_report(shard, report)

    try:
        submit(publish)
    except BaseException:  # Of an earlier call: this one was not taken.
        discard()
        raise
    return shard.file_name


def rebuild_shard(listed: tuple[Shard, ShardRecord], settings: DatasetSettings, directory: str) -> None:
    """Write a shard of a finished data set anew, with the very bytes that it had.

    Args:
        listed: the shard, and what the manifest says of it.
        settings: of the data set.
        directory: of the data set.

    Raises:
        WorkError: if this program's bytes would be others than the manifest says; the shard stays as it is.
        OSError: if it cannot be written; likewise.
    """
    shard, record = listed
    workspace = Workspace(directory)
    path = workspace.path(shard)
    with atomic_files.write_atomically(path, workspace.state) as stream:
        if _write(shard, settings, stream, None).sha256 != record.sha256:
            raise WorkError(
                f"{path}: this program would write other bytes than the manifest says (it was made by another"
                " version, or with another zlib); generate the data set into another directory"
            )


def _write(
    shard: Shard, settings: DatasetSettings, stream: BinaryIO, summarizer: Summarizer | None
) -> ShardRecord:
    encode = ENCODINGS[settings.encoding].encode
    digest, num_bytes = hashlib.sha256(), 0
    for first, count in blocks(shard.first_sequence, shard.num_sequences):
        paths, labels = sample_sequences(settings.seed, shard.split, settings.image_size, first, count)
        block = encode(paths, labels)
        stream.write(block)
        digest.update(block)
        num_bytes += len(block)
        if summarizer is not None:
            summarizer.add(paths, labels)
    return ShardRecord(
        shard.file_name, shard.first_sequence, shard.num_sequences, num_bytes, digest.hexdigest()
    )
