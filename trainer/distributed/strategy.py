"""Runs a training on one device, on several devices of a machine, or on several processes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import tensorflow as tf

from pipeline.command_line.errors import RequestError
from trainer.distributed.cluster import Cluster, read_cluster
from trainer.distributed.devices import backend_in_use, choose_device
from trainer.distributed.peers import Decision, Peers, connected
from trainer.distributed.replicated_model import ReplicatedModel
from trainer.input.batches import ahead_on
from trainer.training.settings import Execution


class Distribution:
    """A training on one device of one process; base class of the other distributions.

    Attributes:
        device: description of the device, for users.
        cluster: the processes that train together; None for a single process.
        num_replicas: number of devices of this process that share its part of a batch.
        model_class: class of the model to train.
        compiles_steps: whether XLA may compile a whole step.
    """

    model_class: type[keras.Model] = keras.Model
    compiles_steps = True

    def __init__(
        self, device: str, cluster: Cluster | None, peers: Peers | None, num_replicas: int = 1
    ) -> None:
        self.device = device
        self.cluster = cluster
        self.num_replicas = num_replicas
        self._peers = peers

    @property
    def process(self) -> int:
        """Number of this process, from 0."""
        return self.cluster.index if self.cluster else 0

    @property
    def num_processes(self) -> int:
        """Number of processes that train together."""
        return self.cluster.size if self.cluster else 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run directory."""
        return self.process == 0

    def agree(self, stop: bool, decide: Callable[[bool], Decision]) -> Decision:
        """The decision that all processes follow; see `trainer.distributed.peers.Peers.agree`."""
        return self._peers.agree(stop, decide) if self._peers else decide(stop)

    def report_progress(self) -> None:
        """Count a finished step, validation batch or epoch; see `trainer.distributed.peers.Peers`."""
        if self._peers:
            self._peers.report_progress()

    def disconnect(self) -> None:
        """Wait until all processes call this, then close the connections between them."""
        if self._peers:
            self._peers.close()

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The scope in which variables are made and training runs."""
        return contextlib.nullcontext()

    def run_outside_scope(self, work: Callable[[], None]) -> None:
        """Call ``work`` outside of `scope`, so that one process can save variables without the others."""
        work()

    def batches(self, make: Callable[[], tf.data.Dataset], batch_size: int) -> Any:
        """The input of `fit`.

        Args:
            make: returns this process' part of the batches.
            batch_size: number of sequences in this process' part of a batch.
        """
        # TensorFlow copies a batch to the GPU only after its step has begun, so copy it ahead. On JAX
        # TensorFlow sees no GPU, and Keras copies batches ahead.
        return ahead_on(make(), next((gpu.name for gpu in tf.config.list_logical_devices("GPU")), None))


class _TensorFlowStrategy(Distribution):
    """A training on the replicas of a ``tf.distribute`` strategy."""

    model_class = ReplicatedModel
    compiles_steps = False

    def __init__(
        self, strategy: tf.distribute.Strategy, device: str, cluster: Cluster | None, peers: Peers | None
    ) -> None:
        processes = cluster.size if cluster else 1
        super().__init__(device, cluster, peers, strategy.num_replicas_in_sync // processes)
        self._strategy = strategy

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        scope: contextlib.AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def run_outside_scope(self, work: Callable[[], None]) -> None:
        # Saving makes variables, and inside the scope that waits for all processes. A scope belongs to its
        # thread, so another thread is outside of it.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(work).result()

    def batches(self, make: Callable[[], tf.data.Dataset], batch_size: int) -> Any:
        options = tf.distribute.InputOptions(experimental_fetch_to_device=False)
        return self._strategy.distribute_datasets_from_function(
            lambda _: make().rebatch(batch_size // self.num_replicas, drop_remainder=True), options
        )


class _JaxDataParallel(Distribution):
    """A training on the replicas of ``keras.distribution.DataParallel``, for JAX."""

    def __init__(self, device: str, cluster: Cluster | None, peers: Peers | None) -> None:
        import jax

        super().__init__(device, cluster, peers, jax.local_device_count())
        names = [f"{found.platform}:{found.id}" for found in jax.devices()]
        # Each process reads only its own part of the data.
        self._parallel = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
        keras.distribution.set_distribution(self._parallel)

    def run_outside_scope(self, work: Callable[[], None]) -> None:
        keras.distribution.set_distribution(None)
        try:
            work()
        finally:
            keras.distribution.set_distribution(self._parallel)


@contextlib.contextmanager
def distributed(
    program: str, execution: Execution, cluster: Cluster | None, request: dict[str, Any]
) -> Iterator[Distribution]:
    """Yield the distribution of a training; enter it before any operation runs and any model is built.

    Args:
        program: name of this program, for messages.
        execution: how to carry out the run.
        cluster: the processes that train together; None for a single process.
        request: JSON values that must be equal in all processes of the cluster.

    Raises:
        RequestError: if the device does not exist, or the processes' requests differ.
        WorkError: if a process of the cluster does not connect in time.
    """
    backend = backend_in_use()
    if cluster is None:
        yield _single_process(execution, backend)
        return
    request = {**request, "addresses": list(cluster.addresses)}
    timeouts = execution.connect_timeout, execution.peer_timeout
    with connected(program, cluster, request, *timeouts) as peers:
        if backend == "jax":
            import jax

            with _naming_silent_peers(peers, jax.errors.JaxRuntimeError), _jax_cluster(cluster, execution):
                device = choose_device(execution.device)
                yield _JaxDataParallel(device, cluster, peers)
                keras.distribution.set_distribution(None)
        else:
            device = choose_device(execution.device)
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
            gone = tf.errors.AbortedError, tf.errors.DeadlineExceededError, tf.errors.UnavailableError
            with _naming_silent_peers(peers, *gone):
                yield _TensorFlowStrategy(strategy, device, cluster, peers)


def find_cluster(distribution: str) -> Cluster | None:
    """The cluster of ``TF_CONFIG``; None if there is none or ``distribution`` excludes it.

    Raises:
        RequestError: if ``distribution`` is "multi_worker" and there is none, or ``TF_CONFIG`` is wrong.
    """
    if distribution in ("none", "mirrored"):
        return None
    cluster = read_cluster()
    if cluster is None and distribution == "multi_worker":
        raise RequestError(
            "--distribution multi_worker: TF_CONFIG names no other process;"
            " set it for every process, or use auto"
        )
    return cluster


def _single_process(execution: Execution, backend: str) -> Distribution:
    device = choose_device(execution.device)
    if execution.distribution == "none":
        return Distribution(device, None, None)
    if backend == "jax":
        import jax

        several = jax.local_device_count() > 1
        return _JaxDataParallel(device, None, None) if several else Distribution(device, None, None)
    kind = "GPU" if tf.config.get_visible_devices("GPU") else "CPU"
    names = [found.name for found in tf.config.list_logical_devices(kind)]
    if len(names) > 1 and (kind == "GPU" or execution.distribution == "mirrored"):
        return _TensorFlowStrategy(tf.distribute.MirroredStrategy(names), device, None, None)
    return Distribution(device, None, None)


@contextlib.contextmanager
def _naming_silent_peers(peers: Peers, *errors: type[Exception]) -> Iterator[None]:
    """Where the runtime reports a lost process without its name, exit with the names of silent peers."""
    try:
        yield
    except errors:
        peers.exit_if_any_silent()
        raise


@contextlib.contextmanager
def _jax_cluster(cluster: Cluster, execution: Execution) -> Iterator[None]:
    import jax

    # JAX's service would catch SIGTERM, which `Interruption` handles.
    jax.config.update("jax_enable_preemption_service", False)
    # JAX aborts all processes when one is silent, without its name. `Peers` names it, so it must come first.
    heartbeat_timeout = 2 * execution.peer_timeout
    jax.distributed.initialize(
        cluster.addresses[0], cluster.size, cluster.index, heartbeat_timeout_seconds=heartbeat_timeout
    )
    yield
    jax.distributed.shutdown()  # Not after an error: it waits for all processes.
