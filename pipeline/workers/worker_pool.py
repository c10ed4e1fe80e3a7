"""Program: Beam's pool of Python workers at one address, for ``--environment_type=EXTERNAL``.

As ``apache_beam.runners.worker.worker_pool_main``, which listens at every address of the machine. Whoever
reaches a pool can run code as its user: name the loopback interface, or an address behind a firewall.

One pool serves one host of the engine: two hosts name their workers alike, and would stop each other's.
"""

import argparse
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import (
    BeamFnExternalWorkerPoolServicer,
    kill_process_gracefully,
)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True, help="HOST:PORT to listen at")
    parser.add_argument(
        "--container_executable", required=True, help="starts a worker; see pipeline.workers.worker_boot"
    )
    flags = parser.parse_args()
    pool = BeamFnExternalWorkerPoolServicer(True, flags.container_executable)
    server = grpc.server(ThreadPoolExecutor())
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    if not server.add_insecure_port(flags.address):
        raise SystemExit(f"cannot listen at {flags.address}")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    server.start()
    print(f"serving at {flags.address}", flush=True)
    while not stopped.wait(1.0):  # Signals are seen between the waits.
        pass
    for worker in list(pool._worker_processes.values()):
        kill_process_gracefully(worker)


if __name__ == "__main__":
    main()
