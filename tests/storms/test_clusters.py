"""Training by several processes on loopback, and by several devices of one, on both backends."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, make_dataset
from tests.processes import environment
from tests.trainer.captions.data_sets import described_balls
from tests.trainer.frames.data_sets import balls
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model
from trainer.training.history import read_history

pytestmark = pytest.mark.storm

# What a process is asked for; two feeds whether one process reads them or two.
FLAGS = ["--epochs=2", "--steps_per_epoch=120", "--checkpoint_every=20", "--batch_size=16", "--feeds=2"]
SEEN = ["--line=dot", "--window=6", "--noise=0.02", "--learning_rate=0.005"]
SEEN_OF_CLIPS = [
    *("--num_frames=6", "--crop=28x20", "--flip", "--brightness=0.1", "--units=8", "--learning_rate=0.002"),
    *("--epochs=1", "--steps_per_epoch=80", "--keep_checkpoints=9"),
]
# By what is learned of clips: what makes the data, and flags.
CLIPS = {
    "frames": (balls, [*SEEN_OF_CLIPS, "--class_weights=balanced"]),
    "captions": (described_balls, [*SEEN_OF_CLIPS, "--task=describe", "--max_words=5", "--attention"]),
}
BACKENDS = ["tensorflow", "jax"]
DIVIDED = {
    "tensorflow": (
        "import tensorflow as tf;"
        "tf.config.set_logical_device_configuration(tf.config.list_physical_devices('CPU')[0],"
        "[tf.config.LogicalDeviceConfiguration()] * {devices});"
    ),
    "jax": "import os; os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count={devices}';",
}

Process = subprocess.Popen[str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Validation of several batches, the last one of few sequences.
    return make_dataset(tmp_path_factory.mktemp("cluster") / "data", num_validation=600)


def _start(
    run: Path,
    data: Path,
    backend: str,
    *more: str,
    config: str | None = None,
    before: str = "",
    seen: Sequence[str] = SEEN,
) -> Process:
    cluster = {} if config is None else {"TF_CONFIG": config}
    run_task = (
        "import runpy, sys; sys.argv[0] = 'task'; runpy.run_module('trainer.task', run_name='__main__')"
    )
    flags = [f"--data_dir={data}", f"--model_dir={run}", *FLAGS, *seen, *more]
    return subprocess.Popen(
        [sys.executable, "-c", before + run_task, *flags],
        cwd=ROOT,
        env=environment(KERAS_BACKEND=backend, **cluster),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _divided(backend: str, devices: int) -> str:
    """What divides the CPU, before a program begins."""
    return DIVIDED[backend].format(devices=devices)


def _configs() -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    cluster = {"worker": addresses}
    return [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}}) for i in range(2)]


def _start_two(run: Path, data: Path, backend: str, *more: str, seen: Sequence[str] = SEEN) -> list[Process]:
    return [_start(run, data, backend, *more, config=config, seen=seen) for config in _configs()]


def _end(processes: list[Process], seconds: float = 180) -> list[tuple[int, str, str]]:
    """Code, output and errors of every process; all are gone after that."""
    deadline = time.monotonic() + seconds
    try:
        ends = []
        for process in processes:
            output, errors = process.communicate(timeout=max(1, deadline - time.monotonic()))
            ends.append((process.returncode, output, errors))
        return ends
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()


def _error(errors: str) -> str:
    """The program's one line; the runtimes write lines of their own besides."""
    (line,) = [line for line in errors.splitlines() if line.startswith("trainer.task: error: ")]
    return line


def _digest(output: str) -> str:
    (digest,) = re.findall(r"weights sha256:(\w+)", output)
    return str(digest)


