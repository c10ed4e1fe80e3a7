"""Versions of the software that computes weights and metrics."""

from __future__ import annotations

import platform
from importlib.metadata import version

import keras
import numpy as np
import tensorflow as tf


def versions() -> dict[str, str]:
    """Versions of Python and libraries by name, and the name of the Keras backend."""
    jax = {"jax": version("jax")} if keras.backend.backend() == "jax" else {}
    return {
        **jax,
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
    }
