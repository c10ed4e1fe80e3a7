"""Training through a tf.data service of separate processes, which are killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT, Program, make_dataset
from tests.engines.servers import Servers
from tests.processes import environment

pytestmark = pytest.mark.engine("data-service")

# An epoch of the data is a window of the shuffle, of which 80 are read, and few lie ready at once.
FLAGS = ("--epochs=4", "--steps_per_epoch=250", "--batch_size=240", "--checkpoint_every=50", "--readers=4")
WINDOWS = 80


class Service(NamedTuple):
    """A dispatcher and its workers, each a process."""

    address: str
    dispatcher: "subprocess.Popen[bytes]"
    workers: list["subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "d", image_size=6, num_train=3_000)


@pytest.fixture(scope="module")
def weights(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the training comes to that reads everything itself."""
    return _weights(_train(data_dir, tmp_path_factory.mktemp("alone") / "run").communicate(timeout=240)[0])


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    server = [sys.executable, "-m", "trainer.data_server", "--host=localhost"]
    with Servers(tmp_path / "service") as servers:
        dispatcher = servers.start("dispatcher", [*server, "--role=dispatcher"], environment())
        servers.wait_until(lambda: "serving" in servers.log("dispatcher"), 60)
        address = servers.log("dispatcher").split()[-1]
        worker = [*server, "--role=worker", f"--dispatcher={address}"]
        workers = [servers.start(f"worker-{number}", worker, environment()) for number in range(2)]
        servers.wait_until(lambda: all("serving" in servers.log(f"worker-{n}") for n in range(2)), 60)
        yield Service(address, dispatcher, workers)


def _train(data_dir: Path, model_dir: Path, *flags: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "trainer.task", f"--data_dir={data_dir}", f"--model_dir={model_dir}"]
    return subprocess.Popen(
        [*command, *FLAGS, *flags],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _weights(output: str) -> str:
    (line,) = [line for line in output.splitlines() if line.startswith("weights sha256:")]
    return line


def _wait_for_checkpoint(training: "subprocess.Popen[str]", model_dir: Path) -> None:
    deadline = time.monotonic() + 120
    while not list(model_dir.glob("checkpoints/step-*.keras")):
        assert training.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("victims", ["nobody", "a worker", "all workers", "the dispatcher"])
def test_weights_are_those_of_a_training_that_reads_alone(
    data_dir: Path, weights: str, service: Service, tmp_path: Path, victims: str
) -> None:
    with _train(data_dir, tmp_path / "run", f"--data_service={service.address}") as training:
        _wait_for_checkpoint(training, tmp_path / "run")
        for victim in {
            "nobody": [],
            "a worker": service.workers[:1],
            "all workers": service.workers,
            "the dispatcher": [service.dispatcher],
        }[victims]:
            victim.kill()
        output, _ = training.communicate(timeout=240)
    assert training.returncode == 0, output
    assert _weights(output) == weights
    (line,) = [line for line in output.splitlines() if line.startswith("data service: ")]
    came, read_here = (int(word) for word in line.split() if word.isdigit())
    assert came + read_here >= WINDOWS
    assert came > 0
    if victims == "all workers":  # Those of a lost dispatcher go on with what they have begun.
        assert read_here > 0


def test_a_training_goes_on_in_the_middle_of_an_epoch(
    data_dir: Path, weights: str, service: Service, tmp_path: Path
) -> None:
    flag = f"--data_service={service.address}"
    with _train(data_dir, tmp_path / "run", flag) as training:
        _wait_for_checkpoint(training, tmp_path / "run")
        training.send_signal(signal.SIGKILL)
    output, _ = _train(data_dir, tmp_path / "run", flag).communicate(timeout=240)
    assert "resuming after step" in output
    assert _weights(output) == weights


def test_workers_that_do_not_see_the_data_are_one_line(
    program: Program, data_dir: Path, service: Service, tmp_path: Path
) -> None:
    # The trainer sees the data under a name that leads nowhere for others.
    own = Path(f"/proc/self/cwd/{data_dir.relative_to('/')}")
    done = program(
        "trainer.task",
        f"--data_dir={own}",
        f"--model_dir={tmp_path / 'run'}",
        f"--data_service={service.address}",
        "--connect_timeout=30",
        cwd=Path("/"),
    )
    assert done.returncode == 2
    assert "its workers cannot read" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()
