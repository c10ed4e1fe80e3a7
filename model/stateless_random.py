"""Random bits as a pure function of integers: the same on every backend, device and batch size."""

from __future__ import annotations

from typing import Any

from keras import ops

_GOLDEN = 0x9E3779B1  # Odd, near 2**32 / golden ratio, so that its multiples are spread evenly.


def random_bits(seed: int, stream: int, number: Any, count: int) -> Any:
    """Random words for numbered examples.

    Args:
        seed: from 0 to 2**32 - 1.
        stream: number of the purpose, so that one seed gives independent bits for several.
        number: uint32 (batch,), numbers of the examples.
        count: number of words per example.

    Returns:
        uint32 (batch, count), by the finalizer of MurmurHash3 (Appleby, 2011), applied to the seed, then to
        the example's number, then to the word's number.
    """
    base = word_of(_mix_int(_mix_int(seed) + stream & 0xFFFFFFFF))
    example = _mix(ops.bitwise_xor(ops.cast(number, "uint32"), base))
    word = ops.cast(ops.arange(count, dtype="int32"), "uint32") * word_of(_GOLDEN)
    return _mix(example[:, None] + word)


def word_of(value: int) -> Any:
    """An integer from 0 to 2**32 - 1 as a uint32 scalar, so that arithmetic with uint32 stays uint32."""
    return ops.convert_to_tensor(value, dtype="uint32")


def _mix(word: Any) -> Any:
    word = ops.bitwise_xor(word, ops.right_shift(word, word_of(16))) * word_of(0x85EBCA6B)
    word = ops.bitwise_xor(word, ops.right_shift(word, word_of(13))) * word_of(0xC2B2AE35)
    return ops.bitwise_xor(word, ops.right_shift(word, word_of(16)))


def _mix_int(word: int) -> int:
    word = (word ^ word >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    word = (word ^ word >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return word ^ word >> 16
