"""Makes shards of a finished data set again, byte for byte, from the manifest's settings."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.command_line.progress import Progress
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.shard_plan import Shard
from pipeline.dataset.splits import ShardEntry
from pipeline.definition import Definition
from pipeline.generation.shard_writer import rebuild_shard
from pipeline.generation.work_folder import WorkFolder
from pipeline.storage import files
from pipeline.workers.local_pool import Pool, local_pool

# Less work than this is done before worker processes would have started.
MIN_PARALLEL_BYTES = 8 * 2**20


def lost_shards(directory: str, manifest: Manifest) -> dict[Shard, ShardEntry]:
    """Shards that are missing or of another size: what can be seen without reading them."""
    sizes = files.list_sizes(directory)
    return {
        shard: entry
        for shard, entry in manifest.listed_shards().items()
        if sizes.get(entry.file) != entry.num_bytes
        or (entry.digests_sha256 is not None and shard.digests_name not in sizes)
    }


def rebuild(
    pool: Pool,
    shards: Mapping[Shard, ShardEntry],
    definition: Definition,
    directory: str,
    progress_label: str,
) -> None:
    """Write shards anew; each appears whole or stays as it is.

    Raises:
        WorkError: if this program would write other bytes than the manifest says.
        OSError: if a shard cannot be written.
    """
    work_folder = WorkFolder(directory)
    total = sum(shard.num_sequences for shard in shards)
    work_folder.make()
    try:
        with Progress(progress_label, total) as progress:
            done = 0
            for (shard, _), _ in pool.run(rebuild_shard, shards.items(), definition, directory):
                done += shard.num_sequences
                progress.set(done)
    finally:
        work_folder.remove()


def rebuild_lost(directory: str, manifest: Manifest, progress_label: str) -> bool:
    """Make lost shards again, on every core; whether there were any."""
    shards = lost_shards(directory, manifest)
    with local_pool(sum(entry.num_bytes for entry in shards.values()) >= MIN_PARALLEL_BYTES) as pool:
        if shards:
            rebuild(pool, shards, manifest.definition, directory, progress_label)
    WorkFolder(directory).remove()  # Of a run that was killed between the manifest and the end.
    return bool(shards)
