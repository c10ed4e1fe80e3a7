"""Batches by way of a tf.data service are those of a training without it, whatever happens to the service."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.command_line.errors import RequestError, WorkError
from tests.conftest import ROOT, Program, make_dataset
from tests.processes import environment
from tests.trainer.captions.data_sets import described_balls
from trainer import data_server
from trainer.input import served_windows
from trainer.input.batches import steps_per_pass, training_batches
from trainer.input.data_service import DataService
from trainer.input.split_files import SplitFiles, read_manifest, split_files
from trainer.training.loop import train
from trainer.training.plan import make_plan
from trainer.training.settings import Execution, TrainingSettings

_service = tf.data.experimental.service


@pytest.fixture(scope="module", params=["path", "frames"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SplitFiles:
    directory = make_dataset(tmp_path_factory.mktemp("served") / "d", encoding=request.param, num_train=600)
    return split_files(str(directory), read_manifest(str(directory)), "train")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few windows, few of them ready, and patience with a busy machine."""
    monkeypatch.setattr(served_windows, "_BLOCK_BYTES", 15_000)
    monkeypatch.setattr(served_windows, "_READY_BYTES", 15_000)
    monkeypatch.setattr(served_windows, "_SECONDS_FOR_A_WINDOW", 60.0)


@pytest.fixture
def dispatcher() -> Iterator[Any]:
    """A dispatcher in this process."""
    yield (server := _service.DispatchServer(_service.DispatcherConfig(port=0)))
    server._stop()


@pytest.fixture
def start_worker(dispatcher: Any) -> Iterator[Callable[[], Any]]:
    """Starts workers in this process."""
    workers: list[Any] = []

    def start() -> Any:
        config = _service.WorkerConfig(dispatcher_address=dispatcher.target.removeprefix("grpc://"))
        workers.append(worker := _service.WorkerServer(config))
        return worker

    yield start
    for worker in workers:
        worker._stop()


def _batches(files: SplitFiles, service: DataService | None = None, first_step: int = 0) -> tf.data.Dataset:
    return training_batches(
        files, batch_size=16, seed=5, readers=4, first_step=first_step, shuffle_window=60, service=service
    )


def _assert_equal(served: Iterator[Any], local: Iterator[Any], count: int) -> None:
    for _ in range(count):
        tf.nest.map_structure(np.testing.assert_array_equal, next(served), next(local))


@pytest.mark.parametrize("files", [pytest.param("path", marks=pytest.mark.slow), "frames"], indirect=True)
@pytest.mark.parametrize("first_step", [pytest.param(0, marks=pytest.mark.slow), 20])
def test_two_workers_give_the_same_batches(
    files: SplitFiles, small_blocks: None, dispatcher: Any, start_worker: Callable[[], Any], first_step: int
) -> None:
    start_worker(), start_worker()
    service = DataService(dispatcher.target, "test")
    service.check(files, 120)
    count = 3 * steps_per_pass(files, 16)
    served = _batches(files, service, first_step).as_numpy_iterator()
    _assert_equal(served, _batches(files, None, first_step).as_numpy_iterator(), count)
    (windows,) = service._served
    assert windows.num_came > 0
    assert windows.num_came + windows.num_read_here >= 3 * 600 // 60 - 2
    service.close()


@pytest.mark.slow
def test_captions_come_with_the_same_batches(
    tmp_path: Path, small_blocks: None, dispatcher: Any, start_worker: Callable[[], Any]
) -> None:
    start_worker()
    data = described_balls(tmp_path / "d")
    settings = TrainingSettings(task="describe", batch_size=16, num_frames=4, max_words=5, min_word_count=200)
    files = split_files(str(data), read_manifest(str(data)), "train")
    files = files.shown(make_plan(settings, Execution(), files, 1).view)
    service = DataService(dispatcher.target, "test")
    service.check(files, 120)
    served, local = (_batches(files, each).as_numpy_iterator() for each in (service, None))
    _assert_equal(served, local, 3 * steps_per_pass(files, 16))
    assert {"frames", "length", "words"} == next(local)[0].keys()
    (windows,) = service._served
    assert windows.num_came > 0
    service.close()


