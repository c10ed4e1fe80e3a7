"""Texts in pictures: names of classes and files are drawn as they are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib import rc_context


@contextmanager
def plain_text() -> Iterator[None]:
    """Draw texts as they are, for the duration of the block.

    Dollar signs begin no formulas, and letters that the font lacks become boxes without a warning.
    """
    with rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
