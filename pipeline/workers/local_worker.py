"""Worker process of a local run: Beam's SDK worker, without log and tracebacks on stderr.

Errors are sent to the main process, which reports them in one line.
"""

from __future__ import annotations

import logging
import os
import sys

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    from apache_beam.runners.worker import sdk_worker_main

    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # Open until the process ends.
    sdk_worker_main.main(sys.argv)
    # Skip the interpreter's shutdown: with Beam's modules it takes as long as a small job.
    os._exit(0)
