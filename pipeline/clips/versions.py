"""Versions of the libraries that decide the bytes of records of clips."""

from __future__ import annotations

import importlib

import numpy as np


def library_versions() -> dict[str, str]:
    """Versions by name, in this process; see `pipeline.definition.Definition.libraries`."""
    from PIL import __version__ as pillow_version
    from PIL import features

    versions = {"pillow": pillow_version, "jpeg": str(features.version("jpg")), "numpy": np.__version__}
    try:
        av = importlib.import_module("av")
    except ImportError:  # Data sets can be read and verified without it.
        return {"av": "not installed", **versions}
    found = av.library_versions
    codecs = (".".join(map(str, found[name])) for name in ("libavcodec", "libswscale"))
    return {"av": av.__version__, "ffmpeg": " ".join(codecs), **versions}
