"""Connections between the chief and the other processes of a cluster.

The runtimes that train together wait for a missing process without end, and leave a dead one's peers hanging
or abort them. So before they start, every process connects to the chief, on the chief's own port: whoever
does not come within a time is named. The connections stay, for three things:

- The end of a process ends its connection at once, wherever the others stand, and they say so and leave.
- A thread of every process sends how much is finished, so that one that is silent, or that lives but finishes
  nothing while others wait for it, is named after a time, and all leave.
- They carry what all do after the same step: see `Peers.agree`.
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

# Kind; of a decision or a wish: stop, save, and steps to the next look; how much the sender has finished.
_MESSAGE = struct.Struct("!c??QQ")
_BEAT, _AGREE, _GOODBYE = b"b", b"a", b"g"

_RETRY_SECONDS = 0.1
_GOODBYE_SECONDS = 10.0
_HELLO_SECONDS = 5.0  # For what connects by mistake and says nothing.
_BEAT_SECONDS = 10.0  # At most, between two beats.
# Of a machine that is gone without a word: after 20 s of silence it is asked, and given up 15 s later.
_KEEPALIVE = (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


@dataclass(frozen=True)
class Decision:
    """What all processes do after a step.

    Attributes:
        stop: leave, after saving.
        save: write a checkpoint.
        steps: after so many more the next decision is due.
    """

    stop: bool = False
    save: bool = False
    steps: int = 0


class Peers:
    """Connections of this process: the chief's to all others, or another's to the chief."""

    def __init__(
        self, program: str, cluster: Cluster, connections: dict[int, socket.socket], timeout: float
    ) -> None:
        self._program = program
        self._cluster = cluster
        self._connections = connections
        self._timeout = timeout
        self._beat_seconds = min(_BEAT_SECONDS, timeout / 5)
        self._finished = 0
        self._said_that_all_rest = False
        # Of every process that is heard here: what it has finished, since when, and when it was last heard.
        now = time.monotonic()
        self._progress = dict.fromkeys((cluster.index, *connections), (0, now, now))
        self._decisions: dict[int, queue.Queue[Decision]] = {index: queue.Queue() for index in connections}
        self._sending, self._leaving = threading.Lock(), threading.Lock()
        self._parted = threading.Event()
        self._threads = [
            threading.Thread(target=self._listen, args=(index,), daemon=True) for index in connections
        ]
        for thread in (*self._threads, threading.Thread(target=self._beat, daemon=True)):
            thread.start()

    def advance(self) -> None:
        """Say that something is finished that all finish: a step, a batch of validation, an epoch."""
        self._finished += 1

    def agree(self, stop: bool, decide: Callable[[bool], Decision]) -> Decision:
        """What all processes do; every one asks at the same point and gets the chief's answer.

        Args:
            stop: whether this process wishes to.
            decide: asked in the chief's process, whether any wishes to.
        """
        if self._cluster.is_chief:
            wishes = [self._decisions[index].get() for index in self._connections]
            decision = decide(stop or any(wish.stop for wish in wishes))
            self._send(_AGREE, decision)
            return decision
        self._send(_AGREE, Decision(stop))
        return self._decisions[0].get()

    def name_the_lost(self) -> None:
        """Leave, saying who is silent, if somebody is; where the runtime has noticed and does not say who."""
        time.sleep(3 * self._beat_seconds)
        now = time.monotonic()
        for index in self._connections:
            if (seconds := now - self._progress[index][2]) > 2 * self._beat_seconds:
                self._leave(self._silent(index, seconds))

    def close(self) -> None:
        """Part in good order, when everybody has come here."""
        self.agree(False, Decision)
        self._send(_GOODBYE)
        for thread in self._threads:
            thread.join(_GOODBYE_SECONDS)

    def _send(self, kind: bytes, decision: Decision = Decision()) -> None:
        message = _MESSAGE.pack(kind, decision.stop, decision.save, decision.steps, self._finished)
        with self._sending:
            if self._parted.is_set():
                return  # After the last word nobody listens any more.
            for connection in self._connections.values():
                with contextlib.suppress(OSError):  # The thread that listens notices.
                    connection.sendall(message)
            if kind == _GOODBYE:
                self._parted.set()

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._parted.wait(self._beat_seconds):
            now = time.monotonic()
            if (
                now - last > self._timeout / 2
            ):  # This process was stopped; what it knows of the others is old.
                self._progress = {index: (seen[0], now, now) for index, seen in self._progress.items()}
            last = now
            self._note(self._cluster.index, self._finished)
            self._send(_BEAT)
            if self._cluster.is_chief:
                self._look_for_stragglers()

    def _note(self, index: int, finished: int) -> None:
        before, since, _ = self._progress[index]
        now = time.monotonic()
        self._progress[index] = finished, (since if finished == before else now), now

    def _look_for_stragglers(self) -> None:
        progress = dict(self._progress)
        furthest = max(finished for finished, _, _ in progress.values())
        # Not until now: one that is not heard may have finished more, or be stopped.
        resting = [index for index, (_, since, heard) in progress.items() if heard - since > self._timeout]
        behind = [index for index in resting if progress[index][0] < furthest]
        if behind:
            self._leave(
                f"{self._named(behind)} of the cluster is alive but has finished nothing for"
                f" {self._timeout:.0f} s, while others are further; see what it waits for, and"
            )
        all_rest = len(resting) == len(progress)
        if all_rest and not self._said_that_all_rest:  # Whom they wait for is not known here.
            print(
                f"{self._program}: no process of the cluster has finished anything for {self._timeout:.0f} s",
                file=sys.stderr,
                flush=True,
            )
        self._said_that_all_rest = all_rest

    def _listen(self, index: int) -> None:
        try:
            while message := _receive(self._connections[index], self._timeout):
                kind, stop, save, steps, finished = _MESSAGE.unpack(message)
                if kind == _GOODBYE:
                    return
                self._note(index, finished)
                if kind == _AGREE:
                    self._decisions[index].put(Decision(stop, save, steps))
        except TimeoutError:
            self._leave(self._silent(index, self._timeout))
        self._leave(f"{self._named([index])} of the cluster has ended;")

    def _silent(self, index: int, seconds: float) -> str:
        return (
            f"{self._named([index])} of the cluster has been silent for {seconds:.0f} s;"
            " end it if it is still there, and"
        )

    def _named(self, indices: Sequence[int]) -> str:
        return _named(self._cluster, indices)

    def _leave(self, why: str) -> None:
        self._leaving.acquire()  # For good: one reason is enough.
        # The runtime may hang or abort at any moment now, so this is the last word.
        print(
            f"{self._program}: error: {why} start all of them again:"
            " the training goes on after its last checkpoint",
            file=sys.stderr,
            flush=True,
        )
        sys.stdout.flush()
        os._exit(1)


def _receive(connection: socket.socket, timeout: float) -> bytes:
    """The next message; nothing if the connection has ended.

    Raises:
        TimeoutError: if nothing comes for so many seconds.
    """
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    message = b""
    while len(message) < _MESSAGE.size:
        # Once more, because time also passes while this process is stopped, and messages come meanwhile.
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
    """Connections between all processes of a cluster, for as long as the block lasts.

    Args:
        program: this program's name, for its last word.
        cluster: who trains together.
        request: what this process is asked to do; JSON.
        timeout: seconds to wait for the others.
        peer_timeout: seconds after which one that is silent, or finishes nothing, is given up; the same in
            all processes.

    Raises:
        RequestError: if the chief is asked to do something else.
        WorkError: if one does not come.
    """
    if cluster.is_chief:
        connections = _wait_for_others(cluster, request, timeout)
    else:
        connections = {0: _connect_to_chief(cluster, request, timeout)}
    peers = Peers(program, cluster, connections, peer_timeout)
    yield peers
    peers.close()  # Not after an error: the others shall learn of it.


def _wait_for_others(cluster: Cluster, request: dict[str, Any], timeout: float) -> dict[int, socket.socket]:
    deadline = time.monotonic() + timeout
    connections: dict[int, socket.socket] = {}
    port = int(cluster.addresses[0].rpartition(":")[2])
    try:
        # The runtime listens at this port later, so nothing must stay there but connections.
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
                    f"process {theirs['index']} of the cluster is asked for something else: {difference}"
                )
            connections[int(theirs["index"])] = connection
        for connection in connections.values():
            connection.sendall(b"\n")  # Everybody is there.
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
                raise RequestError(
                    f"the chief of the cluster is asked for something else: {answer['difference']}"
                )
            if answer is not None and _receive_line(connection, deadline) is not None:
                _keep_alive(connection)
                return connection
            connection.close()
        except OSError as error:  # Perhaps it has not begun yet; a wrong address shows in the end.
            reason = f" ({one_line(error)})"
        time.sleep(_RETRY_SECONDS)
    raise WorkError(f"{_missing(cluster, [0], timeout)}{reason}")


def _receive_line(connection: socket.socket, deadline: float) -> dict[str, Any] | None:
    """A line of JSON, an empty one as {}; None if the connection ends or does not speak like this."""
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
        f"{_named(cluster, indices)} of the cluster did not come within {timeout:.0f} s;"
        " start all that TF_CONFIG names"
    )


def _named(cluster: Cluster, indices: Sequence[int]) -> str:
    return "process " + ", ".join(f"{index} ({cluster.addresses[index]})" for index in indices)
