"""Who may write into an output directory: the same request again, or nobody else without ``--overwrite``."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pipeline import files
from pipeline.manifest import Manifest
from pipeline.program import RequestError, one_line
from pipeline.settings import DatasetSettings
from pipeline.workspace import Workspace

# A replacement is made beside the old data set and takes its place when it is whole.
_REPLACEMENT_SUFFIX = ".replacement"
_REPLACED_SUFFIX = ".replaced"


@dataclass(frozen=True)
class Target:
    """Where to work.

    Attributes:
        directory: the output directory, or the replacement beside it.
        finished: the manifest, if the request is already fulfilled.
    """

    directory: str
    finished: Manifest | None = None


def claim(output_dir: str, settings: DatasetSettings, overwrite: bool) -> Target:
    """Take an output directory for a request, or say why not.

    Raises:
        RequestError: if the directory holds something else, or cannot be written; nothing has changed then.
    """
    if os.path.exists(output_dir) and not os.path.isdir(output_dir):
        raise RequestError(f"--output_dir {output_dir}: is a file; name a directory")
    finished = read_manifest(output_dir)
    if finished is not None and finished.settings == settings:
        return Target(output_dir, finished)
    workspace = Workspace(output_dir)
    holds = finished.settings if finished is not None else workspace.read_request()
    if holds is None:
        if found := _first_entry(output_dir):
            raise RequestError(
                f"--output_dir {output_dir}: holds something else ({found}); name an empty or new directory"
            )
    elif holds != settings:
        if not overwrite:
            raise RequestError(
                f"--output_dir {output_dir}: holds a data set with other settings"
                f" ({_difference(holds, settings)}); name another directory or add --overwrite"
            )
        return _claim_empty(_beside(output_dir, _REPLACEMENT_SUFFIX), settings)
    return _claim_empty(output_dir, settings)


def publish(target: Target, output_dir: str) -> Manifest:
    """Put a finished data set in its place and return its manifest."""
    if target.directory != output_dir:
        replaced = _beside(output_dir, _REPLACED_SUFFIX)
        files.rename(output_dir, replaced)
        files.rename(target.directory, output_dir)
        files.delete(replaced)
    manifest = read_manifest(output_dir)
    if manifest is None:
        raise OSError(f"{output_dir}: the job ended but there is no manifest")
    return manifest


def read_manifest(directory: str) -> Manifest | None:
    """The manifest in a directory; None if it holds no finished data set.

    Raises:
        RequestError: if there is a manifest but it is damaged.
    """
    path = Workspace(directory).manifest_path
    return Manifest.from_bytes(files.read_bytes(path), path) if files.exists(path) else None


def _claim_empty(directory: str, settings: DatasetSettings) -> Target:
    workspace = Workspace(directory)
    if workspace.read_request() == settings:
        return Target(directory)
    if files.exists(directory) and _first_entry(directory):
        files.delete(directory)
    try:
        workspace.write_request(settings)
    except OSError as error:
        raise RequestError(f"--output_dir {directory}: cannot be written ({one_line(error)})") from error
    return Target(directory)


def _first_entry(directory: str) -> str | None:
    if os.path.isdir(directory):
        return min(os.listdir(directory), default=None)
    return min(files.list_files(directory), default=None) if files.exists(directory) else None


def _beside(directory: str, suffix: str) -> str:
    return directory.rstrip("/") + suffix


def _difference(old: DatasetSettings, new: DatasetSettings) -> str:
    before, after = old.to_json(), new.to_json()
    return ", ".join(
        f"{name} {before[name]}, not {after[name]}" for name in before if before[name] != after[name]
    )
