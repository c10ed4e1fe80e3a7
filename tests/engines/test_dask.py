"""The generator on a Dask cluster of separate processes."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.conftest import Clips
from tests.engines.generation import BALLS, BALLS_PATH, Generation, Made
from tests.engines.local_dask import DaskCluster, dask_cluster
from tests.processes import environment

pytestmark = pytest.mark.engine("dask")

# A worker that says nothing for so long is given up; its tasks go to others.
SILENCE = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "6s"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DaskCluster]:
    """A scheduler and two workers, each a process."""
    with dask_cluster(tmp_path / "dask", environment(**SILENCE)) as cluster:
        yield cluster


def test_all_workers_make_the_bytes_of_one_process(
    tmp_path: Path, reference: Made, cluster: DaskCluster
) -> None:
    before = [_cpu_seconds(worker.pid) for worker in cluster.workers]
    with Generation(tmp_path / "d", cluster.flags) as generation:
        output = generation.finish(seconds=180)
    assert reference.fingerprint in output
    assert Made.of(tmp_path / "d") == reference
    spent = [_cpu_seconds(worker.pid) - start for worker, start in zip(cluster.workers, before, strict=True)]
    assert min(spent) > max(spent) / 4, "one worker did nearly all of it"


def test_a_worker_is_killed(tmp_path: Path, reference: Made, cluster: DaskCluster) -> None:
    with Generation(tmp_path / "d", cluster.flags) as generation:
        generation.wait_for_shards(20, seconds=120)
        cluster.workers[0].kill()
        generation.finish(seconds=180)
    assert Made.of(tmp_path / "d") == reference


def test_a_worker_that_was_given_up_comes_back_late(
    tmp_path: Path, reference: Made, cluster: DaskCluster
) -> None:
    zombie = cluster.workers[0]
    with Generation(tmp_path / "d", cluster.flags) as generation:
        generation.wait_for_shards(20, seconds=120)
        zombie.send_signal(signal.SIGSTOP)  # In the middle of a shard, or close to one.
        generation.finish(seconds=180)
    assert Made.of(tmp_path / "d") == reference
    before = _cpu_seconds(zombie.pid)
    zombie.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and zombie.poll() is None:
        time.sleep(0.1)
    assert zombie.poll() is not None or _cpu_seconds(zombie.pid) > before, "it never went on"
    assert Made.of(tmp_path / "d") == reference


def test_a_kind_of_ones_own(tmp_path: Path, balls: Made) -> None:
    known = {"PYTHONPATH": BALLS_PATH}
    with (
        dask_cluster(tmp_path / "dask", environment(**known)) as cluster,
        Generation(tmp_path / "d", cluster.flags, BALLS, **known) as generation,
    ):
        generation.wait_for_shards(10, seconds=120)
        cluster.workers[0].kill()
        generation.finish(seconds=180)
    assert Made.of(tmp_path / "d") == balls


def test_clips(tmp_path: Path, clips: Clips, cluster: DaskCluster) -> None:
    before = [_cpu_seconds(worker.pid) for worker in cluster.workers]
    with Generation(tmp_path / "d", cluster.flags, clips.request) as generation:
        output = generation.finish(seconds=180)
    assert clips.made.fingerprint in output
    assert Made.of(tmp_path / "d") == clips.made
    spent = [_cpu_seconds(worker.pid) - start for worker, start in zip(cluster.workers, before, strict=True)]
    assert min(spent) > max(spent) / 4, "one worker did nearly all of it"


@pytest.mark.parametrize("job", ["index", "generation"])
def test_a_worker_is_killed_that_makes_clips(
    tmp_path: Path, clips: Clips, cluster: DaskCluster, job: str
) -> None:
    with Generation(tmp_path / "d", cluster.flags, clips.request) as generation:
        if job == "index":
            generation.wait_for_clips(50, seconds=180)
        else:
            generation.wait_for_shards(5, seconds=180)
        cluster.workers[0].kill()
        generation.finish(seconds=180)
    assert Made.of(tmp_path / "d") == clips.made


def test_a_cluster_without_a_decoder_is_one_line(tmp_path: Path, clips: Clips) -> None:
    """Clips that it cannot decode are not taken for bad ones."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "av.py").write_text("raise ModuleNotFoundError('none here', name='av')\n")
    lacking = environment()
    lacking["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "hidden"), lacking["PYTHONPATH"]])
    with (
        dask_cluster(tmp_path / "dask", lacking, workers=1) as cluster,
        Generation(tmp_path / "d", cluster.flags, clips.request) as generation,
    ):
        assert generation.process.wait(180) == 1
        (line,) = [line for line in generation.errors.splitlines() if "error" in line]
        assert "this worker has av not installed, not " in line
        assert "install the same versions everywhere" in line
    assert not list((tmp_path / "d").rglob("*.entry"))


def test_a_cluster_without_the_project_is_one_line(tmp_path: Path) -> None:
    foreign = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # An editable install would make this project known to every process of the environment.
    hidden = {**foreign, "PYTHONPATH": str(_blocked_project(tmp_path / "hidden"))}
    with (
        dask_cluster(tmp_path / "dask", hidden, workers=1) as cluster,
        Generation(tmp_path / "d", cluster.flags) as generation,
    ):
        assert generation.process.wait(120) == 1
        (line,) = [line for line in generation.errors.splitlines() if "error" in line]
        assert "lack this project: install it there" in line


def _blocked_project(directory: Path) -> Path:
    """A directory that comes first on the path and says that there is no such package."""
    directory.mkdir()
    lines = 'raise ModuleNotFoundError("No module named \'pipeline\'", name="pipeline")\n'
    (directory / "pipeline.py").write_text(lines)
    return directory


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
