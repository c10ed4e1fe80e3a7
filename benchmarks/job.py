"""Program: call a function, named by module and name, in this process; see `benchmarks.jobs.call`.

Its keyword arguments are an object of JSON. What it gives is printed as JSON, last. If a fourth argument is
not empty, TensorFlow is imported first, without its messages.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module

from pipeline.command_line.program import run

PROGRAM = "benchmarks.job"


def main(arguments: Sequence[str]) -> int:
    """Call it."""
    module, name, keywords, tensorflow = arguments
    if tensorflow:
        from trainer.command_line.startup import import_tensorflow_quietly

        import_tensorflow_quietly()
    print(json.dumps(getattr(import_module(module), name)(**json.loads(keywords))))
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
