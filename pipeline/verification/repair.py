"""Writes damaged or lost shards of a finished data set again, with the same bytes."""

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

# Less work than this takes less time than starting worker processes.
MIN_PARALLEL_BYTES = 8 * 2**20


def lost_shards(directory: str, manifest: Manifest) -> dict[Shard, ShardEntry]:
    """Shards that are missing or have another size than in the manifest, found without reading them.

    Args:
        directory: directory of the data set.
        manifest: its manifest.

    Returns:
        Each such shard with its entry in the manifest; also those whose file of digests is missing.
    """
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
    """Write shards of a data set again; each is replaced atomically or not changed.

    Args:
        pool: runs the work.
        shards: the shards, each with its entry in the manifest.
        definition: definition of the data set.
        directory: directory of the data set.
        progress_label: shown in front of the progress.

    Raises:
        WorkError: if the digest of a shard's new bytes is not the manifest's, or a worker process died.
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


def rebuild_lost(
    directory: str, manifest: Manifest, progress_label: str, places: Mapping[str, str] | None = None
) -> bool:
    """Write lost shards of a data set again, on all cores; see `lost_shards`.

    Args:
        directory: directory of the data set.
        manifest: its manifest.
        progress_label: shown in front of the progress.
        places: where the sources are now, if the kind has some; see `Definition.at`.

    Returns:
        Whether there were any.

    Raises:
        WorkError, OSError: see `rebuild`.
    """
    shards = lost_shards(directory, manifest)
    with local_pool(sum(entry.num_bytes for entry in shards.values()) >= MIN_PARALLEL_BYTES) as pool:
        if shards:
            definition = manifest.definition.at(directory, places).at(directory, manifest.environment)
            rebuild(pool, shards, definition, directory, progress_label)
    WorkFolder(directory).remove()  # Left by a run that was killed after it had written the manifest.
    return bool(shards)
