import json
import socket

import pytest

from pipeline.command_line.errors import RequestError, WorkError
from trainer.distributed.cluster import Cluster, read_cluster
from trainer.distributed.peers import connected

TWO = ["a:1", "b:2"]


def _set(monkeypatch: pytest.MonkeyPatch, document: object) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    monkeypatch.setenv("TF_CONFIG", text)


@pytest.mark.parametrize(
    ("cluster", "task", "addresses", "index"),
    [
        ({"worker": TWO}, ("worker", 1), ("a:1", "b:2"), 1),
        ({"chief": ["c:9"], "worker": TWO}, ("worker", 1), ("c:9", "a:1", "b:2"), 2),
        ({"chief": ["c:9"], "worker": TWO}, ("chief", 0), ("c:9", "a:1", "b:2"), 0),
        ({"worker": ["[::1]:1", "[::1]:2"]}, ("worker", "0"), ("[::1]:1", "[::1]:2"), 0),
    ],
)
def test_the_chief_comes_first(
    monkeypatch: pytest.MonkeyPatch,
    cluster: dict[str, list[str]],
    task: tuple[str, int],
    addresses: tuple[str, ...],
    index: int,
) -> None:
    _set(monkeypatch, {"cluster": cluster, "task": {"type": task[0], "index": task[1]}})
    found = read_cluster()
    assert found is not None
    assert (found.addresses, found.index, found.is_chief) == (addresses, index, index == 0)


@pytest.mark.parametrize(
    "document", ["", "{}", {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}]
)
def test_one_process_is_no_cluster(monkeypatch: pytest.MonkeyPatch, document: object) -> None:
    _set(monkeypatch, document)
    assert read_cluster() is None


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ("{", "is not of the form"),
        ("[]", "is not of the form"),
        ({"cluster": {"worker": 5}, "task": {"type": "worker", "index": 0}}, "is not of the form"),
        ({"cluster": {"worker": TWO}, "task": {"type": "worker"}}, "is not of the form"),
        ({"cluster": {"worker": TWO}, "task": {"type": "worker", "index": 2}}, "number 2"),
        ({"cluster": {"worker": TWO}, "task": {"type": "chief", "index": 0}}, "0 tasks of type chief"),
        ({"cluster": {"worker": TWO}, "task": {"type": "evaluator", "index": 0}}, "evaluator"),
        ({"cluster": {"worker": TWO, "ps": ["p:1"]}, "task": {"type": "worker", "index": 0}}, "parameter"),
        ({"cluster": {"worker": ["a:1", "b"]}, "task": {"type": "worker", "index": 0}}, "'b' is no address"),
        ({"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}, "twice"),
        ({"cluster": {"chief": TWO, "worker": TWO}, "task": {"type": "chief", "index": 0}}, "2 tasks"),
    ],
)
def test_what_cannot_be_understood_is_refused(
    monkeypatch: pytest.MonkeyPatch, document: object, named: str
) -> None:
    _set(monkeypatch, document)
    with pytest.raises(RequestError, match=named) as caught:
        read_cluster()
    assert str(caught.value).startswith("TF_CONFIG: ")


def test_a_chief_that_cannot_be_reached_is_named_with_the_reason() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # Nobody listens there, and nobody else can.
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        expected = rf"process 0 \({address}\) .* did not connect within 1 s; .* \(Connection refused\)"
        cluster = Cluster((address, "127.0.0.1:1"), 1)
        with pytest.raises(WorkError, match=expected), connected("trainer.task", cluster, {}, 1, 1):
            pytest.fail("somebody listens")
