"""What carries out a model: XLA, or TensorFlow's operations one by one.

JAX always compiles by XLA. TensorFlow does as it is told, and by itself compiles on GPUs and not on CPUs:

- On a GPU these models are bound by memory, not by arithmetic, and operations one by one write every array
  between them to it, frames, convolution and phases above all. XLA joins what stands side by side. It cannot
  hold cuDNN's LSTM, so that ours goes through time then; and with ours paths can stay paths, as
  `model.LineClassifier` takes them.
- On a CPU the arrays of a batch fit into the caches, and oneDNN's matrix products are quicker than XLA's.
"""

from __future__ import annotations

import keras

COMPILERS = ("auto", "xla", "none")

_compiler = COMPILERS[0]


def choose_compiler(compiler: str) -> None:
    """Decide, for the whole process, what carries out models that are built and called from now on.

    Args:
        compiler: "xla", "none", or "auto" for what the module's docstring says; JAX heeds none of them.
    """
    global _compiler
    _compiler = compiler


def by_xla() -> bool:
    """Whether XLA compiles models. Devices must have been chosen: TensorFlow looks for GPUs."""
    if keras.backend.backend() != "tensorflow":
        return True
    return _compiler == "xla" or (_compiler == "auto" and _sees_gpus())


def on_cpu_kernels() -> bool:
    """Whether operations run one by one on a CPU.

    Then a matrix product and a pooling operation, each in one go, are the quickest. XLA does better with sums
    and maxima of arrays, which it joins with what stands around them.
    """
    return not by_xla() and not _sees_gpus()


def on_gpu_kernels() -> bool:
    """Whether TensorFlow's operations run one by one on a GPU, where some have no kernel."""
    return not by_xla() and _sees_gpus()


def _sees_gpus() -> bool:
    return bool(keras.distribution.list_devices("gpu"))
