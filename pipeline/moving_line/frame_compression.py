"""The zlib streams (RFC 1950) of drawn sequences, written many at once and without searching for matches.

A general compressor finds out what is known here: frame t is frame t-1 plus one pixel. With S = image size,
the one block of DEFLATE (RFC 1951) in a stream consists of

- literals 0 and 1;
- runs of zeros: a literal 0, then matches at distance 1;
- copies of the frame before: matches at distance S*S.

The pixel drawn at timestep t is at position p[t] = row * S + column of its frame. S*S - 1 + p[t+1] - p[t]
bytes lie between it and the next: all as in the frame before, and zeros from the last pixel of frame t to the
first of frame t+1. The longest match, 258 bytes, takes 2 bits at distance 1, up to 15 at distance S*S. So
copies take the part that has pixels, in longest matches, and zeros the rest.

All codes are constants: a sequence has the same bytes on every machine, whatever its zlib. At S = 50 they are
fewer than zlib's best level gives.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from pipeline.moving_line.lines import RIGHT, Int64Array, Uint8Array, draw_frames

# A match has at least 3 bytes, too many for the ends of frames of 2x2 and 3x3. It reaches back 32,768 bytes
# at most, so no frame may be larger.
_MIN_MATCH, _MAX_MATCH = 3, 258
_IMAGE_SIZES = range(4, 182)
# Blocks that stay in the processor's cache.
_TIMESTEPS_PER_BLOCK = 2**13

# Symbols of the first code are literals, the end of the block and, from 257, ranges of lengths; symbols of
# the second are ranges of distances. A range of 2**k numbers is followed by k bits that choose one; length
# 258 is a range of its own (RFC 1951, 3.2.5).
_END_OF_BLOCK, _FIRST_LENGTH, _NUM_SYMBOLS = 256, 257, 286
_LENGTH_EXTRA_BITS = [*[0] * 8, *(k for k in range(1, 6) for _ in range(4)), 0]
_LENGTHS = [*accumulate((2**k for k in _LENGTH_EXTRA_BITS[:-2]), initial=_MIN_MATCH), _MAX_MATCH]
_DISTANCE_EXTRA_BITS = [0, 0, *(k for k in range(14) for _ in range(2))]
_DISTANCES = list(accumulate((2**k for k in _DISTANCE_EXTRA_BITS[:-1]), initial=1))

# How many bits the code of a symbol has. zlib demands complete codes: 2**-bits add up to 1. More than half of
# all symbols are longest matches. The two distances have one bit each.
_CODE_LENGTHS = {
    **{0: 3, 1: 3, _END_OF_BLOCK: 8},
    **dict.fromkeys(range(257, 266), 8),
    **dict.fromkeys(range(266, 277), 7),
    **dict.fromkeys(range(277, 285), 6),
    285: 1,
}
# The code of the block's header, which lists the bits of the others: symbol 18 is 11 to 138 unused symbols.
_HEADER_CODE_LENGTHS = {0: 3, 1: 3, 3: 3, 6: 3, 7: 3, 8: 2, 18: 3}
_HEADER_CODE_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)

# Streams are put together from `_bit_strings`. The first number of each kind: a byte 0 .. 255; part 0 .. 4 of
# the headers; a one; a longest copy; the end of the block with 0 .. 7 bits of padding; a copy of 3 .. 260
# bytes; a run of 0 .. S*S + S zeros.
_BYTE, _HEADER, _ONE, _LONGEST_COPY, _END, _COPY, _ZEROS = 0, 256, 261, 262, 263, 271, 529


def compress_frames(paths: Uint8Array, labels: Int64Array) -> list[bytes]:
    """Draw sequences and compress their frames.

    This holds for S = 4 .. 181. Other image sizes go through zlib, slowly; bytes then depend on its version.

    Args:
        paths: uint8 of shape (n, S).
        labels: int64 of shape (n,), 0 = left, 1 = right.

    Returns:
        n zlib streams. ``zlib.decompress`` of stream i gives ``draw_frames(paths, labels)[i].tobytes()``.
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
    """Versions, by name, of the libraries that decide the bytes of `compress_frames`: zlib's, or none."""
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
    # No two strings share a bit, so adding is setting. What a word cannot hold goes into the next.
    np.add.at(words, word, values << shift)
    np.add.at(words, word + 1, values >> np.uint64(1) >> (np.uint64(63) - shift))
    stream = words.astype("<u8").tobytes()
    return [stream[start:end] for start, end in pairwise([0, *stream_ends.tolist()])]


