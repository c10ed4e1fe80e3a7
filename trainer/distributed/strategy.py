"""Where a training runs: on one device, on several of one machine, or on those of several processes."""

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
    """One process with one device; the base of the others.

    Attributes:
        device: what it runs on, for people.
        cluster: the processes that train together; None for this one alone.
        num_replicas: devices of this process that share its part of a batch.
        model_class: of the model that is trained.
        compiles_steps: whether XLA may compile its whole step.
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
        """Number of this process."""
        return self.cluster.index if self.cluster else 0

    @property
    def num_processes(self) -> int:
        """How many train together."""
        return self.cluster.size if self.cluster else 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run directory."""
        return self.process == 0

    def agree(self, stop: bool, decide: Callable[[bool], Decision]) -> Decision:
        """What all processes do; see `trainer.distributed.peers.Peers.agree`."""
        return self._peers.agree(stop, decide) if self._peers else decide(stop)

    def advance(self) -> None:
        """Say that something is finished."""
        if self._peers:
            self._peers.advance()

    def part(self) -> None:
        """Take leave of the other processes, when all have come here."""
        if self._peers:
            self._peers.close()

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Variables are made within, and training runs within."""
        return contextlib.nullcontext()

    def alone(self, work: Callable[[], None]) -> None:
        """Let one process read and save variables without the others."""
        work()

    def batches(self, make: Callable[[], tf.data.Dataset], batch_size: int) -> Any:
        """What `fit` takes for this process' part of the batches.

        Args:
            make: makes that part.
            batch_size: sequences in this process' part of a batch.
        """
        # TensorFlow itself would send a batch when the step that wants it has begun. Under JAX it sees no GPU
        # and Keras sends batches ahead.
        return ahead_on(make(), next((gpu.name for gpu in tf.config.list_logical_devices("GPU")), None))


class _TensorFlowStrategy(Distribution):
    """Replicas by a ``tf.distribute`` strategy."""

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

    def alone(self, work: Callable[[], None]) -> None:
        # Keras makes variables while it saves, which within the scope all processes make together. Scopes are
        # of threads.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(work).result()

    def batches(self, make: Callable[[], tf.data.Dataset], batch_size: int) -> Any:
        options = tf.distribute.InputOptions(experimental_fetch_to_device=False)
        return self._strategy.distribute_datasets_from_function(
            lambda _: make().rebatch(batch_size // self.num_replicas, drop_remainder=True), options
        )


class _JaxDataParallel(Distribution):
    """Replicas by ``keras.distribution.DataParallel``."""

    def __init__(self, device: str, cluster: Cluster | None, peers: Peers | None) -> None:
        import jax

        super().__init__(device, cluster, peers, jax.local_device_count())
        names = [f"{found.platform}:{found.id}" for found in jax.devices()]
        # Every process reads its own part.
        self._parallel = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
        keras.distribution.set_distribution(self._parallel)

    def alone(self, work: Callable[[], None]) -> None:
        keras.distribution.set_distribution(None)
        try:
            work()
        finally:
            keras.distribution.set_distribution(self._parallel)


@contextlib.contextmanager
def distributed(
    program: str, execution: Execution, cluster: Cluster | None, request: dict[str, Any]
) -> Iterator[Distribution]:
    """Start what a run is distributed over; before any operation runs and any model is built.

    Args:
        program: this program's name.
        execution: how to carry out the run.
        cluster: the processes that train together.
        request: what every process of a cluster must have been asked for.

    Raises:
        RequestError: if there is no such device, or the processes are asked for different things.
        WorkError: if a process of the cluster does not come.
    """
    backend = backend_in_use()
    if cluster is None:
        yield _alone(execution, backend)
        return
    request = {**request, "addresses": list(cluster.addresses)}
    timeouts = execution.connect_timeout, execution.peer_timeout
    with connected(program, cluster, request, *timeouts) as peers:
        if backend == "jax":
            import jax

            with _naming_the_lost(peers, jax.errors.JaxRuntimeError), _jax_cluster(cluster, execution):
                device = choose_device(execution.device)
                yield _JaxDataParallel(device, cluster, peers)
                keras.distribution.set_distribution(None)
        else:
            device = choose_device(execution.device)
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
            gone = tf.errors.AbortedError, tf.errors.DeadlineExceededError, tf.errors.UnavailableError
            with _naming_the_lost(peers, *gone):
                yield _TensorFlowStrategy(strategy, device, cluster, peers)


def find_cluster(distribution: str) -> Cluster | None:
    """The cluster that ``--distribution`` means here.

    Raises:
        RequestError: if there is none but one is asked for, or ``TF_CONFIG`` cannot be understood.
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


def _alone(execution: Execution, backend: str) -> Distribution:
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
def _naming_the_lost(peers: Peers, *errors: type[Exception]) -> Iterator[None]:
    """Where the runtime gives somebody up before the peers do."""
    try:
        yield
    except errors:
        peers.name_the_lost()
        raise


@contextlib.contextmanager
def _jax_cluster(cluster: Cluster, execution: Execution) -> Iterator[None]:
    import jax

    # SIGTERM is ours, and a lost process is noticed by its connection long before.
    jax.config.update("jax_enable_preemption_service", False)
    # Its service aborts the processes when one is silent, and does not say which; the peers shall be first.
    patience = 2 * execution.peer_timeout
    jax.distributed.initialize(
        cluster.addresses[0], cluster.size, cluster.index, heartbeat_timeout_seconds=patience
    )
    yield
    jax.distributed.shutdown()  # Not after an error: it waits for the others.
