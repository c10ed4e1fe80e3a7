"""A pool of processes, one per usable core, for work without Beam."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from pipeline.command_line.errors import WORKER_DIED, WorkError
from pipeline.workers.cores import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool:
    """Calls a function for many items in worker processes; without an executor, in this process."""

    def __init__(self, executor: Executor | None) -> None:
        self._executor = executor

    def run(
        self, function: Callable[..., Result], items: Iterable[Item], *arguments: Any
    ) -> Iterator[tuple[Item, Result]]:
        """Yield every item with the result of ``function(item, *arguments)``, in the order of completion.

        Raises:
            WorkError: if a worker process died.
        """
        if self._executor is None:
            for item in items:
                yield item, function(item, *arguments)
            return
        try:
            futures: dict[Future[Result], Item] = {
                self._executor.submit(function, item, *arguments): item for item in items
            }
            for future in as_completed(futures):
                yield futures.pop(future), future.result()
        except BrokenProcessPool as error:
            raise WorkError(f"{WORKER_DIED}; run it again") from error


@contextmanager
def local_pool(parallel: bool, workers: int | None = None) -> Iterator[Pool]:
    """Yield a pool of ``workers`` processes, by default one per usable core.

    If not ``parallel``, or with one worker, its work runs in this process.
    """
    workers = workers or usable_cores()
    if not parallel or workers == 1:
        yield Pool(None)
        return
    # Spawn, because a fork copies locks that other threads may hold.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker) as executor:
        try:
            yield Pool(executor)
        except BaseException:
            executor.shutdown(wait=True, cancel_futures=True)
            raise


def _start_worker() -> None:
    """Ignore Ctrl-C, which the main process handles, and exit when the main process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def exit_with_parent() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=exit_with_parent, daemon=True).start()
