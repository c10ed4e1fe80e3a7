"""Reads and writes ``history.csv``: losses and metrics, a row per epoch."""

from __future__ import annotations

import csv

import tensorflow as tf

from trainer.run.tensorflow_files import save_file


def write_history(path: str, rows: list[dict[str, str]]) -> None:
    """Replace the file atomically; without rows, remove it."""
    if not rows:
        if tf.io.gfile.exists(path):
            tf.io.gfile.remove(path)
        return

    def write(temporary: str) -> None:
        with tf.io.gfile.GFile(temporary, "w") as stream:
            writer = csv.DictWriter(stream, list(rows[-1]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    save_file(path, write)


def read_history(path: str) -> list[dict[str, str]]:
    """Read the rows that have a step; none if there is no such file."""
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path) as stream:
        rows = list(csv.DictReader(stream.read().splitlines()))
    return [row for row in rows if (row.get("step") or "").isdigit()]