@pytest.mark.parametrize("files", ["path", pytest.param("frames", marks=pytest.mark.slow)], indirect=True)
def test_whoever_goes_back_gets_the_same_again(
    files: SplitFiles, small_blocks: None, dispatcher: Any, start_worker: Callable[[], Any]
) -> None:
    start_worker()
    service = DataService(dispatcher.target, "test")
    batches, local = _batches(files, service), list(_batches(files).take(90).as_numpy_iterator())
    for count in (1, 40, 90):  # As Keras on JAX does, which looks at a batch first.
        _assert_equal(batches.as_numpy_iterator(), iter(local), count)
    (windows,) = service._served
    assert windows.num_came > windows.num_read_here
    service.close()


@pytest.mark.slow
def test_damage_is_named(tmp_path: Path, dispatcher: Any, start_worker: Callable[[], Any]) -> None:
    start_worker()
    directory = make_dataset(tmp_path / "d", num_train=600)
    shard = next(iter(sorted(directory.glob("*train.tfrecord-00001*"))))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    settings = TrainingSettings(epochs=1, steps_per_epoch=30, batch_size=20)
    execution = Execution(data_service=dispatcher.target, connect_timeout=120)
    with pytest.raises(WorkError, match=rf"{shard.name}: record \d+.*pipeline.verify {directory} --repair"):
        train(settings, str(directory), str(tmp_path / "run"), execution)


@pytest.mark.storm
def test_workers_come_and_go(
    files: SplitFiles,
    small_blocks: None,
    dispatcher: Any,
    start_worker: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(served_windows, "_SECONDS_FOR_A_WINDOW", 1.0)
    service = DataService(dispatcher.target, "test")
    served, local = _batches(files, service).as_numpy_iterator(), _batches(files).as_numpy_iterator()
    _assert_equal(served, local, 10)
    (windows,) = service._served
    assert windows.num_came == 0
    assert "test: data service: waited 1 s for a window; reading here" in capsys.readouterr().err
    worker = start_worker()
    passes = 0
    while windows.num_came == 0:
        _assert_equal(served, local, steps_per_pass(files, 16))
        assert (passes := passes + 1) < 1000
    worker._stop()
    _assert_equal(served, local, 3 * steps_per_pass(files, 16))
    service.close()


def test_a_worker_that_waits_for_its_dispatcher_can_be_ended() -> None:
    command = [
        sys.executable,
        "-m",
        "trainer.data_server",
        "--role=worker",
        "--dispatcher=grpc://localhost:1",
    ]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "waiting for grpc://localhost:1\n"
        worker.terminate()
        try:
            assert worker.wait(120) == 0
        finally:
            worker.kill()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("", "--role"),
        ("--role=reader", "--role"),
        ("--role=worker", "--dispatcher"),
        ("--role=dispatcher --dispatcher=grpc://localhost:1", "--dispatcher"),
        ("--role=dispatcher --port=65536", "--port 65536"),
        ("--role=dispatcher --port=-1", "--port"),
        ("--role=worker --dispatcher=reader-0", "--dispatcher reader-0"),
        ("--role=worker --dispatcher=grpc://localhost:1 --work_dir=x", "--work_dir"),
        ("--role=dispatcher --host=", "--host"),
    ],
)
def test_wrong_requests_to_serve(flags: str, named: str) -> None:
    with pytest.raises(RequestError, match=named):
        data_server.main(flags.split())


@pytest.mark.storm
def test_a_service_without_workers_is_refused(
    program: Program, path_dataset_dir: Path, tmp_path: Path, dispatcher: Any
) -> None:
    done = program(
        "trainer.task",
        f"--data_dir={path_dataset_dir}",
        f"--model_dir={tmp_path / 'run'}",
        f"--data_service={dispatcher.target}",
        "--connect_timeout=2",
    )
    assert done.returncode == 2
    assert "no worker answered in 2 s" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()
