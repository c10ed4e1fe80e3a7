"""What one core can do at best, and how the stages are measured."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import google_crc32c
import numpy as np
import tensorflow as tf

_BYTES = 2**22  # Larger than what is near a core, as a shard is.
_WORDS = 2**18
_MATRIX = 768

Limits = dict[str, float]


def limits() -> Limits:
    """Rates of one core that no program of ours can exceed by much; NumPy must be held to it.

    Bytes a second copied in memory, of CRC-32C and of SHA-256, 64-bit words a second of raw Philox, and
    float32 operations a second in a large matrix product; adding and multiplying are two.
    """
    content = np.random.default_rng(0).bytes(_BYTES)
    source, target = np.frombuffer(content, np.uint8), np.empty(_BYTES, np.uint8)
    matrix = np.random.default_rng(0).random((_MATRIX, _MATRIX), np.float32)
    generator = np.random.Philox(key=0)
    return {
        "copy": _BYTES / seconds_a_call(lambda: np.copyto(target, source)),
        "crc32c": _BYTES / seconds_a_call(lambda: google_crc32c.value(content)),
        "sha256": _BYTES / seconds_a_call(lambda: hashlib.sha256(content).digest()),
        "random_words": _WORDS / seconds_a_call(lambda: generator.random_raw(_WORDS)),
        "matrix_product": 2 * _MATRIX**3 / seconds_a_call(lambda: matrix @ matrix),
    }


def figures(
    name: str, parts: dict[str, float], whole: float, limit: float, why: str, of: str = "sequences"
) -> dict[str, Any]:
    """Of a stage; all times in seconds for one of what is counted. See `benchmarks.breakdowns`."""
    nanoseconds = {part: 1e9 * taken for part, taken in parts.items()}
    return {
        "stage": name,
        "of": of,
        "parts": nanoseconds,
        "whole": 1e9 * whole,
        "limit": 1e9 * limit,
        "why": why,
    }


def seconds_a_call(call: Callable[[], object], at_least: float = 0.3) -> float:
    """Median seconds of a call, over several, the first not counted."""
    call()
    taken: list[float] = []
    end = time.perf_counter() + at_least
    while len(taken) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def seconds_a_pass(batches: tf.data.Dataset) -> float:
    """Seconds of a pass, but for what is built at its start."""
    options = tf.data.Options()
    options.autotune.enabled = False
    iterator = iter(batches.with_options(options))
    next(iterator)
    start = time.perf_counter()
    for _ in iterator:
        pass
    return time.perf_counter() - start


@tf.function  # type: ignore[untyped-decorator]
def gradients(function: Callable[[], tf.Tensor], of: tuple[tf.Tensor, ...]) -> Any:
    """Gradients of a function's value with respect to tensors; forward and backward in one graph."""
    with tf.GradientTape() as tape:
        tape.watch(of)
        value = function()
    return tape.gradient(value, of)
