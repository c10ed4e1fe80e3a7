"""The generator on Flink: Beam's embedded one, and a session cluster of three JVMs."""

import os
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.engines.beam_workers import boot_script, booted_processes, worker_pools
from tests.engines.conftest import Clips
from tests.engines.generation import BALLS, BALLS_PATH, Generation, Made
from tests.engines.local_flink import FLINK_VERSION, FlinkCluster, flink_cluster
from tests.processes import descendants, environment, listening_addresses, wait_until_gone

pytestmark = pytest.mark.engine("flink")

HOME = ROOT / "build" / "flink"
EMBEDDED = [
    "--runner=FlinkRunner",
    "--flink_master=[local]",
    f"--flink_version={FLINK_VERSION}",
    f"--flink_job_server_jar={HOME / 'job-server.jar'}",
]
WORKER = "apache_beam.runners.worker.sdk_worker_main"


@pytest.fixture
def scratch(tmp_path: Path) -> dict[str, str]:
    """Where Beam and the workers put what they do not remove."""
    (tmp_path / "scratch").mkdir()
    return {"TMPDIR": str(tmp_path / "scratch")}


@pytest.fixture
def cluster(tmp_path: Path, scratch: dict[str, str]) -> Iterator[FlinkCluster]:
    """A job manager and two task managers, whose workers do not know this project by themselves."""
    foreign = {name: value for name, value in environment(**scratch).items() if name != "PYTHONPATH"}
    with flink_cluster(tmp_path / "flink", HOME, foreign) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def worker_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with what workers need, and with nothing else that this project does."""
    directory = tmp_path_factory.mktemp("worker") / "venv"
    venv.create(directory, with_pip=True)
    python, constraints = directory / "bin" / "python", ROOT / "constraints.txt"
    needs = ["apache-beam", "numpy", "google-crc32c", "setuptools"]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, f"--constraint={constraints}", *needs], check=True, timeout=400)
    for package in ("pipeline", "tensorflow", "matplotlib", "scipy", "tqdm"):
        found = subprocess.run(
            [python, "-c", f"import {package}"], cwd=directory, capture_output=True, check=False
        )
        assert found.returncode == 1
    return python


@pytest.fixture
def boot(tmp_path: Path, worker_python: Path) -> Path:
    """Boots a worker, which builds this project where a job brings it along."""
    return boot_script(tmp_path / "boot", worker_python)


@pytest.fixture
def pools(tmp_path: Path, boot: Path, scratch: dict[str, str]) -> Iterator[list[str]]:
    """Flags of a job whose workers come from a pool beside every task manager."""
    with worker_pools(tmp_path / "pools", boot, environment(**scratch)) as flags:
        yield [*flags, "--setup_file=./setup.py"]


def test_embedded(tmp_path: Path, reference: Made, scratch: dict[str, str]) -> None:
    with Generation(tmp_path / "d", EMBEDDED, **scratch) as generation:
        generation.wait_for_shards(1, seconds=120)
        servers = descendants(generation.process.pid, "java")
        assert servers
        assert listening_addresses(generation.process.pid) <= {"127.0.0.1", "::1"}
        output = generation.finish(seconds=240)
    assert reference.fingerprint in output
    assert Made.of(tmp_path / "d") == reference
    wait_until_gone(servers, seconds=30)


def test_embedded_clips(tmp_path: Path, clips: Clips, scratch: dict[str, str]) -> None:
    with Generation(tmp_path / "d", EMBEDDED, clips.request, **scratch) as generation:
        output = generation.finish(seconds=240)
    assert clips.made.fingerprint in output
    assert Made.of(tmp_path / "d") == clips.made


def test_embedded_stopped_by_a_signal(tmp_path: Path, reference: Made, scratch: dict[str, str]) -> None:
    with Generation(tmp_path / "d", EMBEDDED, **scratch) as generation:
        generation.wait_for_shards(10, seconds=120)
        servers = descendants(generation.process.pid, "java")
        generation.process.send_signal(signal.SIGTERM)
        assert generation.process.wait(60) == 1
        (line,) = [line for line in generation.errors.splitlines() if "error" in line]
        assert "interrupted; what was finished is kept" in line
        wait_until_gone(servers, seconds=30)
        kept = generation.finished_shards()
    assert kept >= 10
    with Generation(tmp_path / "d", [], **scratch) as generation:  # Gone on with elsewhere.
        generation.finish(seconds=120)
    assert Made.of(tmp_path / "d") == reference


def test_a_cluster_whose_workers_build_the_project(
    tmp_path: Path, reference: Made, scratch: dict[str, str], cluster: FlinkCluster, pools: list[str]
) -> None:
    with Generation(tmp_path / "d", [*cluster.flags, *pools], **scratch) as generation:
        generation.wait_for_shards(10, seconds=180)
        assert cluster.num_slots(0) == cluster.num_slots(1) == 1, "one task manager does it all"
        output = generation.finish(seconds=180)
    assert reference.fingerprint in output
    assert Made.of(tmp_path / "d") == reference
    assert list(Path(scratch["TMPDIR"]).glob("moving-lines-*/*/site/pipeline/generation/beam_job.py")), (
        "no worker built it"
    )


def test_a_kind_of_ones_own(
    tmp_path: Path, balls: Made, scratch: dict[str, str], cluster: FlinkCluster, boot: Path
) -> None:
    """Its module comes with ``--setup_file``, this project as a package besides."""
    sdist = [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(tmp_path / "dist")]
    subprocess.run([*sdist], cwd=_copy_of_the_project(tmp_path / "sources"), check=True, timeout=120)
    (package,) = (tmp_path / "dist").glob("*.tar.gz")
    setup_file = ROOT / "examples" / "bouncing_balls" / "setup.py"
    staged = [f"--setup_file={setup_file}", f"--extra_package={package}"]
    flags = [*cluster.flags, *booted_processes(boot), *staged]
    with Generation(tmp_path / "d", flags, BALLS, **{**scratch, "PYTHONPATH": BALLS_PATH}) as generation:
        generation.finish(seconds=240)
    assert Made.of(tmp_path / "d") == balls


def _copy_of_the_project(directory: Path) -> Path:
    """What its package is made of; making one leaves files behind."""
    for name in ("pipeline", "model", "trainer"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, directory)
    return directory


def test_a_task_manager_is_killed(
    tmp_path: Path, reference: Made, scratch: dict[str, str], cluster: FlinkCluster, pools: list[str]
) -> None:
    with Generation(tmp_path / "d", [*cluster.flags, *pools], **scratch) as generation:
        generation.wait_for_shards(20, seconds=180)
        cluster.task_managers[0].kill()
        cluster.task_managers[0].wait(10)
        generation.finish(seconds=240)
    assert Made.of(tmp_path / "d") == reference


def test_a_worker_is_killed(
    tmp_path: Path, reference: Made, scratch: dict[str, str], cluster: FlinkCluster, boot: Path
) -> None:
    flags = [*cluster.flags, *booted_processes(boot), "--setup_file=./setup.py"]
    with Generation(tmp_path / "d", flags, **scratch) as generation:
        generation.wait_for_shards(20, seconds=180)
        worker = descendants(cluster.task_managers[0].pid, WORKER)[0]
        os.kill(worker, signal.SIGKILL)
        generation.finish(seconds=240)
    assert Made.of(tmp_path / "d") == reference


def test_workers_that_lack_the_project_are_one_line(
    tmp_path: Path, scratch: dict[str, str], cluster: FlinkCluster, boot: Path
) -> None:
    with Generation(tmp_path / "d", [*cluster.flags, *booted_processes(boot)], **scratch) as generation:
        assert generation.process.wait(180) == 1
        (line,) = [line for line in generation.errors.splitlines() if "error" in line]
        assert "lack this project: install it there, or stage it" in line
