"""One data set on every engine: the same fingerprint, and what a shard costs on each.

Every job is a fresh process, timed from its start to its end. A shard's cost is what a job of many shards
takes longer than one of few that makes the same sequences, divided by the difference in shards.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.jobs import generate, seconds_of
from benchmarks.rows import Spread
from pipeline.command_line.errors import WorkError
from pipeline.dataset.reader import Dataset
from tests.engines.beam_workers import boot_script, worker_pools
from tests.engines.local_dask import dask_cluster
from tests.engines.local_flink import FLINK_VERSION, flink_cluster

_ROOT = Path(__file__).parent.parent.parent
_FEW = 4  # Shards of the three splits together, as near to it as they come.


def measure(
    directory: Path, *, rounds: int, num_sequences: int, num_shards: int, flink_home: str
) -> dict[str, Any]:
    """All engines in turn, on a training split of so many sequences and shards.

    ``flink_home`` is what make build/flink/ready has fetched; if it is empty, Flink is left out.

    Raises:
        WorkError: if an engine gives another fingerprint in another round.
    """
    directory = directory.absolute()  # The engines work in directories of their own.
    sizes = [num_sequences // num_shards, num_sequences // _FEW]
    found: dict[str, list[dict[str, float]]] = {}
    fingerprints: dict[str, str] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            for engine, flags in _engines(Path(scratch), flink_home):
                jobs = [_make(Path(scratch), num_sequences, size, flags) for size in sizes]
                (many, many_shards, fingerprint), (less, few_shards, _) = jobs
                if fingerprints.setdefault(engine, fingerprint) != fingerprint:
                    raise WorkError(f"{engine}: another fingerprint in another round")
                cost = (many - less) / (many_shards - few_shards)
                figures = {"seconds": many, "few_shards_seconds": less, "shard_seconds": cost}
                found.setdefault(engine, []).append({"shards": many_shards, **figures})
    return {"num_sequences": num_sequences, "fingerprints": fingerprints, "rounds": found}


def problems(figures: dict[str, Any]) -> list[str]:
    """What is wrong with the results."""
    return ["the fingerprints differ"] if len(set(figures["fingerprints"].values())) > 1 else []


def table(figures: dict[str, Any]) -> str:
    """The results in markdown."""
    lines = [
        "| engine | shards | job, s | of few shards, s | a shard, ms | fingerprint |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for engine, measured in figures["rounds"].items():
        scales = {"seconds": 1, "few_shards_seconds": 1, "shard_seconds": 1e3}
        taken = [
            Spread.of([each[name] * scale for each in measured]).text(1) for name, scale in scales.items()
        ]
        fingerprint = figures["fingerprints"][engine].removeprefix("sha256:")[:16]
        lines.append(f"| {engine} | {measured[0]['shards']} | {' | '.join(taken)} | {fingerprint} |")
    return "\n".join(lines)


def _make(scratch: Path, num_sequences: int, per_shard: int, flags: Sequence[str]) -> tuple[float, int, str]:
    """Make the data set; seconds, shards, fingerprint."""
    with tempfile.TemporaryDirectory(dir=scratch) as parent:
        data = Path(parent) / "d"
        job = generate(data, num_sequences, held_out=per_shard, sequences_per_shard=per_shard)
        seconds = seconds_of([*job, *flags])
        manifest = Dataset.open(str(data)).manifest
        return seconds, sum(len(split.shards) for split in manifest.splits.values()), manifest.fingerprint


def _engines(scratch: Path, flink_home: str) -> Iterator[tuple[str, list[str]]]:
    """Names and flags; an engine's processes run until the next is asked for."""
    yield "one process", ["--direct_running_mode=in_memory"]
    yield "local processes", []
    known = {**os.environ, "PYTHONPATH": str(_ROOT)}
    with dask_cluster(scratch / "dask", known) as dask:
        yield "Dask, 2 workers", dask.flags
    if not flink_home:
        return
    home = Path(flink_home).absolute()
    jar = f"--flink_job_server_jar={home / 'job-server.jar'}"
    embedded = ["--runner=FlinkRunner", "--flink_master=[local]", f"--flink_version={FLINK_VERSION}"]
    yield "Flink, embedded", [*embedded, jar]
    boot = boot_script(scratch / "boot", Path(sys.executable))
    with (
        flink_cluster(scratch / "flink", home, known) as cluster,
        worker_pools(scratch / "pools", boot, known) as pools,
    ):
        yield "Flink, 2 task managers", [*cluster.flags, *pools, "--setup_file=./setup.py"]