def _wait_for_checkpoint(run: Path, step: int, processes: list[Process]) -> None:
    deadline = time.monotonic() + 120
    while max(RunDirectory(str(run)).checkpoints(), default=0) < step:
        assert all(process.poll() is None for process in processes)
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def alone(backend: str, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process that reads both feeds."""
    run = tmp_path_factory.mktemp("alone") / "run"
    ((code, _, errors),) = _end([_start(run, data, backend)])
    assert code == 0, errors
    return run


@pytest.fixture(scope="module")
def together(backend: str, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Two processes that read a feed each, and the digest of their weights."""
    run = tmp_path_factory.mktemp("together") / "run"
    ends = _end(_start_two(run, data, backend))
    assert [code for code, _, _ in ends] == [0, 0], ends
    digests = {_digest(output) for _, output, _ in ends}
    assert len(digests) == 1
    return run, digests.pop()


def _assert_alike(run: Path, other: Path, step: int | None = None) -> None:
    """Compare the weights of two runs, those that are kept or those after a step."""
    weights = []
    for each in map(RunDirectory, map(str, (run, other))):
        path = None if step is None else each.checkpoint_path(step)
        weights.append(load_trained_model(each, path).classifier.get_weights())
    for mine, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=2e-5)


def test_two_processes_train_as_one(alone: Path, together: tuple[Path, str]) -> None:
    _assert_alike(together[0], alone)


@pytest.mark.parametrize("devices", [1, 2])
def test_what_xla_compiles_trains_alike(
    tmp_path: Path, data: Path, backend: str, alone: Path, devices: int
) -> None:
    if backend == "jax":
        pytest.skip("JAX compiles always")
    run = tmp_path / "run"
    before = _divided(backend, 2) if devices == 2 else ""
    flags = ["--compile=xla", f"--distribution={'mirrored' if devices == 2 else 'none'}"]
    ((code, output, errors),) = _end([_start(run, data, backend, *flags, before=before)])
    assert code == 0, errors
    assert "compiled by XLA" in output
    assert ("2 replicas" in output) == (devices == 2)
    _assert_alike(run, alone)


@pytest.mark.parametrize("several", ["devices", "processes"])
def test_several_steps_an_execution_train_alike(
    tmp_path: Path, data: Path, backend: str, alone: Path, several: str
) -> None:
    run, flags = tmp_path / "run", ["--steps_per_execution=4"]
    if several == "processes":
        ends = _end(_start_two(run, data, backend, *flags))
    else:
        flags.append("--distribution=mirrored")
        ends = _end([_start(run, data, backend, *flags, before=_divided(backend, 2))])
    assert {code for code, _, _ in ends} == {0}, ends
    _assert_alike(run, alone)
    validated = [
        [float(row["val_loss"]) for row in read_history(str(each / "history.csv"))] for each in (run, alone)
    ]
    np.testing.assert_allclose(validated[0], validated[1], rtol=1e-4)


@pytest.mark.parametrize("case", list(CLIPS))
def test_clips_are_trained_on_by_two_processes_as_by_one(tmp_path: Path, backend: str, case: str) -> None:
    """And go on after one of them was killed, to the same weights."""
    make, seen = CLIPS[case]
    data = make(tmp_path / "data")
    ends = _end([_start(tmp_path / "alone", data, backend, seen=seen)])
    assert [code for code, _, _ in ends] == [0], ends
    together = _end(_start_two(tmp_path / "together", data, backend, seen=seen))
    assert [code for code, _, _ in together] == [0, 0], together
    # Later, pooling has made much of the differences in rounding.
    _assert_alike(tmp_path / "together", tmp_path / "alone", step=20)
    one, two = (read_history(str(tmp_path / run / "history.csv"))[-1] for run in ("alone", "together"))
    for name in {"loss", "perplexity", "val_loss", "val_perplexity"} & one.keys():
        assert float(two[name]) == pytest.approx(float(one[name]), rel=1e-2), name

    processes = _start_two(tmp_path / "killed", data, backend, seen=seen)
    _wait_for_checkpoint(tmp_path / "killed", 40, processes)
    processes[1].kill()
    assert _end(processes, seconds=60)[0][0] == 1
    again = _end(_start_two(tmp_path / "killed", data, backend, seen=seen))
    assert "resuming after step" in again[0][1]
    assert {_digest(output) for _, output, _ in [*together, *again]} == {_digest(together[0][1])}


@pytest.mark.parametrize("devices", [2, 4])
def test_several_devices_train_as_one(
    tmp_path: Path, data: Path, backend: str, alone: Path, devices: int
) -> None:
    run = tmp_path / "run"
    process = _start(run, data, backend, "--distribution=mirrored", before=_divided(backend, devices))
    ((code, output, errors),) = _end([process])
    assert code == 0, errors
    assert f"device: CPU, 1 processes with {devices} replicas each" in output
    _assert_alike(run, alone)


