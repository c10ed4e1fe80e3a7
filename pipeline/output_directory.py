"""Who may write into an output directory: the same request again, or nobody else without ``--overwrite``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pipeline import files
from pipeline.directory_lock import locked
from pipeline.manifest import MANIFEST_NAME, Manifest
from pipeline.program import RequestError, one_line
from pipeline.settings import DatasetSettings, is_shard_name
from pipeline.tfds_metadata import METADATA_NAMES
from pipeline.workspace import STATE_DIRECTORY, Workspace

_OWN_NAMES = {MANIFEST_NAME, STATE_DIRECTORY, *METADATA_NAMES}


@dataclass(frozen=True)
class Target:
    """Where a request is to be worked on.

    Attributes:
        output_dir: where the data set is to lie, resolved.
        directory: where to work: the output directory, or the replacement beside it.
        finished: the manifest, if the request was already fulfilled in ``directory``.
    """

    output_dir: str
    directory: str
    finished: Manifest | None = None


@contextmanager
def held(output_dir: str) -> Iterator[None]:
    """Hold the output directory for this process, making it if need be; see `pipeline.directory_lock`.

    A wrong request leaves no directory behind.

    Raises:
        WorkError: if another process works there.
        RequestError: if it cannot be made.
    """
    if not files.is_local(output_dir):
        yield
        return
    output_dir = files.resolve(output_dir)
    try:
        replaced = _replaced(output_dir)
        if _is_data_set(replaced):
            with locked(replaced):
                _finish_exchange(output_dir)
        made = _make_directories(output_dir)
    except OSError as error:
        raise RequestError(f"--output_dir {output_dir}: cannot be made ({one_line(error)})") from error
    try:
        with locked(output_dir):
            yield
    except RequestError:
        with suppress(OSError):  # What made the request fail may have left something there.
            for directory in made:
                os.rmdir(directory)
        raise


def choose_target(output_dir: str, settings: DatasetSettings, overwrite: bool) -> Target:
    """Decide where a request may be worked on, or say why not. Nothing is written.

    Raises:
        RequestError: if the directory holds something else.
    """
    output_dir = files.resolve(output_dir)
    try:
        if files.is_local(output_dir) and not os.path.isdir(above := files.nearest_existing(output_dir)):
            raise RequestError(f"--output_dir {output_dir}: {above} is a file; name a directory")
        return _choose(output_dir, settings, overwrite)
    except (OSError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"--output_dir {output_dir}: cannot be read ({one_line(error)})") from error


def claim(target: Target, settings: DatasetSettings) -> None:
    """Write the request into the directory to work in.

    Raises:
        RequestError: if it cannot be written.
    """
    workspace = Workspace(target.directory)
    try:
        is_new = workspace.read_request() != settings
        if is_new and target.directory != target.output_dir and files.exists(target.directory):
            files.delete(target.directory)  # A replacement that was given up for another.
        workspace.make_state()
        if is_new:
            workspace.write_request(settings)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"--output_dir {target.directory}: cannot be written ({one_line(error)})"
        ) from error


def publish(target: Target) -> Manifest:
    """Put a finished data set in its place and return its manifest."""
    if target.directory != target.output_dir:
        if os.path.isdir(target.output_dir):
            os.rename(target.output_dir, _replaced(target.output_dir))
        _finish_exchange(target.output_dir)
    manifest = read_manifest(target.output_dir)
    if manifest is None:
        raise OSError(f"{target.output_dir}: the job ended but there is no manifest")
    return manifest


def read_manifest(directory: str) -> Manifest | None:
    """The manifest in a directory; None if it holds no finished data set.

    Raises:
        RequestError: if there is a manifest but it is damaged.
    """
    path = Workspace(directory).manifest_path
    return Manifest.from_bytes(files.read_bytes(path), path) if files.exists(path) else None


def _choose(output_dir: str, settings: DatasetSettings, overwrite: bool) -> Target:
    names = files.list_names(output_dir)
    if foreign := sorted(name for name in names if not _is_own(name)):
        raise RequestError(
            f"--output_dir {output_dir}: holds something else ({foreign[0]}); name an empty or new directory"
        )
    workspace = Workspace(output_dir)
    try:
        manifest = read_manifest(output_dir)
    except RequestError as error:
        if not overwrite:
            raise RequestError(f"{error}, or add --overwrite") from error
        return _replacement(output_dir, settings)
    holds = manifest.settings if manifest is not None else workspace.read_request()
    if holds == settings:
        return Target(output_dir, output_dir, manifest)
    if holds is None and not names - {STATE_DIRECTORY}:
        return Target(output_dir, output_dir)
    if not overwrite and holds is None:
        raise RequestError(
            f"--output_dir {output_dir}: holds shards of an unknown request ({min(names)});"
            " name another directory or add --overwrite"
        )
    if not overwrite and holds is not None:
        raise RequestError(
            f"--output_dir {output_dir}: holds a data set with other settings"
            f" ({_difference(holds, settings)}); name another directory or add --overwrite"
        )
    return _replacement(output_dir, settings)


def _replacement(output_dir: str, settings: DatasetSettings) -> Target:
    """Work beside the old data set, which stays until the new one is whole."""
    if not files.is_local(output_dir):
        raise RequestError(
            f"--overwrite: {output_dir} cannot be exchanged at once; remove it or name another directory"
        )
    directory = _beside(output_dir, "replacement")
    manifest = read_manifest(directory)
    holds = manifest.settings if manifest is not None else Workspace(directory).read_request()
    if not all(map(_is_own, files.list_names(directory))):
        raise RequestError(f"--overwrite needs {directory}, which holds something else; move it away")
    return Target(output_dir, directory, manifest if holds == settings else None)


def _finish_exchange(output_dir: str) -> None:
    """Exchange old and new, or finish what a killed process began: every step can be the last one done."""
    replaced, replacement = _replaced(output_dir), _beside(output_dir, "replacement")
    if not _is_data_set(replaced):
        return
    if not os.path.exists(output_dir):
        os.rename(replacement if read_manifest(replacement) is not None else replaced, output_dir)
    if os.path.isdir(replaced):
        files.delete(replaced)


def _make_directories(directory: str) -> list[str]:
    """Make a directory and those above it; those that were not there, the lowest first."""
    made, above = [], files.nearest_existing(directory)
    while directory != above:
        made.append(directory)
        directory = os.path.dirname(directory)
    for missing in reversed(made):
        os.mkdir(missing)
    return made


def _is_data_set(directory: str) -> bool:
    """Whether a directory is there that holds nothing but ours, whatever its name."""
    return os.path.isdir(directory) and all(map(_is_own, files.list_names(directory)))


def _is_own(name: str) -> bool:
    return name in _OWN_NAMES or is_shard_name(name)


def _replaced(output_dir: str) -> str:
    return _beside(output_dir, "replaced")


def _beside(directory: str, role: str) -> str:
    parent, name = os.path.split(directory)
    return os.path.join(parent, f".{name}.{role}")


def _difference(old: DatasetSettings, new: DatasetSettings) -> str:
    before, after = old.to_json(), new.to_json()
    return ", ".join(
        f"{name} {before[name]}, not {after[name]}" for name in before if before[name] != after[name]
    )
