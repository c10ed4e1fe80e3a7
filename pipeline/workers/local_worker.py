"""Worker process of a local run: Beam's own SDK worker without its log and tracebacks on the terminal.

Errors are not lost: they travel to the main process, which reports them in one line.
"""

from __future__ import annotations

import logging
import os
import sys

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    from apache_beam.runners.worker import sdk_worker_main

    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # Stays open as long as the process lives.
    sdk_worker_main.main(sys.argv)
    # Taking Beam's modules down takes as long as small jobs do, and there is nothing left to save.
    os._exit(0)