@pytest.mark.parametrize("killed", [0, 1])
def test_when_one_is_killed_the_other_says_so_and_a_restart_goes_on(
    tmp_path: Path, data: Path, backend: str, together: tuple[Path, str], killed: int
) -> None:
    run = tmp_path / "run"
    processes = _start_two(run, data, backend)
    _wait_for_checkpoint(run, 40 + 60 * killed, processes)
    processes[killed].kill()
    start = time.monotonic()
    ends = _end(processes, seconds=30)
    assert time.monotonic() - start < 20
    code, _, errors = ends[1 - killed]
    assert code == 1, errors
    assert f"process {killed} (127.0.0.1:" in _error(errors)
    assert "start all of them again" in _error(errors)

    ends = _end(_start_two(run, data, backend))
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert "resuming after step" in ends[0][1]
    assert {_digest(output) for _, output, _ in ends} == {together[1]}


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_stopped_process_is_named_and_ends_when_it_goes_on(
    tmp_path: Path, data: Path, backend: str, stopped: int
) -> None:
    run = tmp_path / "run"
    # Longer than the compiler of either backend keeps all threads from running.
    processes = _start_two(run, data, backend, "--peer_timeout=20", "--epochs=100")
    _wait_for_checkpoint(run, 20, processes)
    processes[stopped].send_signal(signal.SIGSTOP)
    try:
        ((code, _, errors),) = _end([processes[1 - stopped]], seconds=60)
        assert code == 1, errors
        assert f"process {stopped} (127.0.0.1:" in _error(errors)
        # Less than the limit where the backend's own operations failed before it.
        assert re.search(r"has been silent for \d+ s;", _error(errors))
    finally:
        processes[stopped].send_signal(signal.SIGCONT)
        ((code, _, errors),) = _end([processes[stopped]], seconds=30)
    assert code != 0
    assert errors


def test_a_signal_to_one_stops_all_after_the_same_step(
    tmp_path: Path, data: Path, backend: str, together: tuple[Path, str]
) -> None:
    run = tmp_path / "run"
    processes = _start_two(run, data, backend)
    _wait_for_checkpoint(run, 20, processes)
    processes[1].send_signal(signal.SIGTERM)
    ends = _end(processes, seconds=60)
    step = max(RunDirectory(str(run)).checkpoints())
    for code, _, errors in ends:
        assert code == 1, errors
        assert f"after step {step}, which is saved" in _error(errors)
    ends = _end(_start_two(run, data, backend))
    assert {_digest(output) for _, output, _ in ends} == {together[1]}


def test_one_that_is_missing_is_named(tmp_path: Path, data: Path, backend: str) -> None:
    for index, config in enumerate(_configs()):
        process = _start(tmp_path / "run", data, backend, "--connect_timeout=2", config=config)
        ((code, _, errors),) = _end([process], seconds=60)
        assert code == 1, errors
        assert f"process {1 - index} (127.0.0.1:" in _error(errors)
        assert "did not connect within 2 s" in _error(errors)
    assert not (tmp_path / "run").exists()


def test_processes_that_are_asked_for_different_things_are_refused(
    tmp_path: Path, data: Path, backend: str
) -> None:
    configs = _configs()
    run = tmp_path / "run"
    ends = _end(
        [
            _start(run, data, backend, "--seed=1", config=configs[0]),
            _start(run, data, backend, "--seed=2", config=configs[1]),
        ]
    )
    for code, _, errors in ends:
        assert code == 2, errors
        assert "seed 2, not 1" in _error(errors)
    assert not run.exists()


def test_a_backend_goes_on_where_another_stood(tmp_path: Path, data: Path) -> None:
    run = tmp_path / "run"
    process = _start(run, data, "jax")
    _wait_for_checkpoint(run, 40, [process])
    process.kill()
    _end([process])
    ((code, output, errors),) = _end([_start(run, data, "tensorflow")])
    assert code == 0, errors
    assert "resuming after step" in output
    assert load_trained_model(RunDirectory(str(run))).step in (120, 240)
