"""Program: a dispatcher or a worker of a tf.data service that trainings read through."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Sequence

from pipeline.program import (
    ArgumentParser,
    RequestError,
    WorkError,
    non_negative_int,
    one_line,
    path_text,
    print_at_once,
    run,
)

PROGRAM = "trainer.data_server"
_HIGHEST_PORT = 65_535


def main(arguments: Sequence[str]) -> int:
    """Parse, serve until a signal comes."""
    flags = _parser().parse_args(arguments)
    if flags.port > _HIGHEST_PORT:
        raise RequestError(f"--port {flags.port}: give a number from 0 to {_HIGHEST_PORT}")
    if (flags.role == "worker") != (flags.dispatcher is not None):
        raise RequestError("--dispatcher: give it to workers, and only to them; it is grpc://HOST:PORT")
    from trainer.startup import import_tensorflow_quietly, quiet_stderr

    import_tensorflow_quietly()
    import tensorflow as tf

    service = tf.data.experimental.service
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with quiet_stderr():
            if flags.role == "dispatcher":
                config = service.DispatcherConfig(
                    port=flags.port, work_dir=flags.work_dir, fault_tolerant_mode=flags.work_dir is not None
                )
                server = service.DispatchServer(config)
                address = f"grpc://{flags.host}:{server.target.rpartition(':')[2]}"
            else:
                server = service.WorkerServer(
                    service.WorkerConfig(
                        dispatcher_address=flags.dispatcher.removeprefix("grpc://"),
                        worker_address=f"{flags.host}:%port%",
                        port=flags.port,
                    )
                )
                address = f"a worker of {flags.dispatcher}"
    except tf.errors.OpError as error:
        raise WorkError(f"--port {flags.port}: cannot serve there ({one_line(error)[:200]})") from error
    print_at_once(f"serving: {address}\n")
    while not stopped.wait(1.0):  # Signals are seen between the waits.
        pass
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        PROGRAM,
        "Serve data to trainings (trainer.task --data_service) until SIGTERM or Ctrl-C: one dispatcher, and"
        " workers that read the shards. Whoever reaches the ports may use them: keep to a trusted network.",
        f"python -m {PROGRAM} --role worker --dispatcher grpc://reader-0:5050",
    )
    add = parser.add_argument
    add("--role", required=True, choices=("dispatcher", "worker"), help="what to be")
    add("--port", type=non_negative_int, default=0, help="to listen at; 0: any that is free")
    add("--host", default=socket.gethostname(), help="name under which the others reach this machine")
    add("--dispatcher", type=path_text, help="grpc://HOST:PORT, for a worker")
    add("--work_dir", type=path_text, help="where a dispatcher keeps what it needs to be started again")
    return parser


if __name__ == "__main__":
    # Taking a server down waits for its clients, who manage without it.
    run(PROGRAM, main, os._exit)
