"""Texts in pictures: names of classes, files and captions are drawn as they are, and wrapped."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib import rc_context
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

_POINTS_PER_INCH = 72


@contextmanager
def plain_text() -> Iterator[None]:
    """Draw texts as they are, for the duration of the block.

    Dollar signs begin no formulas, and letters that the font lacks become boxes without a warning.
    """
    with rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def wrapped(text: str, width_inches: float, font: FontProperties) -> str:
    """Break a text into lines that are drawn in at most this width: at spaces, or within a longer word."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if _fits(longer, width_inches, font):
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and not _fits(lines[-1] + letter, width_inches, font):
                lines.append("")
            lines[-1] += letter
    return "\n".join(lines)


def _fits(text: str, width_inches: float, font: FontProperties) -> bool:
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return bool(width <= width_inches * _POINTS_PER_INCH)
