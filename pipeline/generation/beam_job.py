"""The Beam job: one element per shard, then one per range of hashes, then the manifest.

    Create(shards) -> Reshuffle -> make shard -> to list -> ranges -> Reshuffle -> count duplicates -> to list
        -> finish

The bytes of a shard do not depend on the worker that makes it, nor on retries. A runner may repeat any step,
also after the last one has ended.
"""

from __future__ import annotations

import platform
import zlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineRunner

from pipeline.dataset.duplicates import Duplicates, count_in_range, num_ranges
from pipeline.dataset.shard_plan import Shard
from pipeline.definition import Definition
from pipeline.generation.request import Request
from pipeline.generation.shard_writer import Publisher, make_shard
from pipeline.generation.work_folder import WorkFolder


def build_job(
    definition: Definition, directory: str, runner: str | PipelineRunner, options: PipelineOptions
) -> beam.Pipeline:
    """Construct the job. When it has run without an error, ``directory`` holds the finished data set.

    Args:
        definition: definition of the data set.
        directory: directory to write to, with the work folder of this request.
        runner, options: see `pipeline.generation.runners.choose_runner`.

    Raises:
        ValueError: if the runner is unknown or does not accept the options.
    """
    pipeline = beam.Pipeline(runner=runner, options=options)
    _ = (
        pipeline
        | "Shards" >> beam.Create(definition.shards())
        | "Spread" >> beam.Reshuffle()
        | "Make shard" >> beam.ParDo(_MakeShards(definition, directory))
        | "Wait for all" >> beam.combiners.ToList()
        | "Ranges" >> beam.FlatMap(_ranges, definition)
        | "Spread ranges" >> beam.Reshuffle()
        | "Count duplicates" >> beam.Map(_count_duplicates, definition, directory)
        | "Collect" >> beam.combiners.ToList()
        | "Finish" >> beam.Map(_finish, definition, directory)
    )
    return pipeline


class _MakeShards(beam.DoFn):
    """Makes shards. A bundle ends when all its shards are durable."""

    def __init__(self, definition: Definition, directory: str) -> None:
        self._definition = definition
        self._directory = directory

    def setup(self) -> None:
        self._publisher = Publisher()

    def process(self, shard: Shard) -> Iterable[str]:
        try:
            return [make_shard(shard, self._definition, self._directory, self._publisher.submit)]
        except BaseException:
            with suppress(Exception):  # Publish the shards written before this one, so that they are kept.
                self._publisher.wait()
            raise

    def finish_bundle(self) -> None:
        self._publisher.wait()

    def teardown(self) -> None:
        self._publisher.close()


def _ranges(made: list[str], definition: Definition) -> Iterable[int]:
    return range(num_ranges(sum(definition.num_sequences.values())))


def _count_duplicates(index: int, definition: Definition, directory: str) -> Duplicates:
    work_folder, plan = WorkFolder(directory), definition.shards()
    if work_folder.finished_manifest(definition) is not None:
        return Duplicates.zero(definition.num_sequences)
    work_folder.check_request(Request.of(definition))
    paths = {
        split: [work_folder.hashes_path(shard) for shard in plan if shard.split == split]
        for split in definition.num_sequences
    }
    return count_in_range(paths, index, num_ranges(sum(definition.num_sequences.values())))


def _finish(counts: list[Duplicates], definition: Definition, directory: str) -> None:
    if len(counts) != (ranges := num_ranges(sum(definition.num_sequences.values()))):
        raise OSError(f"the runner lost {ranges - len(counts)} of {ranges} elements")
    work_folder = WorkFolder(directory)
    if work_folder.finished_manifest(definition) is not None:
        return
    work_folder.check_request(Request.of(definition))
    environment = {
        "definition": str(definition.version),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "apache_beam": beam.__version__,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
    }
    environment |= {name: str(getattr(definition, name)) for name in definition.places}
    work_folder.finish(definition, sum(counts, Duplicates.zero(definition.num_sequences)), environment)
