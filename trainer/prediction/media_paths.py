"""The paths that ``--input`` of clips names: files, folders of media, and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence

from pipeline.clips.media_files import is_hidden, is_media
from pipeline.clips.sources import clips_of
from pipeline.command_line.errors import RequestError


def named_paths(texts: Sequence[str], *, by_image: bool = False) -> list[str]:
    """Paths of files and of folders of images, in order; those of a folder or a pattern are sorted.

    Of a folder, all videos and images below it; a folder that holds nothing but images is one clip, as in
    `pipeline.clips.sources`. Links to folders below it are not followed, hidden files are left out.

    Args:
        texts: paths, or patterns as in ``clips/**/*.mp4``, where there is no such path.
        by_image: every image is a clip, also in a folder that holds nothing else.

    Raises:
        RequestError: if a path does not exist, a folder has no media, or a pattern matches nothing.
    """
    return [path for text in texts for each in _matches(text) for path in _below(each, text, by_image)]


def _matches(text: str) -> list[str]:
    if os.path.exists(text):
        return [text]
    if not glob.has_magic(text):
        raise RequestError(f"--input {text}: no such file")
    matches = sorted(glob.glob(text, recursive=True))
    if not matches:
        raise RequestError(f"--input {text}: nothing matches this pattern")
    return matches


def _below(path: str, text: str, by_image: bool) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    try:
        media = dict.fromkeys(_media_below(path.rstrip("/") or "/"), 0)
    except OSError as error:
        raise RequestError(f"--input {path}: cannot be read ({error.strerror})") from error
    clips = media if by_image else clips_of(media, 0)
    if not clips:
        raise RequestError(f"--input {text}: {path} holds no videos or images; name files")
    return sorted(clips)


def _media_below(folder: str) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise error

    for directory, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not is_hidden(name)]
        for name in names:
            if is_media(name) and not is_hidden(name):
                yield os.path.join(directory, name)
