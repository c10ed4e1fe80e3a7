"""Chooses, claims and locks the directory that a request is worked on in, and publishes the data set.

Without ``--overwrite``, a directory accepts only the request that it holds already. With it, the new data set
is made in the **replacement**, a hidden folder inside the directory, so that the directory may be a mount
point or a prefix of an object store. The old data set is kept until the new one is complete. Then they are
**exchanged**: the old manifest is removed first and the new manifest is moved last. In between the directory
holds no data set; a marker file in the replacement says so, and the next run finishes the exchange.
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
from pipeline.definition import SOURCES_NAME, Definition
from pipeline.generation.request import Request
from pipeline.generation.work_folder import WORK_FOLDER_NAME, WorkFolder
from pipeline.storage import atomic_files, files
from pipeline.storage.directory_lock import locked

REPLACEMENT_DIRECTORY = ".replacement"
# Marker file in the replacement, written before the exchange removes anything of the old data set.
_EXCHANGE_NAME = ".exchange"
_OWN_NAMES = {MANIFEST_NAME, SOURCES_NAME, WORK_FOLDER_NAME, REPLACEMENT_DIRECTORY, _EXCHANGE_NAME}
# What a system puts into directories: an empty file system's own, and macOS' views and attributes of files.
_SYSTEM_NAMES = {"lost+found", ".DS_Store"}
_SYSTEM_PREFIX = "._"


@dataclass(frozen=True)
class Target:
    """The directory that a request is worked on in.

    Attributes:
        output_dir: resolved path of the output directory.
        directory: directory to write to: the output directory, or the replacement in it.
        finished: the manifest, if ``directory`` already holds the finished data set of the request.
    """

    output_dir: str
    directory: str
    finished: Manifest | None = None

    def abandoned_replacement(self) -> str | None:
        """Path of a replacement that this request does not work on; None if there is none."""
        replacement = files.join(self.output_dir, REPLACEMENT_DIRECTORY)
        is_other = self.directory == self.output_dir and files.directory_exists(replacement)
        return replacement if is_other else None


@contextmanager
def lock_output_directory(output_dir: str) -> Iterator[None]:
    """Lock the output directory for the duration of the block; see `pipeline.storage.directory_lock`.

    Makes the directory if it does not exist; if the block raises RequestError, removes it again. Finishes an
    exchange that a killed process has begun.

    Raises:
        WorkError: if another process holds the lock.
        RequestError: if the directory cannot be made.
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
        with suppress(OSError):  # A directory that is not empty stays.
            for directory in made:
                os.rmdir(directory)
        raise


def choose_target(output_dir: str, definition: Definition, overwrite: bool) -> Target:
    """Choose the directory that a request is worked on in. Nothing is written.

    Args:
        output_dir: path of the output directory, which need not exist.
        definition: definition of the data set.
        overwrite: whether the data set may replace another one.

    Raises:
        RequestError: if the directory holds other files, or another data set and ``overwrite`` is False, or
            cannot be read, or must be written and cannot be.
    """
    _check_name(output_dir)
    output_dir = files.resolve(output_dir)
    try:
        if files.is_local(output_dir) and not os.path.isdir(above := files.nearest_existing(output_dir)):
            raise RequestError(f"--output_dir {output_dir}: {above} is a file; name a directory")
        target = _choose(output_dir, definition, overwrite)
        if target.finished is None and not _may_write(target):
            raise RequestError(f"--output_dir {output_dir}: you may not write there; name another directory")
        return target
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


def claim(target: Target, definition: Definition, sources: bytes | None = None) -> None:
    """Make the work folder in the target's directory and write the request.

    Args:
        target: the directory.
        definition: definition of the data set.
        sources: content of the index of the sources; None if the kind has none.

    Raises:
        RequestError: if they cannot be written.
    """
    work_folder, request = WorkFolder(target.directory), Request.of(definition)
    try:
        is_new = not _is_claimed_for(work_folder, request)
        if is_new and target.directory != target.output_dir:
            _clear_replacement(work_folder)  # It belongs to another request.
        path = files.join(target.directory, SOURCES_NAME)
        if (
            not is_new
            and sources is not None
            and files.file_exists(path)
            and files.read_bytes(path) != sources
        ):
            _remove_shards(work_folder)  # They hold other records: bad clips were mended since.
        work_folder.make()
        if is_new:
            work_folder.write_request(request)
        if sources is not None:
            atomic_files.write_bytes(path, sources, work_folder.path)
        if files.is_local(target.directory):  # Object stores have no lock: another process may be writing.
            work_folder.remove_temporary_files()
    except (OSError, ValueError) as error:
        raise RequestError(
            f"--output_dir {target.directory}: cannot be written ({one_line(error)})"
        ) from error


