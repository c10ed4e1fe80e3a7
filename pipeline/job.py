"""The Beam job: one element a shard, and a manifest when all shards are there.

    Create(shards) -> Reshuffle -> make shard -> to list -> finish

Which worker makes a shard, and how often a runner retries it, has no influence on its bytes.
"""

from __future__ import annotations

import platform
import zlib
from datetime import UTC, datetime

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineRunner

from pipeline.settings import DatasetSettings, plan_shards
from pipeline.shard_writer import make_shard
from pipeline.workspace import ShardReport, Workspace


def build_job(
    settings: DatasetSettings, directory: str, runner: str | PipelineRunner, options: PipelineOptions
) -> beam.Pipeline:
    """The job, ready to run; when it ends well the data set lies in ``directory``.

    Raises:
        ValueError: if the runner is unknown or the options do not suit it.
    """
    pipeline = beam.Pipeline(runner=runner, options=options)
    _ = (
        pipeline
        | "Shards" >> beam.Create(plan_shards(settings))
        | "Spread" >> beam.Reshuffle()
        | "Make shard" >> beam.Map(make_shard, settings, directory)
        | "Collect" >> beam.combiners.ToList()
        | "Finish" >> beam.Map(_finish, settings, directory)
    )
    return pipeline


def _finish(reports: list[ShardReport], settings: DatasetSettings, directory: str) -> None:
    environment = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "apache_beam": beam.__version__,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
    }
    Workspace(directory).finish(settings, reports, environment)
