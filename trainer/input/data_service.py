"""A tf.data service that reads a training's windows; `trainer.data_server` runs one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from pipeline.command_line.errors import RequestError, one_line
from trainer.input.name_damaged_records import damage_named
from trainer.input.served_windows import ServedWindows
from trainer.input.shuffle_order import WindowOrder
from trainer.input.split_files import SplitFiles
from trainer.run.tensorflow_files import absolute_path

_service = tf.data.experimental.service

_WINDOWS_UNDER_WAY = 4


@contextmanager
def reading_through(
    address: str | None, files: SplitFiles, timeout: float, program: str
) -> Iterator[DataService | None]:
    """A data service that has answered, for as long as the block lasts.

    Args:
        address: of the dispatcher, ``grpc://HOST:PORT``; None gives None.
        files: the split that it shall read.
        timeout: seconds to wait for an answer.
        program: whose name stands in front of what is printed.

    Raises:
        RequestError: if no worker answers, or what answers cannot read the split.
    """
    if address is None:
        yield None
        return
    service = DataService(address, program)
    service.check(files, timeout)
    try:
        yield service
        service.sum_up()
    finally:
        service.close()


class DataService:
    """Has windows read by the workers of a dispatcher; see `reading_through`."""

    def __init__(self, address: str, program: str) -> None:
        self._address = address
        self._program = program
        self._served: list[ServedWindows] = []

    def windows(self, order: WindowOrder) -> ServedWindows:
        """The windows of an order, read by the service."""

        def say(text: str) -> None:
            print(f"{self._program}: data service: {text}", file=sys.stderr, flush=True)

        dynamic = _service.ShardingPolicy.DYNAMIC
        served = ServedWindows(order, lambda blocks: self._distributed(blocks, dynamic), say)
        self._served.append(served)
        return served

    def check(self, files: SplitFiles, timeout: float) -> None:
        """Read a record by way of the service; arguments and errors as for `reading_through`."""
        if files.left_out:
            raise RequestError(
                "--data_service: what --on_corrupt skip reads instead of damaged shards, only this machine"
                " sees; repair the data set, or leave the flag out"
            )
        path = absolute_path(files.paths[0])
        record = tf.data.TFRecordDataset([path]).take(1)
        with damage_named(files):
            next(iter(record))
        answer: list[str] = []

        def ask() -> None:
            try:
                for _ in self._distributed(record, _service.ShardingPolicy.OFF):
                    pass  # One from every worker.
                answer.append("")
            except Exception as error:  # TensorFlow raises what it likes; the main thread waits.
                answer.append(one_line(error)[:300])

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(timeout)
        if not answer:
            raise RequestError(
                f"--data_service {self._address}: no worker answered in {timeout:.0f} s; start a dispatcher"
                " and workers with python -m trainer.data_server, or leave the flag out"
            )
        if answer[0]:
            raise RequestError(
                f"--data_service {self._address}: its workers cannot read {path} ({answer[0]});"
                " let them see the data set under the same path, with the same TensorFlow"
            )

    def sum_up(self) -> None:
        """Print how much the service has read."""
        came = sum(served.num_came for served in self._served)
        here = sum(served.num_read_here for served in self._served)
        print(f"data service: {came} windows came from {self._address}, {here} were read here")

    def close(self) -> None:
        """Let the service go, as far as it reads now."""
        for served in self._served:
            served.close()

    def _distributed(self, dataset: tf.data.Dataset, policy: Any) -> tf.data.Dataset:
        # Rows of bytes and compressed frames gain little from being compressed. They can be large, so few of
        # them are under way.
        distribute = _service.distribute(
            policy, self._address, compression=None, max_outstanding_requests=_WINDOWS_UNDER_WAY
        )
        return dataset.apply(distribute)