def publish(target: Target) -> Manifest:
    """Exchange a finished replacement for the old data set, if the target is one; return the manifest.

    Raises:
        OSError: if the directory holds no manifest, or a file cannot be moved.
    """
    if target.directory != target.output_dir:
        _exchange(target.output_dir)
    manifest = read_manifest(target.output_dir)
    if manifest is None:
        raise OSError(f"{target.output_dir}: the job ended but there is no manifest")
    return manifest


def read_manifest(directory: str) -> Manifest | None:
    """The manifest in a directory; None if it holds no finished data set.

    Raises:
        RequestError: if the manifest is damaged.
    """
    path = WorkFolder(directory).manifest_path
    return Manifest.from_bytes(files.read_bytes(path), path) if files.file_exists(path) else None


def _choose(output_dir: str, definition: Definition, overwrite: bool) -> Target:
    names, request = _names(output_dir), Request.of(definition)
    if foreign := sorted(name for name in names if not _is_own(name)):
        raise RequestError(
            f"--output_dir {output_dir}: holds something else ({foreign[0]}); name an empty or new directory"
        )
    work_folder = WorkFolder(output_dir)
    try:
        # A dry run does not finish an interrupted exchange: then the manifest may be in the replacement.
        is_exchanging = REPLACEMENT_DIRECTORY in names and _is_exchanging(output_dir)
        replacement = files.join(output_dir, REPLACEMENT_DIRECTORY)
        manifest = (read_manifest(replacement) if is_exchanging else None) or read_manifest(output_dir)
        holds = work_folder.read_request() if manifest is None else Request.of_manifest(manifest)
    except RequestError as error:
        if not overwrite:
            raise RequestError(f"{error}, or add --overwrite") from error
        return _replacement(output_dir, request)
    if holds == request:
        # During an exchange, the index may be in either directory.
        wrong = "" if manifest is None or is_exchanging else _index_problem(output_dir, manifest)
        if not wrong:
            return Target(output_dir, output_dir, manifest)
        if not overwrite:
            raise RequestError(f"{wrong}; add --overwrite to make the data set again")
        return _replacement(output_dir, request)
    if holds is None and not names - {WORK_FOLDER_NAME, REPLACEMENT_DIRECTORY}:
        return Target(output_dir, output_dir)
    if not overwrite and holds is None:
        raise RequestError(
            f"--output_dir {output_dir}: holds shards of an unknown request ({min(names)});"
            " name another directory or add --overwrite"
        )
    if not overwrite and holds is not None:
        is_other = not holds.is_of_same_data_set(request)
        made_with = "other settings" if is_other else "another version of this program"
        changed = definition.changed_sources(output_dir) if is_other else ""
        raise RequestError(
            f"--output_dir {output_dir}: holds a data set made with {made_with}"
            f" ({holds.difference(request)}{f': {changed}' if changed else ''});"
            " name another directory or add --overwrite"
        )
    return _replacement(output_dir, request)


def _may_write(target: Target) -> bool:
    """Whether this process may write to the target; on an object store, this is not known before it does."""
    if not files.is_local(target.directory):
        return True
    is_effective = os.access in os.supports_effective_ids
    above = files.nearest_existing(target.directory)
    return os.access(above, os.W_OK | os.X_OK, effective_ids=is_effective)


def _index_problem(output_dir: str, manifest: Manifest) -> str:
    """What is wrong with the index of a finished data set's sources; empty if nothing is, or it has none."""
    if not manifest.sources:
        return ""
    return next(manifest.definition.at(output_dir).findings(None, allow_leaks=True), "")


def _replacement(output_dir: str, request: Request) -> Target:
    """The target for a request that replaces another data set."""
    directory = files.join(output_dir, REPLACEMENT_DIRECTORY)
    if not all(map(_is_own, _names(directory))):
        raise RequestError(f"--overwrite needs {directory}, which holds something else; move it away")
    finished = None
    with suppress(RequestError):  # A replacement whose manifest is damaged is made again.
        manifest = read_manifest(directory)
        finished = manifest if manifest is not None and Request.of_manifest(manifest) == request else None
    return Target(output_dir, directory, finished)


