"""Connections between the chief and the other processes of a cluster.

The runtimes that train together wait for a missing process without end, and leave a dead one's peers hanging
or abort them. So before they start, every process connects to the chief, on the chief's own port: whoever
does not come within a time is named. The connections stay: the end of a process ends its connection at once,
wherever the others stand, and they say so and leave. And they carry the wish to stop, so that all stop after
the same step.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.program import RequestError, WorkError, one_line
from trainer.cluster import Cluster

_YES, _NO, _GOODBYE = b"1", b"0", b"."

_RETRY_SECONDS = 0.1
_GOODBYE_SECONDS = 10.0
_HELLO_SECONDS = 5.0  # For what connects by mistake and says nothing.
# Of a machine that is gone without a word: after 20 s of silence it is asked, and given up 15 s later.
_KEEPALIVE = (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


class Peers:
    """Connections of this process: the chief's to all others, or another's to the chief."""

    def __init__(self, program: str, cluster: Cluster, connections: dict[int, socket.socket]) -> None:
        self._program = program
        self._cluster = cluster
        self._connections = connections
        self._messages: dict[int, queue.Queue[bytes]] = {index: queue.Queue() for index in connections}
        self._threads = [
            threading.Thread(target=self._listen, args=(index,), daemon=True) for index in connections
        ]
        for thread in self._threads:
            thread.start()

    def any(self, wish: bool) -> bool:
        """Whether any process wishes; every process asks at the same point and gets the same answer."""
        if self._cluster.is_chief:
            answers = [self._messages[index].get() for index in self._connections]
            wish = wish or _YES in answers
            self._send(wish)
            return wish
        self._send(wish)
        return self._messages[0].get() == _YES

    def close(self) -> None:
        """Part in good order, when everybody has come here."""
        self.any(False)
        for connection in self._connections.values():
            with contextlib.suppress(OSError):
                connection.sendall(_GOODBYE)
        for thread in self._threads:
            thread.join(_GOODBYE_SECONDS)

    def _send(self, wish: bool) -> None:
        for connection in self._connections.values():
            with contextlib.suppress(OSError):  # The thread that listens notices.
                connection.sendall(_YES if wish else _NO)

    def _listen(self, index: int) -> None:
        connection = self._connections[index]
        with contextlib.suppress(OSError):
            while message := connection.recv(1):
                if message == _GOODBYE:
                    return
                self._messages[index].put(message)
        # The runtime may hang or abort at any moment now, so this is the last word.
        print(
            f"{self._program}: error: process {index} ({self._cluster.addresses[index]}) of the cluster has"
            " ended; start all of them again: the training goes on after its last checkpoint",
            file=sys.stderr,
            flush=True,
        )
        sys.stdout.flush()
        os._exit(1)


@contextlib.contextmanager
def connected(program: str, cluster: Cluster, request: dict[str, Any], timeout: float) -> Iterator[Peers]:
    """Connections between all processes of a cluster, for as long as the block lasts.

    Args:
        program: this program's name, for its last word.
        cluster: who trains together.
        request: what this process is asked to do; JSON.
        timeout: seconds to wait for the others.

    Raises:
        RequestError: if the chief is asked to do something else.
        WorkError: if one does not come.
    """
    if cluster.is_chief:
        connections = _wait_for_others(cluster, request, timeout)
    else:
        connections = {0: _connect_to_chief(cluster, request, timeout)}
    peers = Peers(program, cluster, connections)
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
    named = ", ".join(f"{index} ({cluster.addresses[index]})" for index in indices)
    return (
        f"process {named} of the cluster did not come within {timeout:.0f} s; start all that TF_CONFIG names"
    )
