"""Who may write into an output directory: the same request again, or nobody else without ``--overwrite``.

A data set that replaces another is made in a hidden folder inside the directory, so the directory itself may
be a mount point, or a prefix of an object store. The old data set stays until the new one is whole. Then the
old manifest goes first and the new one comes last: in between the directory holds no data set, a file in the
folder says so, and the next run moves what is still to be moved.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pipeline.command_line.errors import RequestError, one_line
from pipeline.dataset.manifest import MANIFEST_NAME, Manifest
from pipeline.dataset.shard_plan import is_shard_name
from pipeline.dataset.tfds_metadata import is_metadata_name, metadata_files
from pipeline.definition import Definition
from pipeline.generation.work_folder import WORK_FOLDER, Request, Workspace
from pipeline.storage import atomic_files, files
from pipeline.storage.directory_lock import locked

REPLACEMENT_DIRECTORY = ".replacement"
# In the replacement as soon as the old data set is given up.
_EXCHANGE_NAME = ".exchange"
_OWN_NAMES = {MANIFEST_NAME, WORK_FOLDER, REPLACEMENT_DIRECTORY, _EXCHANGE_NAME}
# What an empty disk holds.
_OF_FILE_SYSTEMS = {"lost+found"}


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

    def abandoned(self) -> str | None:
        """The folder of a replacement that is not being worked on, if there is one."""
        replacement = files.join(self.output_dir, REPLACEMENT_DIRECTORY)
        is_other = self.directory == self.output_dir and files.directory_exists(replacement)
        return replacement if is_other else None


@contextmanager
def lock_output_directory(output_dir: str) -> Iterator[None]:
    """Hold the output directory for this process, making it if need be, by `pipeline.storage.directory_lock`.

    An exchange that a killed process began is finished. A wrong request leaves no directory behind.

    Raises:
        WorkError: if another process works there.
        RequestError: if it cannot be made.
    """
    _check_name(output_dir)
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


def choose_target(output_dir: str, definition: Definition, overwrite: bool) -> Target:
    """Decide where a request may be worked on, or say why not. Nothing is written.

    Raises:
        RequestError: if the directory holds something else.
    """
    _check_name(output_dir)
    output_dir = files.resolve(output_dir)
    try:
        if files.is_local(output_dir) and not os.path.isdir(above := files.nearest_existing(output_dir)):
            raise RequestError(f"--output_dir {output_dir}: {above} is a file; name a directory")
        return _choose(output_dir, definition, overwrite)
    except (OSError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"--output_dir {output_dir}: cannot be read ({one_line(error)})") from error


def _check_name(output_dir: str) -> None:
    if files.is_pattern(output_dir):
        raise RequestError(
            f"--output_dir {output_dir}: Beam takes [, ], * and ? for patterns there; leave them out"
        )
    files.check_file_system(output_dir, f"--output_dir {output_dir}")


def claim(target: Target, definition: Definition) -> None:
    """Write the request into the directory to work in.

    Raises:
        RequestError: if it cannot be written.
    """
    workspace, request = Workspace(target.directory), Request.of(definition)
    try:
        is_new = not _is_claimed_for(workspace, request)
        if is_new and target.directory != target.output_dir:
            _remove_replacement(target.output_dir)  # That was given up for another.
        workspace.make_state()
        if is_new:
            workspace.write_request(request)
        if files.is_local(target.directory):  # Elsewhere nobody is locked out.
            workspace.remove_unfinished()
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
    return manifest


def read_manifest(directory: str) -> Manifest | None:
    """The manifest in a directory; None if it holds no finished data set.

    Raises:
        RequestError: if there is a manifest but it is damaged.
    """
    path = Workspace(directory).manifest_path
    return Manifest.from_bytes(files.read_bytes(path), path) if files.file_exists(path) else None


def _choose(output_dir: str, definition: Definition, overwrite: bool) -> Target:
    names, request = files.list_names(output_dir) - _OF_FILE_SYSTEMS, Request.of(definition)
    if foreign := sorted(name for name in names if not _is_own(name)):
        raise RequestError(
            f"--output_dir {output_dir}: holds something else ({foreign[0]}); name an empty or new directory"
        )
    workspace = Workspace(output_dir)
    try:
        # A dry run may meet an exchange that was interrupted.
        is_exchanging = REPLACEMENT_DIRECTORY in names and _is_exchanging(output_dir)
        replacement = files.join(output_dir, REPLACEMENT_DIRECTORY)
        manifest = (read_manifest(replacement) if is_exchanging else None) or read_manifest(output_dir)
        holds = workspace.read_request() if manifest is None else Request.of_manifest(manifest)
    except RequestError as error:
        if not overwrite:
            raise RequestError(f"{error}, or add --overwrite") from error
        return _replacement(output_dir, request)
    if holds == request:
        return Target(output_dir, output_dir, manifest)
    if holds is None and not names - {WORK_FOLDER, REPLACEMENT_DIRECTORY}:
        return Target(output_dir, output_dir)
    if not overwrite and holds is None:
        raise RequestError(
            f"--output_dir {output_dir}: holds shards of an unknown request ({min(names)});"
            " name another directory or add --overwrite"
        )
    if not overwrite and holds is not None:
        what = (
            "other settings" if not holds.is_of_same_data_set(request) else "another version of this program"
        )
        raise RequestError(
            f"--output_dir {output_dir}: holds a data set made with {what}"
            f" ({holds.difference(request)}); name another directory or add --overwrite"
        )
    return _replacement(output_dir, request)


def _replacement(output_dir: str, request: Request) -> Target:
    """Work in a folder beside the old data set, which stays until the new one is whole."""
    directory = files.join(output_dir, REPLACEMENT_DIRECTORY)
    if not all(map(_is_own, files.list_names(directory))):
        raise RequestError(f"--overwrite needs {directory}, which holds something else; move it away")
    finished = None
    with suppress(RequestError):  # Damaged: it is made anew.
        manifest = read_manifest(directory)
        finished = manifest if manifest is not None and Request.of_manifest(manifest) == request else None
    return Target(output_dir, directory, finished)


def _is_claimed_for(workspace: Workspace, request: Request) -> bool:
    """Whether unfinished work in a directory is the request's; damaged or none is not."""
    try:
        return workspace.read_request() == request
    except RequestError:
        return False


