"""Worker process of a local run: Beam's SDK worker, without log and tracebacks on stderr.

It reads a line for each job from stdin, the variables of its environment as JSON, and writes a line when the
job has ended to the descriptor whose number is its argument. It ends with the program that started it.
Errors are sent to the main process, which reports them in one line.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys

if __name__ == "__main__":
    # Ctrl-C goes to the program, too, which ends this process. What this process starts does not ignore it.
    signal.signal(signal.SIGINT, lambda *_: None)
    # What this process starts gets neither pipe: it may read stdin, or outlive this process.
    requests = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.set_inheritable(int(sys.argv[1]), False)
    logging.disable(logging.CRITICAL)
    from apache_beam.runners.worker import sdk_worker_main

    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # Open until the process ends.
    with os.fdopen(int(sys.argv[1]), "wb", buffering=0) as answers:
        for line in requests:
            os.environ.update(json.loads(line))
            sdk_worker_main.main(sys.argv)
            answers.write(b"\n")
    # Skip the interpreter's shutdown: with Beam's modules it takes as long as a small job.
    os._exit(0)