def _describe(pixels: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The strings that make up each stream and how often each of them is repeated.

    Args:
        pixels: int64 of shape (n, S), the position of the pixel drawn at each timestep.

    Returns:
        numbers of strings and repeats, both int64 of shape (n, 5 + 5 + 4 * (S-1) + 5): header, opening, four
        for every later pixel, end of the block and checksum.
    """
    count, size = pixels.shape
    frame = size * size
    strings = np.full((count, 4 * size + 11), _ONE, np.int64)
    repeats = np.ones_like(strings)
    strings[:, :5] = range(_HEADER, _HEADER + 5)
    strings[:, -5] = _END
    strings[:, -4:] = _BYTE + _adler32(pixels).astype(">u4")[:, None].view(np.uint8).astype(np.int64)

    # Frame 0, and frame 1 up to its new pixel, have no frame before them to copy: they are written as zeros,
    # one, zeros, one, zeros. The second one is the first pixel in frame 1, if it comes before the new one.
    first, second = pixels[:, 0], pixels[:, 1]
    comes_first = first < second
    strings[:, 5] = _ZEROS + first
    strings[:, 7] = _ZEROS + frame - 1 + np.where(comes_first, 0, second - first)
    repeats[:, 8] = comes_first
    strings[:, 9] = _ZEROS + np.where(comes_first, second - first - 1, 0)

    # From then on: the new pixel; copies up to the last pixel of its frame; zeros; copies from the first
    # pixel of the next frame. The last frame goes on to position 0 of a next one, which is its end.
    pixels = np.concatenate([pixels, np.zeros((count, 1), np.int64)], axis=1)
    pixel, next_pixel = pixels[:, 1:-1], pixels[:, 2:]
    last = np.maximum.accumulate(pixels, axis=1)[:, 1:-1]
    next_first = np.minimum.accumulate(pixels, axis=1)[:, 2:]
    copies_after = -(-(last - pixel) // _MAX_MATCH)
    copies_before = -(-(next_pixel - next_first) // _MAX_MATCH)
    gap = frame - 1 + next_pixel - pixel
    zeros = gap - _MAX_MATCH * (copies_after + copies_before)
    # Where these copies would overlap, the gap is one copy. It is then at least 3 bytes long.
    is_apart = zeros >= 0
    longest_copies, rest = np.divmod(gap - _MIN_MATCH, _MAX_MATCH)
    steps = slice(10, -5)
    strings[:, steps][:, 1::2] = _LONGEST_COPY
    repeats[:, steps][:, 1::4] = np.where(is_apart, copies_after, longest_copies)
    strings[:, steps][:, 2::4] = np.where(is_apart, _ZEROS + zeros, _COPY + rest)
    repeats[:, steps][:, 3::4] = np.where(is_apart, copies_before, 0)
    return strings, repeats


def _adler32(pixels: Int64Array) -> Int64Array:
    """Adler-32 (RFC 1950, 8.2) of the frames, of shape (n,).

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
    """All strings of bits that streams of an image size are put together from.

    Returns:
        their values, uint64, the first bit of a string being the lowest, and their numbers of bits, int64.
        Strings can have more than 64 bits; bits beyond those are 0.
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
        # The longest match is two 0 bits here; put last, any number of them leaves the value as it is.
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
    unused = code[18] + _number(127 - 11, 7)  # 127 symbols, half of 2 .. 255.
    parts = [
        _number(0x78, 8),  # DEFLATE with a window of 32 KiB;
        _number(0x9C, 8),  # no dictionary, and 0x789C is a multiple of 31.
        _number(1, 1),  # The last block,
        _number(2, 2),  # with a code of its own.
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
    """The canonical code of given lengths (RFC 1951, 3.2.2): the bits of every symbol."""
    code = {}
    number = previous = 0
    for length, symbol in sorted((length, symbol) for symbol, length in lengths.items()):
        number <<= length - previous
        code[symbol] = f"{number:0{length}b}"
        number, previous = number + 1, length
    return code


def _number(number: int, num_bits: int) -> str:
    """The bits of a number, the lowest first."""
    return "".join(str(number >> bit & 1) for bit in range(num_bits))