def _finish_exchange(output_dir: str) -> None:
    """Go on with an exchange that was interrupted, if there is one."""
    replacement = files.join(output_dir, REPLACEMENT_DIRECTORY)
    if _is_exchanging(output_dir):
        if files.file_exists(Workspace(replacement).manifest_path):
            _exchange(output_dir)
        else:  # It was moved, as the last file.
            _remove_replacement(output_dir)
    if files.is_local(output_dir):
        with suppress(OSError):  # Only an empty one goes.
            os.rmdir(replacement)


def _is_exchanging(output_dir: str) -> bool:
    return files.file_exists(files.join(output_dir, REPLACEMENT_DIRECTORY, _EXCHANGE_NAME))


def _exchange(output_dir: str) -> None:
    """Put the whole replacement in the place of what is there; every step can be the last one done."""
    replacement = files.join(output_dir, REPLACEMENT_DIRECTORY)
    new = read_manifest(replacement)
    if new is None:
        raise OSError(f"{replacement}: the job ended but there is no manifest")
    manifest_path = files.join(output_dir, MANIFEST_NAME)
    # From here on the old data set is given up: whoever finds this file goes on.
    atomic_files.write_bytes(files.join(replacement, _EXCHANGE_NAME), b"", replacement)
    if files.file_exists(manifest_path):
        files.delete_file(manifest_path)
        atomic_files.sync(output_dir)
    shards = new.file_names()
    for name in files.list_names(output_dir) - shards - {REPLACEMENT_DIRECTORY}:
        if name == WORK_FOLDER:
            files.delete_tree(files.join(output_dir, name))
        elif _is_own(name):
            files.delete_file(files.join(output_dir, name))
    moved = sorted(shards & files.list_names(replacement))
    files.rename({files.join(replacement, name): files.join(output_dir, name) for name in moved})
    for name, content in metadata_files(new).items():
        atomic_files.write_bytes(files.join(output_dir, name), content, replacement)
    atomic_files.sync(output_dir)
    files.rename({files.join(replacement, MANIFEST_NAME): manifest_path})
    atomic_files.sync(output_dir)
    _remove_replacement(output_dir)


def _remove_replacement(output_dir: str) -> None:
    """Remove a replacement; its manifest first, which must not outlive what it lists."""
    replacement = files.join(output_dir, REPLACEMENT_DIRECTORY)
    manifest_path = Workspace(replacement).manifest_path
    if files.file_exists(manifest_path):
        files.delete_file(manifest_path)
        atomic_files.sync(replacement)
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
        atomic_files.sync_directory_of(missing)
    return made


def _is_own(name: str) -> bool:
    return name in _OWN_NAMES or is_metadata_name(name) or is_shard_name(name)
