"""Chooses how a model is executed: compiled by XLA, or by TensorFlow's kernels, one per operation.

JAX always compiles by XLA. With "auto", TensorFlow compiles on GPUs and not on CPUs:

- On a GPU these models are limited by memory bandwidth. Kernels write every intermediate array to memory;
  XLA fuses operations. XLA cannot compile cuDNN's LSTM, so `model.ProjectedLSTM` computes the recurrence,
  which also allows inputs that stay paths (`model.moving_line.LineClassifier`).
- On a CPU the arrays of a batch fit into the caches, and oneDNN's matrix products are faster than XLA's.
"""

from __future__ import annotations

import keras

COMPILERS = ("auto", "xla", "none")

_compiler = COMPILERS[0]


def choose_compiler(compiler: str) -> None:
    """Choose, for the whole process, how models that are built and called from now on are executed.

    Args:
        compiler: one of `COMPILERS`: "xla", "none", or "auto", see the module's docstring. Ignored on JAX.
    """
    global _compiler
    _compiler = compiler


def by_xla() -> bool:
    """Whether XLA compiles models. Call it after the device is chosen: "auto" depends on visible GPUs."""
    if keras.backend.backend() != "tensorflow":
        return True
    return _compiler == "xla" or (_compiler == "auto" and _sees_gpus())


def on_cpu_kernels() -> bool:
    """Whether TensorFlow's kernels run on a CPU.

    One large matrix product and one pooling operation are fastest then. For XLA, sums and maxima of arrays
    are better, because it fuses them with other operations.
    """
    return not by_xla() and not _sees_gpus()


def on_gpu_kernels() -> bool:
    """Whether TensorFlow's kernels run on a GPU, where some operations have none for integers."""
    return not by_xla() and _sees_gpus()


def _sees_gpus() -> bool:
    return bool(keras.distribution.list_devices("gpu"))
