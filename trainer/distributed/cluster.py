"""The processes of a cluster, as given by ``TF_CONFIG``."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from pipeline.command_line.errors import RequestError

_VARIABLE = "TF_CONFIG"


@dataclass(frozen=True)
class Cluster:
    """The processes that train one model together.

    Attributes:
        addresses: HOST:PORT of every process, the chief's first.
        index: position of this process in ``addresses``.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def size(self) -> int:
        """Number of processes."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run directory."""
        return self.index == 0


def read_cluster() -> Cluster | None:
    """Read the cluster from the environment variable ``TF_CONFIG``.

    As in TensorFlow, the chief is the task of type "chief", or worker 0 if there is none.

    Returns:
        The cluster; None if the variable is not set or names fewer than two processes.

    Raises:
        RequestError: if the variable is malformed, names parameter servers, or does not contain this process.
    """
    text = os.environ.get(_VARIABLE, "").strip()
    if not text:
        return None
    try:
        document = json.loads(text)
        tasks = document.get("cluster", {})
        task = document.get("task", {"type": "worker", "index": 0})
        kind, index = str(task["type"]), int(task["index"])
        chiefs, workers = list(tasks.get("chief", [])), list(tasks.get("worker", []))
        addresses = tuple(map(str, chiefs + workers))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RequestError(
            f'{_VARIABLE}: is not of the form {{"cluster": {{"worker": ["HOST:PORT", …]}},'
            ' "task": {"type": "worker", "index": 0}}'
        ) from error
    if tasks.get("ps"):
        raise RequestError(f"{_VARIABLE}: names parameter servers; this trainer needs chief and workers only")
    if kind not in ("chief", "worker"):
        raise RequestError(
            f"{_VARIABLE}: this process is a task of type {kind!r}; run chief and workers only"
        )
    own = chiefs if kind == "chief" else workers
    if not addresses and not index:
        return None
    if not 0 <= index < len(own) or len(chiefs) > 1:
        raise RequestError(
            f"{_VARIABLE}: names {len(own)} tasks of type {kind}, and this process is number {index}"
        )
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 2**16:
            raise RequestError(f"{_VARIABLE}: {address!r} is no address; give HOST:PORT")
    if len(set(addresses)) < len(addresses):
        raise RequestError(f"{_VARIABLE}: names an address twice; every process needs its own")
    if len(addresses) == 1:
        return None
    return Cluster(addresses, index if kind == "chief" else len(chiefs) + index)