def _is_claimed_for(work_folder: WorkFolder, request: Request) -> bool:
    """Whether the work folder holds this request; False if there is none or it is damaged."""
    try:
        return work_folder.read_request() == request
    except RequestError:
        return False


def _finish_exchange(output_dir: str) -> None:
    """Finish an interrupted exchange, if there is one."""
    replacement = files.join(output_dir, REPLACEMENT_DIRECTORY)
    if _is_exchanging(output_dir):
        if files.file_exists(WorkFolder(replacement).manifest_path):
            _exchange(output_dir)
        else:  # The manifest is the last file that is moved, so the exchange is complete.
            _remove_replacement(output_dir)
    if files.is_local(output_dir):
        with suppress(OSError):  # Removes the replacement only if it is empty.
            os.rmdir(replacement)


def _is_exchanging(output_dir: str) -> bool:
    return files.file_exists(files.join(output_dir, REPLACEMENT_DIRECTORY, _EXCHANGE_NAME))


def _exchange(output_dir: str) -> None:
    """Exchange the finished replacement for the old data set; can be repeated after any step."""
    replacement = files.join(output_dir, REPLACEMENT_DIRECTORY)
    new = read_manifest(replacement)
    if new is None:
        raise OSError(f"{replacement}: the job ended but there is no manifest")
    manifest_path = files.join(output_dir, MANIFEST_NAME)
    # From here on the old data set is lost: a later run that finds this file finishes the exchange.
    atomic_files.write_bytes(files.join(replacement, _EXCHANGE_NAME), b"", replacement)
    if files.file_exists(manifest_path):
        files.delete_file(manifest_path)
        atomic_files.sync(output_dir)
    shards = new.file_names()
    for name in files.list_names(output_dir) - shards - {REPLACEMENT_DIRECTORY}:
        if name == WORK_FOLDER_NAME:
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


def _clear_replacement(work_folder: WorkFolder) -> None:
    """Remove a data set and the work on it from the replacement, but not what was found in the sources."""
    names = files.list_names(work_folder.directory)
    for name in sorted(names - {WORK_FOLDER_NAME}, key=lambda name: name != MANIFEST_NAME):
        files.delete_file(files.join(work_folder.directory, name))
        if name == MANIFEST_NAME:
            atomic_files.sync(work_folder.directory)
    _remove_reports(work_folder)


def _remove_shards(work_folder: WorkFolder) -> None:
    """Remove the shards of unfinished work, their reports first: a report must not speak of a later shard."""
    _remove_reports(work_folder)
    for name in filter(is_shard_name, files.list_names(work_folder.directory)):
        files.delete_file(files.join(work_folder.directory, name))


def _remove_reports(work_folder: WorkFolder) -> None:
    """Remove what the work folder holds of finished shards."""
    for directory in (work_folder.reports_directory, work_folder.hashes_directory):
        if files.directory_exists(directory):
            files.delete_tree(directory)


def _remove_replacement(output_dir: str) -> None:
    """Remove the replacement, its manifest first: a manifest must not list files that are gone."""
    replacement = files.join(output_dir, REPLACEMENT_DIRECTORY)
    manifest_path = WorkFolder(replacement).manifest_path
    if files.file_exists(manifest_path):
        files.delete_file(manifest_path)
        atomic_files.sync(replacement)
    if files.directory_exists(replacement):
        files.delete_tree(replacement)


def _make_directories(directory: str) -> list[str]:
    """Make a directory and its missing parents; return those made, the deepest first."""
    made, above = [], files.nearest_existing(directory)
    while directory != above:
        made.append(directory)
        directory = os.path.dirname(directory)
    for missing in reversed(made):
        os.mkdir(missing)
        atomic_files.sync_directory_of(missing)
    return made


def _names(directory: str) -> set[str]:
    """Names of a directory's entries, without those of a system, which stay as they are beside a data set."""
    names = files.list_names(directory) - _SYSTEM_NAMES
    return {name for name in names if not name.startswith(_SYSTEM_PREFIX)}


def _is_own(name: str) -> bool:
    return name in _OWN_NAMES or is_metadata_name(name) or is_shard_name(name)
