"""Flags that several programs share, and flags read from a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from pipeline.command_line.arguments import ArgumentParser
from pipeline.command_line.errors import RequestError, one_line

ON_CORRUPT = ("fail", "skip")

# Settings in a run's ``config.json`` that are no flags.
_FOUND_OUT = ("backbone_sha256", "vocabulary_sha256", "init_from_sha256")


def add_on_corrupt(parser: ArgumentParser, default: str | None = ON_CORRUPT[0]) -> None:
    """Add ``--on_corrupt``; see `trainer.input.skip_damaged_records.open_split`."""
    parser.add_argument(
        "--on_corrupt",
        choices=ON_CORRUPT,
        default=default,
        help="damaged data: fail at it, or skip it, for which every shard is read once beforehand",
    )


def check_dispatcher(flag: str, address: str) -> None:
    """Check the form of the address of a tf.data service's dispatcher.

    Args:
        flag: the flag that gave the address, for the error.
        address: must be ``grpc://HOST:PORT``.

    Raises:
        RequestError: if it has another form.
    """
    if not re.fullmatch(r"grpc://[^/\s:]+:\d{1,5}", address):
        raise RequestError(f"{flag} {address}: give grpc://HOST:PORT of a dispatcher")


def _is_whole_epoch(settings: Mapping[str, Any], dataset: Mapping[str, Any]) -> bool:
    """Whether the steps of a run's epochs are all that there are, as without the flag."""
    count, batch_size = dataset.get("num_train"), settings.get("batch_size")
    if not isinstance(count, int) or not isinstance(batch_size, int) or batch_size < 1:
        return False  # A file that somebody has changed.
    return bool(settings.get("steps_per_epoch") == count // batch_size)


def arguments_of_file(path: str) -> list[str]:
    """Read flags from a YAML or JSON file.

    Args:
        path: a file with a mapping from flag names, without dashes, to values. True and false stand for
            ``--flag`` and ``--no-flag``; null leaves the flag out. Or a run's ``config.json``, whose settings
            and data directory are taken.

    Returns:
        Arguments, to put before those of the command line, which override them.

    Raises:
        RequestError: if the file cannot be read or holds no such mapping.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            document: Any = yaml.safe_load(stream)
    except OSError as error:
        raise RequestError(f"--config {path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"--config {path}: is neither YAML nor JSON ({one_line(error)[:120]})") from error
    if isinstance(document, dict):
        settings, dataset = document.get("settings"), document.get("dataset")
        if isinstance(settings, dict) and isinstance(dataset, dict):  # A run's config.json.
            settings = {name: value for name, value in settings.items() if name not in _FOUND_OUT}
            if _is_whole_epoch(settings, dataset):  # Of another batch size or data set it may not be.
                del settings["steps_per_epoch"]
            document = {"data_dir": dataset.get("path"), **settings}
    if not isinstance(document, dict) or not all(isinstance(name, str) for name in document):
        raise RequestError(f"--config {path}: give a mapping from flags to values, as in batch_size: 64")
    arguments = []
    for name, value in document.items():
        if value is None:
            continue
        if name == "config" or isinstance(value, dict | list):
            raise RequestError(f"--config {path}: {name}: is no flag with a single value")
        if isinstance(value, bool):
            arguments.append(f"--{name}" if value else f"--no-{name}")
        else:
            arguments.append(f"--{name}={value}")
    return arguments
