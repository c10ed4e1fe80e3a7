"""Repeats the evaluation of a ``metrics.json`` and compares all numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.command_line.errors import RequestError
from trainer.evaluation.document import VOLATILE_PARTS
from trainer.evaluation.evaluator import EvaluationRequest
from trainer.run.tensorflow_files import file_sha256

# Paths may differ.
_PATH_NAMES = ("model.path", "model.run", "dataset.path", "request.slices.path")


def recorded_request(
    document: Mapping[str, Any],
    path: str,
    *,
    model_dir: str | None = None,
    data_dir: str | None = None,
    slices: str | None = None,
) -> EvaluationRequest:
    """The request that a document records.

    Args:
        document: document of a ``metrics.json``.
        path: path of the document, for errors.
        model_dir: present path of the run directory; None takes the recorded one.
        data_dir: present path of the data set; None takes the recorded one.
        slices: present path of the file of slicings; None takes the recorded one.

    Raises:
        RequestError: if the document records no request, or the file of slicings has changed.
    """
    try:
        asked, model = document["request"], document["model"]
        run = model_dir or model["run"]
        file_name = os.path.relpath(model["path"], model["run"])
        return EvaluationRequest(
            data_dir=data_dir or document["dataset"]["path"],
            model_dir=run,
            split=document["dataset"]["split"],
            batch_size=asked["batch_size"],
            flips=tuple(asked["flips"]),
            seed=asked["seed"],
            views=asked.get("views"),
            crops=asked.get("crops"),
            single_frame=asked.get("single_frame", False),
            beam=asked.get("beam"),
            length_penalty=asked.get("length_penalty"),
            on_corrupt=asked["on_corrupt"],
            slices=_same_slices(asked["slices"], slices),
            checkpoint=os.path.join(run, file_name),
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise RequestError(f"--reproduce {path}: does not say what was asked for ({error!r})") from error


def _same_slices(before: Mapping[str, str] | None, now: str | None) -> str | None:
    """The path of the file of slicings; only the recorded program may run, so its digest is checked."""
    if before is None:
        if now is not None:
            raise RequestError(f"--slices {now}: the recorded request has no slices; leave --slices out")
        return None
    now = now or before["path"]
    if not os.path.isfile(now):
        raise RequestError(f"{now}: no such file of slicings; give its path by --slices")
    if file_sha256(now) != before["sha256"]:
        raise RequestError(
            f"{now}: is not the recorded file of slicings (SHA-256 {before['sha256'][:12]}...)"
        )
    return now


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A line per difference of two documents, apart from throughput, environment, code, paths and checks."""
    then, today = dict(_leaves(before)), dict(_leaves(now))
    return [
        f"{name}: {_shown(then, name)}, now {_shown(today, name)}"
        for name in {**then, **today}
        if name not in then or name not in today or then[name] != today[name]
    ]


def changed_versions(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A line per changed version of software, machine, device or code, which may explain differences."""
    then, today = (
        {
            **document["environment"],
            "device": document["throughput"]["device"],
            "code": document["code"]["sha256"][:12],
        }
        for document in (before, now)
    )
    return [
        f"{name} {then.get(name)}, now {today.get(name)}"
        for name in {**then, **today}
        if name not in ("time", "host") and then.get(name) != today.get(name)
    ]


def _leaves(document: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(document, Mapping):
        for key, value in document.items():
            full = f"{name}.{key}" if name else key
            if full not in _PATH_NAMES and full not in VOLATILE_PARTS:
                yield from _leaves(value, full)
    elif isinstance(document, list):
        yield f"{name}.length", len(document)
        for index, value in enumerate(document):
            yield from _leaves(value, f"{name}.{index}")
    else:
        yield name, document


def _shown(leaves: Mapping[str, Any], name: str) -> str:
    return str(leaves[name]) if name in leaves else "nothing"
