"""Whether a file lacks its end, for containers that FFmpeg reads to the end without a word.

Of MP4 without fragments, FLV, ASF and others, FFmpeg gives an incomplete last packet, and marks it.
"""

from __future__ import annotations

import os
from typing import IO

_TS_PACKETS = 188, 192  # The second with a time before every packet, as on Blu-rays and in cameras.


def is_cut_off(path: str, format_name: str) -> bool:
    """Whether a file is shorter than it says itself, or ends within a part of it.

    Args:
        path: of the file.
        format_name: name of FFmpeg's demuxer.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if format_name == "matroska,webm":
            return _matroska_end(file) > size
        if format_name == "avi":
            end = int.from_bytes(file.read(8)[4:], "little") + 8
            return size < end < 2**31  # Programs that stream write the largest numbers.
        if format_name == "mov,mp4,m4a,3gp,3g2,mj2":
            return not _has_whole_fragments(file, size)
        if format_name == "mpegts":
            return not _has_whole_packets(file, size)
        if format_name == "gif":
            return not _has_trailer(file)
    return False


def _matroska_end(file: IO[bytes]) -> int:
    """Where the segment of a Matroska file ends; 0 if it does not say it."""
    for _ in range(2):  # The header, and the segment.
        file.seek(4, os.SEEK_CUR)  # Its four bytes of identity.
        first = file.read(1)
        length = 9 - first[0].bit_length() if first and first[0] else 1
        size = int.from_bytes(first + file.read(length - 1), "big") & (1 << 7 * length) - 1
        end = file.tell() + size
        is_known = size != (1 << 7 * length) - 1
        file.seek(end if is_known else 0)
    return end if is_known else 0


def _has_whole_fragments(file: IO[bytes], size: int) -> bool:
    """Whether the last fragment of an MP4 is whole; True for one without fragments."""
    place, is_fragmented = 0, False
    while place + 16 <= size:
        file.seek(place)
        length, name = int.from_bytes(file.read(4), "big"), file.read(4)
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        is_fragmented = is_fragmented or name == b"moof"
        if length < 8 or not name.isalnum():  # Up to the file's end, or something that is no box.
            return True
        place += length
    return place <= size or not is_fragmented


def _has_whole_packets(file: IO[bytes], size: int) -> bool:
    """Whether an MPEG transport stream ends with a packet's end."""
    start = file.read(4096)
    for length in _TS_PACKETS:
        for first in range(length):
            marks = start[first::length]
            if len(marks) > 1 and marks == b"\x47" * len(marks):
                return (size - first + (length - 188)) % length == 0
    return True


def _has_trailer(file: IO[bytes]) -> bool:
    """Whether the blocks of a GIF are whole, to the one that ends it."""
    header = file.read(13)
    _skip_colors(file, header[10:11])
    while kind := file.read(1):
        if kind == b";":
            return True
        if kind == b",":
            _skip_colors(file, file.read(9)[8:])
        file.seek(1, os.SEEK_CUR)  # An extension's label, or an image's size of codes.
        while count := file.read(1):
            if count == b"\0":
                break
            file.seek(count[0], os.SEEK_CUR)
    return False


def _skip_colors(file: IO[bytes], flags: bytes) -> None:
    if flags and flags[0] & 0x80:
        file.seek(3 << (flags[0] & 7) + 1, os.SEEK_CUR)
