"""Lists the clips of a source: a folder of classes, a folder of splits of classes, or a CSV.

    S/<class>/...                      a class for every folder; clips may lie in further folders below it
    S/<train|validation|test>/<class>/...
    S.csv                              a row a clip, with a header

A still image is a clip of one frame. A folder below a class folder that holds no other media than images is
one clip, a frame an image, in natural order. Nothing is opened here, so this does not depend on the content.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.clips import csv_source
from pipeline.clips.media_files import folder_images, is_hidden, is_image, is_media, is_text
from pipeline.clips.split_choice import SPLIT_NAMES
from pipeline.command_line.errors import RequestError, one_line
from pipeline.storage import files
from pipeline.storage.canonical_json import json_sha256


@dataclass(frozen=True, slots=True)
class Source:
    """A clip as it was found, before its content was read.

    Attributes:
        path: path of its file or its folder of images, relative to the root, with ``/``.
        size: size in bytes; of a folder of images, of all of them.
        label: name of its class; None in a CSV without labels.
        split: name of its split; None if it is to be chosen.
        group: clips of a group stay in one split; None: those of equal content.
        start, end: the part of the file in seconds, as decimal numbers; None: from its start, to its end.
        captions: descriptions in words, as `pipeline.dataset.captions.normalised` returns them.
    """

    path: str
    size: int
    label: str | None = None
    split: str | None = None
    group: str | None = None
    start: str | None = None
    end: str | None = None
    captions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Identifies the clip: its path, and the part of the file if it is one."""
        part = "" if self.start is None and self.end is None else f"#{self.start or 0}-{self.end or ''}"
        return self.path + part

    def to_json(self) -> dict[str, Any]:
        """The clip in JSON values, without what is not known of it."""
        # `asdict` would copy all values, which takes longer than all else that is done with an entry.
        values = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        document = {name: value for name, value in values if value is not None}
        return {**document, "captions": list(self.captions)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Source:
        """The inverse of `to_json`; other entries are ignored."""
        known = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
        return cls(**{**known, "captions": tuple(document["captions"])})


@dataclass(frozen=True)
class Listing:
    """All that a source holds.

    Attributes:
        root: the folder that paths are relative to.
        sources: the clips, sorted by name.
        ignored: other files, by path: why they are no clips.
    """

    root: str
    sources: list[Source]
    ignored: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """``N clips, sha256:...`` of everything that was found, but not of the files' content."""
        return f"{len(self.sources)} clips, sha256:{json_sha256([each.to_json() for each in self.sources])}"


def list_sources(source: str, root: str | None, group: str | None, allow_outside: bool) -> Listing:
    """List the clips of a source.

    Args:
        source: path of a folder or of a CSV, on any file system that Beam supports.
        root: folder that a CSV's paths are relative to; None: the CSV's own.
        group: regular expression that finds a clip's group in its path; its first group, or the whole match.
        allow_outside: whether links and a CSV's paths may lead out of the root.

    Raises:
        RequestError: if the source cannot be read or used; the message names the first reason.
    """
    files.check_file_system(source, f"--source {source}")
    try:
        if source.lower().endswith(".csv"):
            listing = _from_csv(source, root, allow_outside)
        else:
            if root is not None:
                raise RequestError("--root is for a CSV: leave it out")
            listing = _from_folder(source, allow_outside)
    except (OSError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"--source {source}: cannot be read ({one_line(error)})") from error
    if not listing.sources:
        raise RequestError(f"--source {source}: holds no videos or images in folders of classes")
    sources = sorted(listing.sources, key=lambda each: (each.path, float(each.start or 0), each.name))
    if group is not None:
        sources = _grouped(sources, group)
    _check(source, sources)
    return replace(listing, sources=sources)


def _from_folder(source: str, allow_outside: bool) -> Listing:
    root = source.rstrip("/") or "/"
    if not files.directory_exists(root):
        what = "is a file" if files.file_exists(root) else "no such folder"
        raise RequestError(f"--source {source}: {what}; name a folder of classes, or a .csv")
    sizes, ignored = _list_files(root, allow_outside)
    media: dict[str, int] = {}
    for path, size in sizes.items():
        if not is_media(path):
            ignored[path] = "no video or image by its suffix"
        elif not is_text(path):
            raise RequestError(
                f"--source {source}: {_shown(path)} has characters that are no text; rename it"
            )
        else:
            media[path] = size
    tops = {path.split("/")[0] for path in media if "/" in path}
    by_split = "train" in tops and tops <= SPLIT_NAMES.keys()
    if not by_split and "train" in (lower := {top.lower() for top in tops}) and lower <= SPLIT_NAMES.keys():
        raise RequestError(
            f"--source {source}: the folders {', '.join(sorted(tops))} would be classes; rename them to"
            " train, validation and test, in small letters, if they are splits, or name clips by a .csv"
        )
    depth = 2 if by_split else 1
    if stray := min((path for path in media if path.count("/") < depth), default=None):
        raise RequestError(
            f"--source {source}: {stray} lies in no folder of a class; move it, or name clips by a .csv"
        )
    sources = []
    for path, size in clips_of(media, depth).items():
        parts = path.split("/")
        split = SPLIT_NAMES[parts[0]] if by_split else None
        sources.append(Source(path, size, parts[depth - 1], split))
    return Listing(root, sources, {_shown(path): reason for path, reason in ignored.items()})


def clips_of(media: dict[str, int], depth: int) -> dict[str, int]:
    """Sizes by path of clips: of files, and of folders that hold only images.

    Args:
        media: sizes by path of videos and images.
        depth: number of folders above a folder that can be a clip.
    """
    folders: dict[str, dict[str, int]] = defaultdict(dict)
    for path, size in media.items():
        folders[path.rpartition("/")[0]][path] = size
    parents = {folder[:place] for folder in folders for place in _slashes(folder)}
    clips: dict[str, int] = {}
    for folder, inside in folders.items():
        is_deep = folder.count("/") >= depth
        if is_deep and folder not in parents and all(map(is_image, inside)):
            clips[folder] = sum(inside.values())
        else:
            clips |= inside
    return clips


def _slashes(path: str) -> Iterator[int]:
    return (place for place, character in enumerate(path) if character == "/")


def _list_files(root: str, allow_outside: bool) -> tuple[dict[str, int], dict[str, str]]:
    """Sizes in bytes by path relative to the root, and what is ignored, by path."""
    ignored: dict[str, str] = {}
    if files.is_local(root):
        sizes = dict(
            _walk(root, "", (os.path.realpath(root),), os.path.realpath(root), allow_outside, ignored)
        )
    else:
        sizes = files.list_sizes(root)
        for path in [path for path in sizes if is_hidden(path)]:
            del sizes[path]
            ignored[path] = "hidden"
    return sizes, ignored


def _shown(path: str) -> str:
    """A path as text, also one that is none."""
    return path if is_text(path) else path.encode("unicode_escape").decode()


def _walk(
    root: str,
    below: str,
    above: tuple[str, ...],
    real_root: str,
    allow_outside: bool,
    ignored: dict[str, str],
) -> Iterator[tuple[str, int]]:
    """Yield (path, size) of the regular files below a folder, links followed.

    Args:
        root: the source.
        below: path of the folder relative to the root.
        above: real paths of this folder and those that led to it, to notice loops of links.
        real_root: real path of the root.
        allow_outside: whether links may lead out of the root.
        ignored: gets what is left out.
    """
    with os.scandir(os.path.join(root, below)) as found:
        entries = sorted(found, key=lambda each: each.name)
    for entry in entries:
        path = os.path.join(below, entry.name)
        if is_hidden(entry.name):
            ignored[path] = "hidden"
            continue
        if entry.is_symlink():
            real = os.path.realpath(entry.path)
            if real in above:
                raise RequestError(f"--source {root}: the link {path} leads back to {real}; remove it")
            if not allow_outside and not is_below(real, real_root):
                raise RequestError(
                    f"--source {root}: the link {path} leads out of it, to {real}; remove it or add"
                    " --allow_outside"
                )
        try:
            mode = entry.stat()
        except FileNotFoundError:  # A link to nothing.
            yield path, 0
            continue
        if stat.S_ISDIR(mode.st_mode):
            real = os.path.realpath(entry.path)
            yield from _walk(root, path, (*above, real), real_root, allow_outside, ignored)
        elif stat.S_ISREG(mode.st_mode):
            yield path, mode.st_size
        else:
            ignored[path] = "no regular file"


def is_below(path: str, root: str) -> bool:
    """Whether a path, without links and ``..``, is the root or below it."""
    return path == root or path.startswith(root.rstrip("/") + "/")


def _from_csv(source: str, root: str | None, allow_outside: bool) -> Listing:
    if not files.file_exists(source):
        raise RequestError(f"--source {source}: no such file; name a folder of classes, or a .csv")
    root = root if root is not None else source.rpartition("/")[0] or ("." if files.is_local(source) else "")
    if not files.directory_exists(root):
        raise RequestError(f"--root {root}: no such folder")
    rows = csv_source.read_rows(files.read_bytes(source), source)
    sizes = None if files.is_local(root) else _with_folders(files.list_sizes(root))
    found: dict[tuple[str, str | None, str | None], Source] = {}
    for row in rows:
        path, size = _resolve(row, root, sizes, allow_outside, source)
        clip = Source(path, size, row.label, row.split, row.group, row.start, row.end)
        key = (path, row.start, row.end)
        earlier = found.setdefault(key, clip)
        for what in ("label", "split", "group"):
            one, two = getattr(earlier, what), getattr(clip, what)
            if one != two:
                raise RequestError(
                    f"--source {source}: line {row.line}: {clip.name} has two {what}s, {one} and {two}"
                )
        if row.caption:
            found[key] = replace(earlier, captions=(*earlier.captions, row.caption))
    return Listing(root, list(found.values()))


def _with_folders(sizes: dict[str, int]) -> dict[str, int]:
    """Sizes of files by path, and also those of folders, each the sum of its images."""
    folders: dict[str, int] = defaultdict(int)
    for path, size in sizes.items():
        folder, _, name = path.rpartition("/")
        if folder_images([name]):
            folders[folder] += size
    return {**folders, **sizes}


def _resolve(
    row: csv_source.Row, root: str, sizes: dict[str, int] | None, allow_outside: bool, source: str
) -> tuple[str, int]:
    """Path relative to the root, and size, of a CSV's row."""
    where = f"--source {source}: line {row.line}: {row.path}"
    if sizes is not None:
        path = posixpath.normpath(row.path.removeprefix(root.rstrip("/") + "/"))
        if path not in sizes:
            raise RequestError(f"{where}: no such file below {root}")
        return path, sizes[path]
    full = os.path.join(root, row.path)
    real, real_root = os.path.realpath(full), os.path.realpath(root)
    if not allow_outside and not is_below(real, real_root):
        raise RequestError(f"{where}: lies outside of {root}; move it, or add --allow_outside")
    try:
        if os.path.isdir(full):
            names = folder_images(os.listdir(full))
            if not names:
                raise RequestError(f"{where}: is a folder without images")
            for name in names:
                if not is_text(name):
                    raise RequestError(
                        f"{where}: its image {_shown(name)} has characters that are no text; rename it"
                    )
                image = os.path.realpath(os.path.join(full, name))
                if not allow_outside and not is_below(image, real_root):
                    raise RequestError(
                        f"{where}: its image {name} lies outside of {root}; move it, or add --allow_outside"
                    )
                if not os.path.isfile(image):
                    raise RequestError(f"{where}: its image {name} is no regular file; remove it")
            return os.path.relpath(full, root), sum(
                os.stat(os.path.join(full, each)).st_size for each in names
            )
        mode = os.stat(full)
    except OSError as error:
        raise RequestError(f"{where}: {error.strerror}") from error
    if not stat.S_ISREG(mode.st_mode):
        raise RequestError(f"{where}: is no regular file")
    return os.path.relpath(full, root), mode.st_size


def _grouped(sources: list[Source], pattern: str) -> list[Source]:
    expression = re.compile(pattern)
    grouped = []
    for each in sources:
        match = expression.search(each.path)
        if match is None:
            raise RequestError(f"--group {pattern}: is not found in {each.path}")
        grouped.append(replace(each, group=match.group(1 if expression.groups else 0) or ""))
    return grouped


def _check(source: str, sources: list[Source]) -> None:
    """Check what must hold for all clips, or for none."""
    for attribute in ("label", "split", "group", "captions"):
        without = [each.name for each in sources if getattr(each, attribute) in (None, ())]
        if without and len(without) < len(sources):
            raise RequestError(
                f"--source {source}: {without[0]} has no {attribute.removesuffix('s')}, others have one; give"
                " all or none"
            )
    if sources[0].split is not None and sources[0].group is not None:
        splits: dict[str, str] = {}
        for each in sources:
            assert each.split is not None
            assert each.group is not None
            if splits.setdefault(each.group, each.split) != each.split:
                raise RequestError(
                    f"--source {source}: group {each.group} is in split {splits[each.group]} and, with"
                    f" {each.name}, in {each.split}; a group stays in one"
                )
    names = Counter(each.name for each in sources)
    if repeated := [name for name, count in names.items() if count > 1]:
        raise RequestError(f"--source {source}: {repeated[0]} is named twice")
    if sources[0].label is None and not sources[0].captions:
        raise RequestError(f"--source {source}: gives the clips neither a label nor a caption; add a column")
