"""Program: a dispatcher or a worker of a tf.data service that trainings read through."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pipeline.command_line.arguments import ArgumentParser, non_negative_int, path_text
from pipeline.command_line.errors import RequestError, WorkError, one_line
from pipeline.command_line.program import print_flushed, run
from trainer.command_line.flags import check_dispatcher

PROGRAM = "trainer.data_server"
_HIGHEST_PORT = 65_535
_WARNING = (
    "whoever reaches its port can read and write files as this user: keep it behind a firewall, or in a"
    " private network"
)


def main(arguments: Sequence[str]) -> int:
    """Parse, serve until a signal comes."""
    flags = _parser().parse_args(arguments)
    if flags.port > _HIGHEST_PORT:
        raise RequestError(f"--port {flags.port}: give a number from 0 to {_HIGHEST_PORT}")
    is_worker = flags.role == "worker"
    if is_worker != (flags.dispatcher is not None):
        raise RequestError("--dispatcher: give it to workers, and only to them; it is grpc://HOST:PORT")
    if is_worker:
        check_dispatcher("--dispatcher", flags.dispatcher)
        if flags.work_dir is not None:
            raise RequestError("--work_dir: only a dispatcher keeps something; leave it out for workers")
    # Keras comes along with TensorFlow; serving needs none of its other backends.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    if is_worker and not _wait_for(flags.dispatcher, stopped):
        return 0
    server, address = _worker(flags) if is_worker else _dispatcher(flags)
    # TensorFlow's servers cannot be told an address to listen at.
    print(f"{PROGRAM}: listens at every address of this machine; {_WARNING}", file=sys.stderr, flush=True)
    print_flushed(f"serving: {address}\n")
    while not stopped.wait(1.0):  # Signals are seen between the waits.
        pass
    del server  # It serves as long as something refers to it.
    return 0


def _wait_for(dispatcher: str, stopped: threading.Event) -> bool:
    """Wait until somebody listens at an address; False if this process is to end before.

    TensorFlow would wait, too, but in C++, where no signal is seen.
    """
    print_flushed(f"waiting for {dispatcher}\n")
    host, _, port = dispatcher.removeprefix("grpc://").rpartition(":")
    while not stopped.wait(0.2):
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=1.0):
            return True
    return False


def _dispatcher(flags: argparse.Namespace) -> tuple[Any, str]:
    import tensorflow as tf

    service = tf.data.experimental.service
    config = service.DispatcherConfig(
        port=flags.port, work_dir=flags.work_dir, fault_tolerant_mode=flags.work_dir is not None
    )
    with _refused(flags.port):
        server = service.DispatchServer(config)
    return server, f"grpc://{flags.host}:{server.target.rpartition(':')[2]}"


def _worker(flags: argparse.Namespace) -> tuple[Any, str]:
    import tensorflow as tf

    service = tf.data.experimental.service
    config = service.WorkerConfig(
        dispatcher_address=flags.dispatcher.removeprefix("grpc://"),
        worker_address=f"{flags.host}:%port%",
        port=flags.port,
    )
    with _refused(flags.port):
        return service.WorkerServer(config), f"a worker of {flags.dispatcher}"


@contextmanager
def _refused(port: int) -> Iterator[None]:
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise WorkError(f"--port {port}: cannot serve there ({one_line(error)[:200]})") from error


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        PROGRAM,
        "Serve data to trainings (trainer.task --data_service) until SIGTERM or Ctrl-C: one dispatcher, and"
        f" workers that read the shards. It listens at every address of the machine: {_WARNING}.",
        f"python -m {PROGRAM} --role worker --dispatcher grpc://reader-0:5050",
    )
    add = parser.add_argument
    add("--role", required=True, choices=("dispatcher", "worker"), help="what to be")
    add("--port", type=non_negative_int, default=0, help="to listen at; 0: any that is free")
    add(
        "--host",
        type=path_text,
        default=socket.gethostname(),
        help="name under which the others reach this machine",
    )
    add("--dispatcher", type=path_text, help="grpc://HOST:PORT, for a worker")
    add("--work_dir", type=path_text, help="where a dispatcher keeps what it needs to be started again")
    return parser


if __name__ == "__main__":
    # Taking a server down waits for its clients, who manage without it.
    run(PROGRAM, main, os._exit)
