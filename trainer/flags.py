"""Flags that training and evaluation share."""

from __future__ import annotations

from pipeline.program import ArgumentParser


def add_on_corrupt(parser: ArgumentParser) -> None:
    """Add ``--on_corrupt``; see `trainer.salvage.open_split`."""
    parser.add_argument(
        "--on_corrupt",
        choices=("fail", "skip"),
        default="fail",
        help="damaged data: fail at it, or skip it, for which every shard is read once beforehand",
    )
