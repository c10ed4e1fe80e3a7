"""What this machine's core can do at best: rates that no program of ours can exceed by much."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import google_crc32c
import numpy as np

_BYTES = 2**22  # Larger than what is near a core, as a shard is.
_WORDS = 2**18
_MATRIX = 768


@dataclass(frozen=True)
class Limits:
    """Rates of one core.

    Attributes:
        copy: bytes a second copied in memory.
        crc32c: bytes a second of CRC-32C.
        sha256: bytes a second of SHA-256.
        random_words: 64-bit words a second of raw Philox.
        matrix_product: float32 operations a second in a large matrix product; adding and multiplying are two.
    """

    copy: float
    crc32c: float
    sha256: float
    random_words: float
    matrix_product: float

    def table(self) -> str:
        """In markdown."""
        shown = (
            ("copying memory, GB/s", self.copy / 1e9),
            ("CRC-32C, GB/s", self.crc32c / 1e9),
            ("SHA-256, GB/s", self.sha256 / 1e9),
            ("raw Philox, million 64-bit words/s", self.random_words / 1e6),
            ("matrix product, float32, GFLOP/s", self.matrix_product / 1e9),
        )
        return "\n".join(
            ["| limit of a core | |", "|---|---:|", *(f"| {name} | {rate:,.1f} |" for name, rate in shown)]
        )


def measure_limits() -> Limits:
    """Measure them here; NumPy must be held to one core."""
    content = np.random.default_rng(0).bytes(_BYTES)
    source, target = np.frombuffer(content, np.uint8), np.empty(_BYTES, np.uint8)
    matrix = np.random.default_rng(0).random((_MATRIX, _MATRIX), np.float32)
    generator = np.random.Philox(key=0)
    return Limits(
        copy=_BYTES / seconds_a_call(lambda: np.copyto(target, source)),
        crc32c=_BYTES / seconds_a_call(lambda: google_crc32c.value(content)),
        sha256=_BYTES / seconds_a_call(lambda: hashlib.sha256(content).digest()),
        random_words=_WORDS / seconds_a_call(lambda: generator.random_raw(_WORDS)),
        matrix_product=2 * _MATRIX**3 / seconds_a_call(lambda: matrix @ matrix),
    )


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
