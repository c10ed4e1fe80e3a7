"""Names the damaged record when reading fails.

Reading itself says that something is damaged, not which record: whoever meets the error looks, with
`damage_named`. An operation of the model may raise the same types of errors, and then nobody must look: a
data set may take hours to read. TensorFlow's messages tell them apart, for they name the operations that an
error went through, and whatever is read comes out of an iterator.
"""

from __future__ import annotations

import bisect
import itertools
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import tensorflow as tf

from pipeline.command_line.errors import WorkError, one_line
from pipeline.storage.tfrecord import CorruptRecordError, read_records
from trainer.dataset_kinds import records_of
from trainer.distributed.device_errors import library_message
from trainer.input.split_files import SplitFiles, remedy

# How long to look: everybody waits for it, also where the search is in vain.
SEARCH_SECONDS = 60.0

# The operation by its whole name. With several devices an error of the model stops transfers of what was
# read, and then it names these, as in [[IteratorGetNext/_4]].
_OF_READING = re.compile(r"(\[\[|\{\{node |/|\[Op:)(MultiDevice)?IteratorGetNext\w*(\}\})?\]")


class _OutOfTimeError(Exception):
    """The search takes too long."""


@contextmanager
def damage_named(*splits: SplitFiles) -> Iterator[None]:
    """Turn what TensorFlow raises for damaged records inside the block into one line that names the record.

    Errors that do not come of reading, and lack of memory, pass through at once.

    Args:
        splits: what is read inside the block; they are searched for at most `SEARCH_SECONDS` altogether.

    Raises:
        WorkError: naming the first damaged shard and record of the splits, or, if none was found, what
            TensorFlow said.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if isinstance(error, tf.errors.ResourceExhaustedError) or not _OF_READING.search(str(error)):
            raise
        raise WorkError(_found(splits, library_message(error))) from error


def _found(splits: tuple[SplitFiles, ...], reason: str) -> str:
    """What to say of an error of reading."""
    deadline = time.monotonic() + SEARCH_SECONDS
    directory = os.path.dirname(splits[0].paths[0])
    verify = f"python -m pipeline.verify {directory}"
    stops = False
    try:
        for files in splits:
            whole = _num_whole(files, deadline)
            if whole < len(files.paths):
                stops = True
                if found := _first_damage(files, whole, deadline):
                    return found
    except _OutOfTimeError:
        searched = f"{SEARCH_SECONDS:g} seconds did not suffice to find the record; {verify} finds it"
        return f"{directory}: cannot be read ({reason}); {searched}"
    if stops:
        return f"{directory}: cannot be read ({reason}), though every record by itself is as it should be"
    return f"{directory}: could not be read ({reason}), but now it can; run this again, or {verify}"


def _first_damage(files: SplitFiles, whole: int, deadline: float) -> str | None:
    """The first damage, looked for where reading stops, after ``whole`` shards, and then everywhere."""
    shards = list(zip(files.paths, files.counts, strict=True))
    searched = (_damage(files, *shard, deadline) for shard in shards[whole:] + shards[:whole])
    return next(filter(None, searched), None)


def _num_whole(files: SplitFiles, deadline: float) -> int:
    """How many shards the trainer's own, quick way of reading gets through before it stops."""
    records = records_of(files)
    counts, first = tf.constant(files.counts, tf.int64), tf.constant(0, tf.int64)
    read = 0
    with suppress(tf.errors.OpError):
        chunks = records.chunks(tf.constant(files.paths), counts, first, records.chunk_size)
        for _, labels in records.batches(chunks, records.chunk_size):
            read += len(labels)
            _check_time(deadline)
        return len(files.counts)
    # Too few records altogether show at the end of the last shard only.
    return min(bisect.bisect(list(itertools.accumulate(files.counts)), read), len(files.counts) - 1)


def _damage(files: SplitFiles, path: str, count: int, deadline: float) -> str | None:
    """What is damaged in a shard."""
    check, records = records_of(files).check, 0
    try:
        with tf.io.gfile.GFile(path, "rb") as stream:
            for payload in read_records(stream):
                check(payload)
                records += 1
                _check_time(deadline)
    except (CorruptRecordError, OSError, tf.errors.OpError) as error:
        reason = one_line(error)
    except ValueError as error:
        reason = f"record {records}: {one_line(error)}"
    else:
        if records == count:
            return None
        reason = f"has {records} records, the manifest says {count}"
    return f"{path}: {reason}; {remedy(os.path.dirname(path))}"


def _check_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise _OutOfTimeError
