"""Versions of what computes weights and metrics."""

from __future__ import annotations

import platform
from importlib.metadata import version

import keras
import numpy as np
import tensorflow as tf


def versions() -> dict[str, str]:
    """Name and version of interpreter and libraries, and the Keras backend in use."""
    jax = {"jax": version("jax")} if keras.backend.backend() == "jax" else {}
    return {
        **jax,
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
    }
