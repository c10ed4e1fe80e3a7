"""The file ``history.csv``: losses and metrics, a row an epoch."""

from __future__ import annotations

import csv

import tensorflow as tf

from trainer.run.run_directory import write_atomically


def write_history(path: str, rows: list[dict[str, str]]) -> None:
    """Write the file anew; it is replaced when the new one is whole. Without rows there is none."""
    if not rows:
        if tf.io.gfile.exists(path):
            tf.io.gfile.remove(path)
        return

    def write(temporary: str) -> None:
        with tf.io.gfile.GFile(temporary, "w") as stream:
            writer = csv.DictWriter(stream, list(rows[-1]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(path, write)


def read_history(path: str) -> list[dict[str, str]]:
    """The rows of a ``history.csv``; none if there is no such file. Rows without a step are passed over."""
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path) as stream:
        rows = list(csv.DictReader(stream.read().splitlines()))
    return [row for row in rows if (row.get("step") or "").isdigit()]
