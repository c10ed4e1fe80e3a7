"""Who may write into an output directory: the same request again, or nobody else without ``--overwrite``.

A data set that replaces another is made in a hidden folder inside the directory, so the directory itself may
be a mount point, or a prefix of an object store. The old data set stays until the new one is whole. Then the
old manifest goes first and the new one comes last: in between the directory holds no data set, and the next
run moves what is still to be moved.
"""

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
from pipeline.workspace import STATE_DIRECTORY, Request, Workspace

REPLACEMENT_DIRECTORY = ".replacement"
_OWN_NAMES = {MANIFEST_NAME, STATE_DIRECTORY, REPLACEMENT_DIRECTORY, *METADATA_NAMES}


@dataclass(frozen=True)
class Target:
    """Where a request is to be worked on.

    Attributes:
        output_dir: where the data set is to lie, resolved.
        directory: where to work: the output directory, or the replacement in it.
        finished: the manifest, if the request was already fulfilled in ``directory``.
    """

    output_dir: str
    directory: str
    finished: Manifest | None = None


@contextmanager
def held(output_dir: str) -> Iterator[None]:
    """Hold the output directory for this process, making it if need be; see `pipeline.directory_lock`.

    An exchange that a killed process began is finished. A wrong request leaves no directory behind.

    Raises:
        WorkError: if another process works there.
        RequestError: if it cannot be made.
    """
    if files.is_pattern(output_dir):
        raise RequestError(
            f"--output_dir {output_dir}: Beam takes [, ], * and ? for patterns there; leave them out"
        )
    output_dir = files.resolve(output_dir)
    try:
        made = _make_directories(output_dir) if files.is_local(output_dir) else []
    except OSError as error:
        raise RequestError(f"--output_dir {output_dir}: cannot be made ({one_line(error)})") from error
    try:
        with locked(output_dir):
            _finish_exchange(output_dir)
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
    workspace, request = Workspace(target.directory), Request.of(settings)
    try:
        is_new = not _is_claimed_for(workspace, request)
        if is_new and target.directory != target.output_dir and files.directory_exists(target.directory):
            files.delete_tree(target.directory)  # A replacement that was given up for another.
        workspace.make_state()
        if is_new:
            workspace.write_request(request)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"--output_dir {target.directory}: cannot be written ({one_line(error)})"
        ) from error


def publish(target: Target) -> Manifest:
    """Put a finished data set in its place and return its manifest."""
    if target.directory != target.output_dir:
        _exchange(target.output_dir)
    manifest = read_manifest(target.output_dir)
    if manifest is None:
        raise OSError(f"{target.output_dir}: the job ended but there is no manifest")
    if files.is_local(target.output_dir):
        files.sync_directory_of(target.output_dir)
    return manifest


def read_manifest(directory: str) -> Manifest | None:
    """The manifest in a directory; None if it holds no finished data set.

    Raises:
        RequestError: if there is a manifest but it is damaged.
    """
    path = Workspace(directory).manifest_path
    return Manifest.from_bytes(files.read_bytes(path), path) if files.file_exists(path) else None


def _choose(output_dir: str, settings: DatasetSettings, overwrite: bool) -> Target:
    names, request = files.list_names(output_dir), Request.of(settings)
    if foreign := sorted(name for name in names if not _is_own(name)):
        raise RequestError(
            f"--output_dir {output_dir}: holds something else ({foreign[0]}); name an empty or new directory"
        )
    workspace = Workspace(output_dir)
    try:
        manifest = read_manifest(output_dir)
        holds = workspace.read_request() if manifest is None else _request_of(manifest)
    except RequestError as error:
        if not overwrite:
            raise RequestError(f"{error}, or add --overwrite") from error
        return _replacement(output_dir, request)
    if holds == request:
        return Target(output_dir, output_dir, manifest)
    if holds is None and not names - {STATE_DIRECTORY, REPLACEMENT_DIRECTORY}:
        return Target(output_dir, output_dir)
    if not overwrite and holds is None:
        raise RequestError(
            f"--output_dir {output_dir}: holds shards of an unknown request ({min(names)});"
            " name another directory or add --overwrite"
        )
    if not overwrite and holds is not None:
        what = "other settings" if holds.settings != settings else "another version of this program"
        raise RequestError(
            f"--output_dir {output_dir}: holds a data set made with {what}"
            f" ({holds.difference(request)}); name another directory or add --overwrite"
        )
    return _replacement(output_dir, request)


