"""Connections between the chief and the other processes of a cluster.

TensorFlow's and JAX's runtimes wait forever for a missing process, and hang or abort when one dies. So before
they start, each process connects to the chief, on the chief's own port; a process that does not connect in
time is named in an error. The connections stay open for three purposes:

- When a process ends, its connection closes: the others report it and exit.
- Each process sends heartbeats with the number of steps it has finished. A process that is silent, or that
  finishes nothing while others are further, is reported after a timeout, and all exit.
- They carry the decision that all processes follow after the same step; see `Peers.agree`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.command_line.errors import RequestError, WorkError, one_line
from trainer.distributed.cluster import Cluster

# Kind; `Decision.stop`, `.save` and `.steps`; number of steps that the sender has finished.
_MESSAGE = struct.Struct("!c??QQ")
_HEARTBEAT, _AGREE, _GOODBYE = b"b", b"a", b"g"

_RETRY_SECONDS = 0.1
_GOODBYE_SECONDS = 10.0
_HELLO_SECONDS = 5.0  # For a client that connects by mistake and sends nothing.
_HEARTBEAT_SECONDS = 10.0  # The longest time between two heartbeats.
# TCP keep-alive, for a machine that is lost: probe after 20 s of silence, give up 15 s later.
_KEEPALIVE = (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


@dataclass(frozen=True)
class Decision:
    """The decision that all processes follow after a step.

    Attributes:
        stop: end the training, after saving.
        save: write a checkpoint.
        steps: number of steps until the next decision.
    """

    stop: bool = False
    save: bool = False
    steps: int = 0


class Peers:
    """The connections of this process: of the chief to all others, of any other process to the chief.

    Args:
        program: name of this program, for messages.
        cluster: the processes that train together.
        connections: sockets by number of the process at the other end.
        timeout: seconds after which a process that is silent, or finishes nothing, is reported.
    """

    def __init__(
        self, program: str, cluster: Cluster, connections: dict[int, socket.socket], timeout: float
    ) -> None:
        self._program = program
        self._cluster = cluster
        self._connections = connections
        self._timeout = timeout
        self._heartbeat_seconds = min(_HEARTBEAT_SECONDS, timeout / 5)
        self._finished = 0
        self._reported_all_idle = False
        # By process: steps finished, time of the last change of this number, time of the last message.
        now = time.monotonic()
        self._progress = dict.fromkeys((cluster.index, *connections), (0, now, now))
        self._decisions: dict[int, queue.Queue[Decision]] = {index: queue.Queue() for index in connections}
        self._sending, self._exiting = threading.Lock(), threading.Lock()
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._listen, args=(index,), daemon=True) for index in connections
        ]
        for thread in (*self._threads, threading.Thread(target=self._send_heartbeats, daemon=True)):
            thread.start()

    def report_progress(self) -> None:
        """Count a finished step, validation batch or epoch; all processes finish the same ones."""
        self._finished += 1

    def agree(self, stop: bool, decide: Callable[[bool], Decision]) -> Decision:
        """Return the chief's decision; all processes must call this after the same step.

        Args:
            stop: whether this process asks to stop.
            decide: called in the chief only, with whether any process asks to stop.
        """
        if self._cluster.is_chief:
            asked = [self._decisions[index].get() for index in self._connections]
            decision = decide(stop or any(each.stop for each in asked))
            self._send(_AGREE, decision)
            return decision
        self._send(_AGREE, Decision(stop))
        return self._decisions[0].get()

    def exit_if_any_silent(self) -> None:
        """Wait for 3 heartbeats; if a process has been silent for 2, end this process with its name."""
        time.sleep(3 * self._heartbeat_seconds)
        now = time.monotonic()
        for index in self._connections:
            if (seconds := now - self._progress[index][2]) > 2 * self._heartbeat_seconds:
                self._exit(self._silent(index, seconds))

    def close(self) -> None:
        """Wait until all processes call this, then close the connections."""
        self.agree(False, Decision)
        self._send(_GOODBYE)
        for thread in self._threads:
            thread.join(_GOODBYE_SECONDS)

    def _send(self, kind: bytes, decision: Decision = Decision()) -> None:
        message = _MESSAGE.pack(kind, decision.stop, decision.save, decision.steps, self._finished)
        with self._sending:
            if self._closed.is_set():
                return  # The others no longer read after a goodbye.
            for connection in self._connections.values():
                with contextlib.suppress(OSError):  # `_listen` reports the closed connection.
                    connection.sendall(message)
            if kind == _GOODBYE:
                self._closed.set()

    def _send_heartbeats(self) -> None:
        last = time.monotonic()
        while not self._closed.wait(self._heartbeat_seconds):
            now = time.monotonic()
            # This process was suspended, so its times of the others are outdated.
            if now - last > self._timeout / 2:
                self._progress = {index: (seen[0], now, now) for index, seen in self._progress.items()}
            last = now
            self._record_progress(self._cluster.index, self._finished)
            self._send(_HEARTBEAT)
            if self._cluster.is_chief:
                self._check_for_stragglers()

    def _record_progress(self, index: int, finished: int) -> None:
        before, since, _ = self._progress[index]
        now = time.monotonic()
        self._progress[index] = finished, (since if finished == before else now), now

    def _check_for_stragglers(self) -> None:
        progress = dict(self._progress)
        furthest = max(finished for finished, _, _ in progress.values())
        # Up to its last message, not up to now: since then a process may have finished more.
        idle = [index for index, (_, since, heard) in progress.items() if heard - since > self._timeout]
        behind = [index for index in idle if progress[index][0] < furthest]
        if behind:
            self._exit(
                f"{self._named(behind)} of the cluster is alive but has finished nothing for"
                f" {self._timeout:.0f} s, while others are further; see what it waits for, and"
            )
        all_idle = len(idle) == len(progress)
        if all_idle and not self._reported_all_idle:  # Which process the others wait for is unknown.
            print(
                f"{self._program}: no process of the cluster has finished anything for {self._timeout:.0f} s",
                file=sys.stderr,
                flush=True,
            )
        self._reported_all_idle = all_idle

    def _listen(self, index: int) -> None:
        try:
            while message := _receive(self._connections[index], self._timeout):
                kind, stop, save, steps, finished = _MESSAGE.unpack(message)
                if kind == _GOODBYE:
                    return
                self._record_progress(index, finished)
                if kind == _AGREE:
                    self._decisions[index].put(Decision(stop, save, steps))
        except TimeoutError:
            self._exit(self._silent(index, self._timeout))
        self._exit(f"{self._named([index])} of the cluster has ended;")

    def _silent(self, index: int, seconds: float) -> str:
        return (
            f"{self._named([index])} of the cluster has been silent for {seconds:.0f} s;"
            " end it if it is still there, and"
        )

    def _named(self, indices: Sequence[int]) -> str:
        return _named(self._cluster, indices)

    def _exit(self, why: str) -> None:
        self._exiting.acquire()  # Never released: only the first reason is printed.
        # End the process at once: the runtime may hang or abort at any moment now.
        print(
            f"{self._program}: error: {why} start all of them again:"
            " the training goes on after its last checkpoint",
            file=sys.stderr,
            flush=True,
        )
        sys.stdout.flush()
        os._exit(1)


def _receive(connection: socket.socket, timeout: float) -> bytes:
    """Receive the next message; empty if the connection has ended.

    Raises:
        TimeoutError: if nothing arrives for ``timeout`` seconds.
    """
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    message = b""
    while len(message) < _MESSAGE.size:
        # Poll again: after this process was suspended, the time is over but messages may have arrived.
        if not (poll.poll(1000 * timeout) or poll.poll(0)):
            raise TimeoutError
        try:
            part = connection.recv(_MESSAGE.size - len(message))
        except OSError:
            return b""
        if not part:
            return b""
        message += part
    return message


@contextlib.contextmanager
def connected(
    program: str, cluster: Cluster, request: dict[str, Any], timeout: float, peer_timeout: float
) -> Iterator[Peers]:
    """Connect all processes of a cluster for the duration of the block.

    Args:
        program: name of this program, for messages.
        cluster: the processes that train together.
        request: JSON values that must be equal in all processes.
        timeout: seconds to wait until all are connected.
        peer_timeout: seconds after which a process that is silent, or finishes nothing, is reported and all
            exit; must be the same in all processes.

    Raises:
        RequestError: if the chief's request differs.
        WorkError: if a process does not connect in time.
    """
    if cluster.is_chief:
        connections = _wait_for_others(cluster, request, timeout)
    else:
        connections = {0: _connect_to_chief(cluster, request, timeout)}
    peers = Peers(program, cluster, connections, peer_timeout)
    yield peers
    peers.close()  # Not after an error: then this process exits, which the others report.


def _wait_for_others(cluster: Cluster, request: dict[str, Any], timeout: float) -> dict[int, socket.socket]:
    deadline = time.monotonic() + timeout
    connections: dict[int, socket.socket] = {}
    port = int(cluster.addresses[0].rpartition(":")[2])
    try:
        # Close the server when all are connected: the runtime listens on this port later.
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        server = socket.create_server(("", port), family=family, backlog=cluster.size, dualstack_ipv6=both)
    except OSError as error:
        raise WorkError(f"TF_CONFIG: the chief's port {port} is not free here ({error.strerror})") from error
    with server:
        while len(connections) < cluster.size - 1:
            server.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                connection, _ = server.accept()
            except TimeoutError as error:
                missing = sorted(set(range(1, cluster.size)) - set(connections))
                raise WorkError(_missing(cluster, missing, timeout)) from error
            theirs = _receive_line(connection, min(deadline, time.monotonic() + _HELLO_SECONDS))
            if theirs is None or theirs.get("index") not in range(1, cluster.size) or "request" not in theirs:
                connection.close()
                continue
            difference = _difference(request, theirs["request"])
            connection.sendall((json.dumps({"difference": difference}) + "\n").encode())
            if difference:
                raise RequestError(
                    f"process {theirs['index']} of the cluster has another request: {difference}"
                )
            connections[int(theirs["index"])] = connection
        for connection in connections.values():
            connection.sendall(b"\n")  # All processes are connected.
            _keep_alive(connection)
    return connections


def _connect_to_chief(cluster: Cluster, request: dict[str, Any], timeout: float) -> socket.socket:
    deadline = time.monotonic() + timeout
    host, _, port = cluster.addresses[0].rpartition(":")
    hello = (json.dumps({"index": cluster.index, "request": request}) + "\n").encode()
    reason = ""
    while time.monotonic() < deadline:
        try:
            connection = socket.create_connection((host.strip("[]"), int(port)), timeout=5)
            connection.sendall(hello)
            answer = _receive_line(connection, deadline)
            if answer is not None and answer["difference"]:
                raise RequestError(f"the chief of the cluster has another request: {answer['difference']}")
            if answer is not None and _receive_line(connection, deadline) is not None:
                _keep_alive(connection)
                return connection
            connection.close()
        except OSError as error:  # The chief may not have started yet: retry until the deadline.
            reason = f" ({one_line(error)})"
        time.sleep(_RETRY_SECONDS)
    raise WorkError(f"{_missing(cluster, [0], timeout)}{reason}")


def _receive_line(connection: socket.socket, deadline: float) -> dict[str, Any] | None:
    """Receive a line of JSON, an empty line as {}; None if the connection ends or sends anything else."""
    line = b""
    try:
        while not line.endswith(b"\n"):
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            part = connection.recv(1)
            if not part or len(line) > 2**16:
                return None
            line += part
        found = json.loads(line.strip() or b"{}")
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _keep_alive(connection: socket.socket) -> None:
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # Not on every system.
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    names = [name for name in ours if ours[name] != theirs.get(name)]
    return ", ".join(f"{name} {theirs.get(name)}, not {ours[name]}" for name in names)


def _missing(cluster: Cluster, indices: Sequence[int], timeout: float) -> str:
    return (
        f"{_named(cluster, indices)} of the cluster did not connect within {timeout:.0f} s;"
        " start all processes that TF_CONFIG names"
    )


def _named(cluster: Cluster, indices: Sequence[int]) -> str:
    return "process " + ", ".join(f"{index} ({cluster.addresses[index]})" for index in indices)
