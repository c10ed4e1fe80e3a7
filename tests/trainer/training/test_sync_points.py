"""Between sync points, nothing is read from the device and no process is asked."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from tests.processes import environment, run_python
from trainer.distributed.cluster import Cluster
from trainer.distributed.peers import connected
from trainer.distributed.strategy import Distribution
from trainer.training.input_clock import InputClock
from trainer.training.interruption import Interruption
from trainer.training.plan import Plan
from trainer.training.settings import Execution, TrainingSettings
from trainer.training.sync_points import SyncPoints
from trainer.training.training_state import TrainingState

STEPS = 300

# A training that counts how often Keras makes NumPy's numbers of a device's (`pythonify_logs` in Keras 3.15
# calls `backend.convert_to_numpy` for every loss and metric), and how often the clock is read.
COUNTING = """
import json, sys, time
from trainer.command_line.startup import import_tensorflow_quietly
import_tensorflow_quietly()
import keras.src.backend as backend
from trainer.training.input_clock import InputClock
from trainer.task import main
counts = {"numbers": 0, "clock": 0}
convert, seconds = backend.convert_to_numpy, InputClock.seconds.fget
def counted(value):
    counts["numbers"] += 1
    return convert(value)
def read(clock):
    counts["clock"] += 1
    return seconds(clock)
backend.convert_to_numpy, InputClock.seconds = counted, property(read)
start = time.monotonic()
code = main(sys.argv[1:])
print(json.dumps({**counts, "seconds": time.monotonic() - start}))
sys.exit(code)
"""


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("tensorflow", marks=pytest.mark.slow),
        pytest.param("jax", marks=pytest.mark.storm),
    ],
)
def test_a_training_reads_little(tmp_path: Path, path_dataset_dir: Path, backend: str) -> None:
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={tmp_path / 'run'}", "--epochs=1"]
    flags += [f"--steps_per_epoch={STEPS}", "--batch_size=4"]
    done = run_python("-c", COUNTING, *flags, variables=environment(KERAS_BACKEND=backend))
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    # A sync point each second, one at the end, and the end of the epoch.
    most = counts["seconds"] + 3
    assert counts["clock"] <= most
    # Loss and accuracy at each; and of every epoch those of validation, the learning rate and the weights.
    assert counts["numbers"] <= 2 * most + 100


def _plan(execution: Execution, steps_per_epoch: int, processes: int) -> Plan:
    return Plan(TrainingSettings(), execution, None, steps_per_epoch, 1, processes)


def _walk(sync_points: SyncPoints, state: TrainingState, steps: int) -> tuple[list[int], list[int], bool]:
    """The sync points, the steps that are saved, and whether the training stopped; steps take no time."""
    reached, saved = [], []
    for step in range(1, steps + 1):
        state.step = step
        if sync_points.is_due():
            reached.append(step)
            decision = sync_points.agree()
            if decision.save:
                saved.append(step)
                sync_points.checkpoint_saved()
            if decision.stop:
                return reached, saved, True
    return reached, saved, False


def _cluster() -> list[Cluster]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    return [Cluster(addresses, index) for index in range(2)]


@pytest.mark.parametrize("stops", [False, True])
def test_processes_have_the_same_few_sync_points(stops: bool) -> None:
    def run(cluster: Cluster) -> tuple[list[int], list[int], bool]:
        state, interruption = TrainingState(), Interruption()
        if stops and not cluster.is_chief:
            interruption.signal_name = "SIGTERM"
        execution = Execution(checkpoint_every=700, profile=(3, 11) if cluster.is_chief else None)
        with connected("test", cluster, {}, 60, 60) as peers:
            distribution = Distribution("CPU", cluster, peers)
            return _walk(
                SyncPoints(_plan(execution, 1000, 2), state, distribution, interruption), state, 3000
            )

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(run, _cluster())
    assert first == second
    reached, saved, stopped = first
    if stops:
        assert (reached, saved, stopped) == ([1], [1], True)
        return
    assert not stopped
    assert saved == [700, 1400, 2100, 2800]
    assert {1, 11, 700, 1000, 1400, 2000, 2100, 2800, 3000} <= set(reached)
    assert len(reached) < 20


def test_sync_points_come_about_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    # A step takes 10 ms of a clock that nothing else moves.
    state, now = TrainingState(), time.monotonic()
    monkeypatch.setattr(
        "trainer.training.sync_points.time", SimpleNamespace(monotonic=lambda: now + state.step / 100)
    )
    execution = Execution(checkpoint_seconds=3)
    sync_points = SyncPoints(
        _plan(execution, 1000, 1), state, Distribution("CPU", None, None), Interruption()
    )
    reached, saved, stopped = _walk(sync_points, state, 1000)
    assert not stopped
    assert reached[-1] == 1000
    gaps = [after - before for before, after in zip([0, *reached], reached[:-1], strict=False)]
    assert set(gaps) <= {100, 101}
    assert [step // 300 for step in saved] == [1, 2, 3]


def test_whichever_is_due_first_saves() -> None:
    assert Execution().checkpoint_steps == 500
    assert Execution(checkpoint_every=20).checkpoint_steps == 20
    assert Execution(checkpoint_seconds=20).checkpoint_steps is None
    assert replace(Execution(checkpoint_seconds=20), checkpoint_every=30).checkpoint_steps == 30


def test_the_clock_stays_on_the_cpu() -> None:
    # In a graph, which keeps what was asked for, whether there is a GPU or not.
    with tf.Graph().as_default(), tf.device("GPU:0"):
        clock = InputClock()
    assert clock._seconds.device == "/device:CPU:0"
