"""As many workers and threads as this process may use cores: by affinity, and by a container's quota."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.processes import environment

CGROUPS = Path("/sys/fs/cgroup")

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs a Linux machine with two cores",
)

ON_ONE_CORE = "import os, sys; os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})\n"
EXEC = "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"

# Whether a pool works in this process alone.
WORKS_ALONE = """
import operator, os
from pipeline.workers.local_pool import local_pool
with local_pool(parallel=True) as pool:
    print([pid == os.getpid() for _, pid in pool.run(operator.call, [os.getpid])])
"""

# The threads that TensorFlow starts for its operations.
COUNT_THREADS = """
from trainer.command_line.startup import import_tensorflow_quietly
import_tensorflow_quietly()
import os, tensorflow as tf
def threads():
    return len(os.listdir("/proc/self/task"))
before = threads()
tf.function(lambda x: tf.matmul(x, x) + tf.transpose(x))(tf.ones([500, 500]))
print(threads() - before)
"""


def _run(*command: str | Path) -> str:
    own = environment()
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        own.pop(name, None)
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, env=own, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def one_cpu() -> Iterator[list[str]]:
    """The beginning of a command that runs in a cgroup with a quota of one CPU, as containers do."""
    is_v2 = (CGROUPS / "cgroup.controllers").exists()
    top = CGROUPS if is_v2 else CGROUPS / "cpu"
    group = top / f"moving-lines-{uuid.uuid4().hex}"
    try:
        if is_v2:
            (top / "cgroup.subtree_control").write_text("+cpu")
        group.mkdir()
        (group / ("cpu.max" if is_v2 else "cpu.cfs_quota_us")).write_text(
            "100000 100000" if is_v2 else "100000"
        )
    except OSError as error:
        if group.exists():
            group.rmdir()
        pytest.skip(f"no cgroup can be made here: {error}")
    script = f'echo $$ > {group}/cgroup.procs && mount --bind {group} {top} && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh"]
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=60, check=False)
        if tried.returncode:
            pytest.skip(f"no cgroup can be entered here: {tried.stderr}")
        yield command
    finally:
        group.rmdir()


def _workers(dry_run: str) -> str:
    (line,) = [line for line in dry_run.splitlines() if " time " in line]
    return line.rpartition(" with ")[2]


@pytest.fixture
def dry_run(tmp_path: Path) -> list[str]:
    return ["-m", "pipeline.generate", f"--output_dir={tmp_path / 'data'}", "--num_train=100", "--dry_run"]


def test_affinity_decides_the_number_of_workers(dry_run: list[str]) -> None:
    assert _workers(_run(sys.executable, "-c", ON_ONE_CORE + EXEC, *dry_run)) == "1 local workers"
    assert _workers(_run(sys.executable, *dry_run)) != "1 local workers"


def test_a_quota_decides_the_number_of_workers(dry_run: list[str], one_cpu: list[str]) -> None:
    assert _workers(_run(*one_cpu, sys.executable, *dry_run)) == "1 local workers"


def test_affinity_decides_the_number_of_processes_in_a_pool() -> None:
    assert _run(sys.executable, "-c", ON_ONE_CORE + WORKS_ALONE) == "[True]\n"
    assert _run(sys.executable, "-c", WORKS_ALONE) == "[False]\n"


@pytest.mark.storm
def test_a_quota_decides_the_number_of_tensorflows_threads(one_cpu: list[str]) -> None:
    threads = int(_run(*one_cpu, sys.executable, "-c", COUNT_THREADS))
    assert threads < int(_run(sys.executable, "-c", COUNT_THREADS))
