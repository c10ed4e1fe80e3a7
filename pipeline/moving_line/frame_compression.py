"""Writes the zlib streams (RFC 1950) of drawn sequences, many at once and without searching for matches.

No search is needed, because frame t is frame t-1 plus one pixel. A stream has one block of DEFLATE (RFC
1951), which consists of, with S = image size,

- literals 0 and 1;
- runs of zeros: a literal 0, then matches at distance 1;
- copies of the previous frame: matches at distance S*S.

The pixel drawn at timestep t is at position p[t] = row * S + column of its frame. Between this pixel and the
next one are S*S - 1 + p[t+1] - p[t] bytes. All of them equal those of the previous frame, and those from the
last pixel of frame t to the first pixel of frame t+1 are zeros. The longest match, 258 bytes, takes 2 bits at
distance 1 and up to 15 bits at distance S*S. So the part with pixels is written as copies, in longest
matches, and the rest as zeros.

All codes are constants, so a sequence has the same bytes on every machine, with every zlib. At S = 50 a
stream is smaller than that of zlib's best level.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from pipeline.moving_line.lines import RIGHT, Int64Array, Uint8Array, draw_frames

# Image sizes of this writer. A match has at least 3 bytes, too many for the ends of frames of 2x2 and 3x3,
# and its distance is at most 32,768 bytes, which limits the size of a frame.
_MIN_MATCH, _MAX_MATCH = 3, 258
_IMAGE_SIZES = range(4, 182)
# Timesteps compressed at once, so that the arrays stay in the processor's cache.
_TIMESTEPS_PER_BLOCK = 2**13

# Symbols of the first code are literals, the end of the block and, from 257, ranges of lengths; symbols of
# the second code are ranges of distances. After a range of 2**k numbers, k bits select one of them; length
# 258 is a range of its own (RFC 1951, 3.2.5).
_END_OF_BLOCK, _FIRST_LENGTH, _NUM_SYMBOLS = 256, 257, 286
_LENGTH_EXTRA_BITS = [*[0] * 8, *(k for k in range(1, 6) for _ in range(4)), 0]
_LENGTHS = [*accumulate((2**k for k in _LENGTH_EXTRA_BITS[:-2]), initial=_MIN_MATCH), _MAX_MATCH]
_DISTANCE_EXTRA_BITS = [0, 0, *(k for k in range(14) for _ in range(2))]
_DISTANCES = list(accumulate((2**k for k in _DISTANCE_EXTRA_BITS[:-1]), initial=1))

# Number of bits of each symbol in the first code. zlib requires a complete code: the sum of 2**-bits is 1.
# The longest match has 1 bit, because more than half of all symbols are longest matches. In the second code,
# the two distances have 1 bit each.
_CODE_LENGTHS = {
    **{0: 3, 1: 3, _END_OF_BLOCK: 8},
    **dict.fromkeys(range(257, 266), 8),
    **dict.fromkeys(range(266, 277), 7),
    **dict.fromkeys(range(277, 285), 6),
    285: 1,
}
# The code of the block's header, which lists the numbers of bits of the other two codes. Symbol 18 stands for
# 11 to 138 unused symbols.
_HEADER_CODE_LENGTHS = {0: 3, 1: 3, 3: 3, 6: 3, 7: 3, 8: 2, 18: 3}
_HEADER_CODE_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)

# A stream is a sequence of entries of `_bit_strings`. The index of the first entry of each group: byte
# 0 .. 255; part 0 .. 4 of the headers; literal 1; a longest copy; the end of the block with 0 .. 7 bits of
# padding; a copy of 3 .. 260 bytes; a run of 0 .. S*S + S zeros.
_BYTE, _HEADER, _ONE, _LONGEST_COPY, _END, _COPY, _ZEROS = 0, 256, 261, 262, 263, 271, 529


def compress_frames(paths: Uint8Array, labels: Int64Array) -> list[bytes]:
    """Draw sequences and compress their frames.

    Sequences of S = 4 .. 181 are written as described above; those of other sizes by zlib, which is slower
    and whose bytes depend on its version.

    Args:
        paths: uint8 of shape (n, S).
        labels: int64 of shape (n,), 0 = left, 1 = right.

    Returns:
        n zlib streams. ``zlib.decompress`` of stream i returns ``draw_frames(paths, labels)[i].tobytes()``.
    """
    count, size = paths.shape
    if size not in _IMAGE_SIZES:
        singles = [slice(i, i + 1) for i in range(count)]
        return [zlib.compress(draw_frames(paths[i], labels[i]).data, level=6) for i in singles]
    streams = []
    block = _TIMESTEPS_PER_BLOCK // size
    for start in range(0, count, block):
        streams += _compress_block(paths[start : start + block], labels[start : start + block])
    return streams


def compressing_libraries(image_size: int) -> dict[str, str]:
    """Versions, by name, of the libraries that decide the bytes of `compress_frames`: zlib, or none."""
    return {} if image_size in _IMAGE_SIZES else {"zlib": zlib.ZLIB_RUNTIME_VERSION}


def _compress_block(paths: Uint8Array, labels: Int64Array) -> list[bytes]:
    size = paths.shape[1]
    time = np.arange(size)
    pixels = paths.astype(np.int64) * size + np.where(labels[:, None] == RIGHT, time, size - 1 - time)
    strings, repeats = _describe(pixels)
    values, num_bits = _bit_strings(size)
    stream_bits = (num_bits[strings] * repeats).sum(axis=1)
    padding = -stream_bits % 8
    strings[:, -5] += padding
    stream_ends = (stream_bits + padding).cumsum() // 8

    flat = np.repeat(strings.ravel(), repeats.ravel())
    values, num_bits = values[flat], num_bits[flat]
    starts = num_bits.cumsum() - num_bits
    word, shift = starts // 64, (starts % 64).astype(np.uint64)
    words = np.zeros(stream_ends[-1] // 8 + 2, np.uint64)
    # No two strings overlap, so adding sets the bits. Bits beyond the end of a word go into the next word.
    np.add.at(words, word, values << shift)
    np.add.at(words, word + 1, values >> np.uint64(1) >> (np.uint64(63) - shift))
    stream = words.astype("<u8").tobytes()
    return [stream[start:end] for start, end in pairwise([0, *stream_ends.tolist()])]


def _describe(pixels: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The bit strings of each stream, and how often each is repeated.

    Args:
        pixels: int64 of shape (n, S): the position of the pixel drawn at each timestep.

    Returns:
        indices into `_bit_strings`, and numbers of repeats, both int64 of shape (n, 5 + 5 + 4 * (S-1) + 5):
        header, first pixels, four for every later pixel, end of the block and checksum.
    """
    count, size = pixels.shape
    frame = size * size
    strings = np.full((count, 4 * size + 11), _ONE, np.int64)
    repeats = np.ones_like(strings)
    strings[:, :5] = range(_HEADER, _HEADER + 5)
    strings[:, -5] = _END
    strings[:, -4:] = _BYTE + _adler32(pixels).astype(">u4")[:, None].view(np.uint8).astype(np.int64)

    # Frame 0, and frame 1 up to its new pixel, are not written as copies, but as zeros, a one, zeros, a one,
    # zeros. The second one is the old pixel in frame 1; it is left out if it comes after the new pixel.
    first, second = pixels[:, 0], pixels[:, 1]
    comes_first = first < second
    strings[:, 5] = _ZEROS + first
    strings[:, 7] = _ZEROS + frame - 1 + np.where(comes_first, 0, second - first)
    repeats[:, 8] = comes_first
    strings[:, 9] = _ZEROS + np.where(comes_first, second - first - 1, 0)

    # Then for every timestep: the new pixel; copies up to the last pixel of its frame; zeros; copies from the
    # first pixel of the next frame. After the last frame, the next pixel is at position 0 of a further frame,
    # which is the end of the stream.
    pixels = np.concatenate([pixels, np.zeros((count, 1), np.int64)], axis=1)
    pixel, next_pixel = pixels[:, 1:-1], pixels[:, 2:]
    last = np.maximum.accumulate(pixels, axis=1)[:, 1:-1]
    next_first = np.minimum.accumulate(pixels, axis=1)[:, 2:]
    copies_after = -(-(last - pixel) // _MAX_MATCH)
    copies_before = -(-(next_pixel - next_first) // _MAX_MATCH)
    gap = frame - 1 + next_pixel - pixel
    zeros = gap - _MAX_MATCH * (copies_after + copies_before)
    # If these copies would overlap, the whole gap is written as copies. It is at least 3 bytes long then.
    is_apart = zeros >= 0
    longest_copies, rest = np.divmod(gap - _MIN_MATCH, _MAX_MATCH)
    steps = slice(10, -5)
    strings[:, steps][:, 1::2] = _LONGEST_COPY
    repeats[:, steps][:, 1::4] = np.where(is_apart, copies_after, longest_copies)
    strings[:, steps][:, 2::4] = np.where(is_apart, _ZEROS + zeros, _COPY + rest)
    repeats[:, steps][:, 3::4] = np.where(is_apart, copies_before, 0)
    return strings, repeats


def _adler32(pixels: Int64Array) -> Int64Array:
    """Adler-32 (RFC 1950, 8.2) of the frames of each sequence: int64 of shape (n,).

    a = 1 + sum of bytes and b = N + sum of byte * (N - its position), N = S**3. The pixel drawn at timestep t
    is at position f*S*S + p[t] of the S-t frames f = t .. S-1.
    """
    size = pixels.shape[1]
    time = np.arange(size)
    a = 1 + (size - time).sum()
    b = a * size**3 - size**2 * (time * (time + 1)).sum() - pixels @ (size - time)
    checksums: Int64Array = b % 65521 << 16 | a % 65521
    return checksums


@lru_cache(maxsize=8)
def _bit_strings(size: int) -> tuple[npt.NDArray[np.uint64], Int64Array]:
    """All bit strings of which the streams of an image size consist.

    Returns:
        values, uint64, with the first bit of a string as the lowest bit, and numbers of bits, int64; both of
        shape (number of strings,). A string may have more than 64 bits; bits after the first 64 are 0.
    """
    code = _huffman_code(_CODE_LENGTHS)
    frame_symbol = bisect_right(_DISTANCES, size * size) - 1
    extra = _number(size * size - _DISTANCES[frame_symbol], _DISTANCE_EXTRA_BITS[frame_symbol])
    previous_byte, previous_frame = "0", "1" + extra

    def match(length: int, distance: str) -> str:
        symbol = bisect_right(_LENGTHS, length) - 1
        extra = _number(length - _LENGTHS[symbol], _LENGTH_EXTRA_BITS[symbol])
        return code[_FIRST_LENGTH + symbol] + extra + distance

    def copy(length: int) -> str:
        if length <= _MAX_MATCH:
            return match(length, previous_frame)
        return match(length - _MIN_MATCH, previous_frame) + match(_MIN_MATCH, previous_frame)

    def zeros(number: int) -> str:
        if number == 0:
            return ""
        longest, rest = divmod(number - 1, _MAX_MATCH)
        short = code[0] * rest if rest < _MIN_MATCH else match(rest, previous_byte)
        # A longest match at distance 1 is two 0 bits: placed last, it does not change the value.
        return code[0] + short + match(_MAX_MATCH, previous_byte) * longest

    header = _header(frame_symbol)
    strings = [
        *(_number(byte, 8) for byte in range(256)),
        *(header[i : i + 64] for i in range(0, 320, 64)),
        *(code[1], match(_MAX_MATCH, previous_frame)),
        *(code[_END_OF_BLOCK] + "0" * padding for padding in range(8)),
        *(copy(length) for length in range(_MIN_MATCH, _MIN_MATCH + _MAX_MATCH)),
        *(zeros(number) for number in range(size * size + size + 1)),
    ]
    values = np.array([int("0" + string[::-1], 2) for string in strings], np.uint64)
    return values, np.array([len(string) for string in strings], np.int64)


def _header(frame_symbol: int) -> str:
    """Bits of the stream's header (RFC 1950, 2.2) and of the block's (RFC 1951, 3.2.7)."""
    code = _huffman_code(_HEADER_CODE_LENGTHS)
    unused = code[18] + _number(127 - 11, 7)  # 127 unused symbols: half of 2 .. 255.
    parts = [
        _number(0x78, 8),  # DEFLATE with a window of 32 KiB.
        _number(0x9C, 8),  # No dictionary; 0x789C is a multiple of 31.
        _number(1, 1),  # This is the last block.
        _number(2, 2),  # The block contains its codes.
        _number(_NUM_SYMBOLS - 257, 5),
        _number(frame_symbol + 1 - 1, 5),  # Number of distance symbols - 1.
        _number(len(_HEADER_CODE_ORDER) - 4, 4),
        *(_number(_HEADER_CODE_LENGTHS.get(symbol, 0), 3) for symbol in _HEADER_CODE_ORDER),
        *(code[_CODE_LENGTHS[0]], code[_CODE_LENGTHS[1]], unused, unused),
        *(code[_CODE_LENGTHS[symbol]] for symbol in range(_END_OF_BLOCK, _NUM_SYMBOLS)),
        *(code[1], code[0] * (frame_symbol - 1), code[1]),
    ]
    return "".join(parts)


def _huffman_code(lengths: dict[int, int]) -> dict[int, str]:
    """The canonical code (RFC 1951, 3.2.2): number of bits by symbol, to the symbol's bits."""
    code = {}
    number = previous = 0
    for length, symbol in sorted((length, symbol) for symbol, length in lengths.items()):
        number <<= length - previous
        code[symbol] = f"{number:0{length}b}"
        number, previous = number + 1, length
    return code


def _number(number: int, num_bits: int) -> str:
    """The bits of a number as text, the lowest bit first."""
    return "".join(str(number >> bit & 1) for bit in range(num_bits))