def _request_of(manifest: Manifest) -> Request:
    """The request that a finished data set fulfils.

    Which library compressed it does not matter any more: nothing will be added to it, and a repair compares
    digests. Manifests written before they named their definition are of version 1.
    """
    request = Request.of(manifest.settings)
    definition = manifest.environment.get("definition", "1")
    return Request(request.settings, {**request.versions, "definition": definition})


def _replacement(output_dir: str, request: Request) -> Target:
    """Work in a folder beside the old data set, which stays until the new one is whole."""
    directory = files.join(output_dir, REPLACEMENT_DIRECTORY)
    if not all(map(_is_own, files.list_names(directory))):
        raise RequestError(f"--overwrite needs {directory}, which holds something else; move it away")
    finished = None
    with suppress(RequestError):  # Damaged: it is made anew.
        manifest = read_manifest(directory)
        finished = manifest if manifest is not None and _request_of(manifest) == request else None
    return Target(output_dir, directory, finished)


def _is_claimed_for(workspace: Workspace, request: Request) -> bool:
    """Whether unfinished work in a directory is the request's; damaged or none is not."""
    try:
        return workspace.read_request() == request
    except RequestError:
        return False


def _finish_exchange(output_dir: str) -> None:
    """Go on with an exchange that was interrupted, if there is one.

    It has begun when a whole replacement is there, and the old data set is gone or is the replacement.
    """
    replacement = files.join(output_dir, REPLACEMENT_DIRECTORY)
    with suppress(RequestError):  # A damaged manifest is no data set to put in place, or to give up.
        if (new := read_manifest(replacement)) is not None:
            old = read_manifest(output_dir)
            if old is None or old.fingerprint == new.fingerprint:
                _exchange(output_dir)
    if files.is_local(output_dir):
        with suppress(OSError):  # Only an empty one goes.
            os.rmdir(replacement)


def _exchange(output_dir: str) -> None:
    """Put the whole replacement in the place of what is there; every step can be the last one done."""
    replacement = files.join(output_dir, REPLACEMENT_DIRECTORY)
    new = read_manifest(replacement)
    if new is None:
        raise OSError(f"{replacement}: the job ended but there is no manifest")
    manifest_path = files.join(output_dir, MANIFEST_NAME)
    if files.file_exists(manifest_path):
        files.delete_file(manifest_path)
        files.sync(output_dir)
    kept = {record.file for record in new.listed_shards().values()} | set(METADATA_NAMES)
    for name in files.list_names(output_dir) - kept - {REPLACEMENT_DIRECTORY}:
        if name == STATE_DIRECTORY:
            files.delete_tree(files.join(output_dir, name))
        elif _is_own(name):
            files.delete_file(files.join(output_dir, name))
    moved = sorted(kept & files.list_names(replacement))
    files.rename({files.join(replacement, name): files.join(output_dir, name) for name in moved})
    files.sync(output_dir)
    files.rename({files.join(replacement, MANIFEST_NAME): manifest_path})
    files.sync(output_dir)
    if files.directory_exists(replacement):
        files.delete_tree(replacement)


def _make_directories(directory: str) -> list[str]:
    """Make a directory and those above it; those that were not there, the lowest first."""
    made, above = [], files.nearest_existing(directory)
    while directory != above:
        made.append(directory)
        directory = os.path.dirname(directory)
    for missing in reversed(made):
        os.mkdir(missing)
    return made


def _is_own(name: str) -> bool:
    return name in _OWN_NAMES or is_shard_name(name)
