"""Uses exports of clips in fresh processes that cannot import this project."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.processes import environment
from tests.trainer.clip_runs import Run
from trainer.export import main

# What a client of several exports has: arrays, and none of this project's packages.
_ALONE = """
import json, re, sys
for name in ("pipeline", "model", "trainer"):
    sys.modules[name] = None
import numpy as np
given, answers = dict(np.load(sys.argv[1])), {}
def inputs(run, *names):
    return {name: given[f"{run} {name}"] for name in names}
def keep(run, request, outputs):
    answers.update({f"{run} {request} {name}": values for name, values in outputs.items()})
"""


def answers_alone(
    runs: Mapping[str, Run], format_name: str, client: str, directory: Path
) -> dict[str, npt.NDArray[Any]]:
    """What a client answers to the windows and records of runs that are exported here.

    Args:
        runs: the runs by name.
        format_name: of the exports.
        client: the client's program.
        directory: for the exports, each in a folder of its run's name.
    """
    given: dict[str, Any] = {}
    for name, run in runs.items():
        assert main(export_flags(run.directory, directory / name, format_name)) == 0
        given |= {f"{name} {each}": values for each, values in run.windows.items()}
        rows = [len(record).to_bytes(8, "little") + record for record in run.records]
        longest = max(map(len, rows))
        padded = [np.frombuffer(row.ljust(longest, b"\0"), np.uint8) for row in rows]
        given[f"{name} records"] = np.array(padded)
    np.savez(directory / "given.npz", **given)
    script = _ALONE + client + "\nnp.savez(sys.argv[2], **answers)"
    done = subprocess.run(
        [sys.executable, "-c", script, "given.npz", "answers.npz", *runs],
        cwd=directory,
        env={**environment(), "PYTHONPATH": "", "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        errors="replace",  # TensorFlow logs what it could not parse.
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(np.load(directory / "answers.npz"))


def export_flags(run: Path, output: Path, format_name: str = "saved_model") -> list[str]:
    """The flags of an export."""
    return [f"--model_dir={run}", f"--output_dir={output}", f"--format={format_name}"]


def with_config(run: Run, directory: Path, **changes: Any) -> Path:
    """A copy of a run, of whose data set the configuration says something else."""
    copy = directory / "copy"
    shutil.copytree(run.directory, copy)
    config = json.loads((copy / "config.json").read_text())
    config["dataset"] |= changes
    (copy / "config.json").write_text(json.dumps(config))
    return copy
