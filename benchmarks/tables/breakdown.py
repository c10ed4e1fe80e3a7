"""Where the time of every stage goes on one core, and how far that is from what the core can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.jobs import one_core

# Limits by name in the results: their name in the table, and what their unit there stands for.
_LIMITS = {
    "copy": ("copying memory, GB/s", 1e9),
    "crc32c": ("CRC-32C, GB/s", 1e9),
    "sha256": ("SHA-256, GB/s", 1e9),
    "random_words": ("raw Philox, million 64-bit words/s", 1e6),
    "matrix_product": ("matrix product, float32, GFLOP/s", 1e9),
}


# What is counted: the head of its column, and how many nanoseconds the unit there has.
_COLUMNS = {"sequences": ("ns a sequence", 1), "clips": ("µs a clip", 1e3)}


def measure(
    directory: Path, *, num_train: int, num_read: int, num_judged: int, num_large: int, num_small: int
) -> dict[str, Any]:
    """The core's limits, and every stage on so many sequences or clips; see `benchmarks.breakdowns`."""
    with one_core():  # From before TensorFlow counts the cores.
        from trainer.command_line.startup import import_tensorflow_quietly

        import_tensorflow_quietly()
        from benchmarks.breakdowns import clips, lines
        from benchmarks.breakdowns.measuring import limits

        found = limits()
        stages = [
            lines.generation(directory, found, num_train),
            lines.reading(directory, found, num_read),
            lines.training(directory, found),
            lines.evaluation(directory, found, num_judged),
            clips.to_shards(clips.large_clips(directory, num_large)),
            clips.to_shards(clips.small_clips(directory, num_small)),
            clips.reading(directory, found, num_small),
            clips.training(directory, found, num_small),
        ]
    return {"limits": found, "stages": stages}


def table(figures: dict[str, Any]) -> str:
    """All tables."""
    return "\n\n".join([limits_table(figures), *map(_stage_table, figures["stages"])])


def limits_table(figures: dict[str, Any]) -> str:
    """The limits in markdown."""
    rows = [f"| {title} | {figures['limits'][name] / unit:,.1f} |" for name, (title, unit) in _LIMITS.items()]
    return "\n".join(["| limit of a core | |", "|---|---:|", *rows])


def stage_table(figures: dict[str, Any], stage: str) -> str:
    """A stage's parts in markdown; the stage by the beginning of its name."""
    return _stage_table(next(each for each in figures["stages"] if each["stage"].startswith(stage)))


def _stage_table(figures: dict[str, Any]) -> str:
    of, whole, limit, parts = (figures[name] for name in ("of", "whole", "limit", "parts"))
    head, unit = _COLUMNS[of]
    rows = [*parts.items(), ("everything else", whole - sum(parts.values()))]
    return "\n".join(
        [
            f"| {figures['stage']} | {head} | share |",
            "|---|---:|---:|",
            *(f"| {name} | {taken / unit:,.0f} | {taken / whole:.0%} |" for name, taken in rows),
            f"| **the whole stage** | **{whole / unit:,.0f}** | {1e9 / whole:,.0f} {of}/s |",
            f"| limit: {figures['why']} | {limit / unit:,.0f} | {whole / limit:.1f} times as long |",
        ]
    )
